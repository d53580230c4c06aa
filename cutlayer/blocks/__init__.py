"""Pieces that networks are built of."""
