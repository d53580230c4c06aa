"""Published tables run anew: which cells they stand for, and their numbers beside the printed ones."""
