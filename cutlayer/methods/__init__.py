"""What attacks share and may import: networks and inputs fitted to what was seen, ensembles, proxies, shadows."""
