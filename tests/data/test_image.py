from __future__ import annotations

from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cutlayer.data import image
from cutlayer.data.image import Mode, decode, fidelity
from cutlayer.dataset import DatasetError


def encoded(values: np.ndarray, kind: str = "PNG") -> bytes:
    file = BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


RAMP = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
NOISE = encoded(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8))
PNG, JPEG, GREY = encoded(RAMP), encoded(RAMP, "JPEG"), encoded(RAMP[..., 0])


def test_pixels_come_out_exactly_with_channels_first() -> None:
    pixels, formats = decode([PNG, PNG], 2, "RGB", str, "ramp")
    assert pixels.dtype == torch.uint8
    assert pixels.equal(torch.from_numpy(np.stack([RAMP, RAMP])).permute(0, 3, 1, 2))
    assert formats == {"PNG"}


def test_modes_are_converted_both_ways() -> None:
    color, _ = decode([GREY, PNG], 2, "RGB", str, "mixed")
    assert color[0].equal(torch.from_numpy(RAMP[..., 0]).expand(3, 5, 7))
    grey, _ = decode([GREY, PNG], 2, "L", str, "mixed")
    assert grey.shape == (2, 1, 5, 7)


def test_size_resizes() -> None:
    pixels, _ = decode([PNG, encoded(np.zeros((9, 9, 3), np.uint8))], 2, "RGB", str, "ramp", size=6)
    assert pixels.shape == (2, 3, 6, 6)


def test_fidelity_says_what_the_formats_are() -> None:
    _, formats = decode([PNG, JPEG], 2, "RGB", str, "mixed")
    assert fidelity(formats) == "jpeg and lossless"
    assert fidelity(frozenset({"JPEG"})) == "jpeg"


@pytest.mark.parametrize(
    ("mode", "size", "takes", "said"),
    [
        (
            "RGB",
            60,
            43_200,
            "size=60: 2 images of 60x60 pixels take 0.0 GB of memory, and this .*: a smaller size, or f",
        ),
        ("L", 60, 14_400, "size=60: 2 images of 60x60 pixels"),
        ("RGB", None, 420, "^2 images of 7x5 pixels take .*: a smaller size resizes them, or fewer images"),
    ],
)
def test_more_pixels_than_there_is_memory_for_are_refused(
    mode: Mode, size: int | None, takes: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_memory", lambda: takes - 1)
    with pytest.raises(DatasetError, match=said):
        decode([PNG, PNG], 2, mode, str, "ramp", size)
    monkeypatch.setattr(image, "_memory", lambda: takes)
    assert len(decode([PNG, PNG], 2, mode, str, "ramp", size)[0]) == 2


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (None, "image 1 is empty"),
        (b"", "image 1 is empty"),
        (b"GIF89a", "image 1 is not a PNG or a JPEG image"),
        (NOISE[: len(NOISE) // 2], "image 1 is a damaged image"),
        (encoded(np.zeros((5, 6, 3), np.uint8)), "image 1 is 6x5 and image 0 is 7x5: all images must have one size"),
        (encoded(np.zeros((5, 7), np.uint16)), "image 1 has more than 8 bits a pixel"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(file: bytes | None, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        decode([PNG, file], 2, "RGB", "image {}".format, "made")


@settings(max_examples=100)
@given(
    file=st.sampled_from([PNG, JPEG]),
    at=st.integers(0, 2000),
    replacement=st.binary(max_size=20),
    end=st.integers(0, 2000),
)
def test_damage_never_raises_anything_else(file: bytes, at: int, replacement: bytes, end: int) -> None:
    damaged = (file[:at] + replacement + file[at + len(replacement) :])[: max(1, end)]
    with suppress(DatasetError):
        decode([damaged], 1, "RGB", str, "made")
