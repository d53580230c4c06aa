"""Images that are large enough for a network."""

from __future__ import annotations


def image_size(input_shape: tuple[int, ...], least: int) -> tuple[int, int, int]:
    """``input_shape`` as channels, height and width; a side below ``least`` pixels is a ``ValueError``."""
    if len(input_shape) != 3:
        raise ValueError(f"inputs of shape {list(input_shape)} are not images; those are [channels, height, width]")
    channels, height, width = input_shape
    if min(height, width) < least:
        raise ValueError(f"images of {height}x{width} pixels are too small: both sides need at least {least}")
    return channels, height, width
