"""Images that are large enough for a network."""

from __future__ import annotations

import pytest

from cutlayer.blocks.size import image_size


def test_an_image_of_the_least_size_passes():
    assert image_size((3, 8, 9), least=8) == (3, 8, 9)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 7, 9), "images of 7x9 pixels are too small: both sides need at least 8"),
        ((1, 9, 7), "images of 9x7 pixels are too small: both sides need at least 8"),
        ((30,), r"inputs of shape \[30\] are not images; those are \[channels, height, width\]"),
    ],
)
def test_what_does_not(shape, message):
    with pytest.raises(ValueError, match=message):
        image_size(shape, least=8)
