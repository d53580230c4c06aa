"""Where inputs and labels come from."""
