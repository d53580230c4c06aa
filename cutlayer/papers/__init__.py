"""The published tables: their values as printed, to stand beside ours."""
