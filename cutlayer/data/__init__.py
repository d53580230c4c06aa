"""Where samples come from: image files and the hub, a cache of what was decoded, the rows that each party is dealt."""
