"""PNG and JPEG files become one uint8 tensor."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from cutlayer.dataset import DatasetError

if TYPE_CHECKING:
    from PIL.Image import Image

Mode = Literal["L", "RGB"]

# What Pillow's parsers raise on a damaged file; DecompressionBombError comes on top, from Pillow itself.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError, struct.error, zlib.error)


def decode(
    files: Iterable[bytes | None],
    count: int,
    mode: Mode,
    where: Callable[[int], str],
    what: str,
    size: int | None = None,
) -> tuple[Tensor, frozenset[str]]:
    """``count`` PNG or JPEG ``files`` as uint8 ``[count, channels, height, width]``, and the formats they had.

    All images are converted to ``mode`` (grey or RGB); ``size`` makes them that many pixels wide and high. ``where``
    names the file of an index for errors, ``what`` is shown beside the progress on standard error. An image that is
    missing, damaged, of more than 8 bits, or not as large as the first one raises DatasetError, and so do more pixels
    than this machine has memory for.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = np.empty(0, np.uint8)
    formats = set()
    shown = track(
        files,
        f"decoding {what}",
        total=count,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        update_period=0.5,
    )
    for index, data in enumerate(shown):
        try:
            image, kind = _open(data, mode)
        except DatasetError as error:
            raise DatasetError(f"{where(index)} {error}") from error.__cause__
        if index == 0:
            _check_room(count, image.size if size is None else (size, size), mode, size)
        if size is not None and image.size != (size, size):
            image = image.resize((size, size))
        values = np.asarray(image).reshape(image.height, image.width, -1)
        if index == 0:
            pixels = np.empty((count, *values.shape), np.uint8)
        elif values.shape != pixels.shape[1:]:
            raise DatasetError(
                f"{where(index)} is {image.width}x{image.height} and {where(0)} is {pixels.shape[2]}x{pixels.shape[1]}:"
                " all images must have one size"
            )
        pixels[index] = values
        formats.add(kind)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), frozenset(formats)


def fidelity(formats: frozenset[str]) -> str:
    """How faithful pixels in these ``formats`` are: "lossless", "jpeg" or "jpeg and lossless"."""
    names = {"PNG": "lossless", "JPEG": "jpeg"}
    return " and ".join(sorted(names[kind] for kind in formats))


def _check_room(count: int, pixels: tuple[int, int], mode: Mode, size: int | None) -> None:
    # Once as they are decoded, and once more with channels first.
    takes, there = 2 * count * pixels[0] * pixels[1] * len(mode), _memory()
    if takes > there:
        raise DatasetError(
            f"{f'size={size}: ' if size else ''}{count} images of {pixels[0]}x{pixels[1]} pixels take "
            f"{takes / 1e9:,.1f} GB of memory, and this machine has {there / 1e9:,.1f} GB: "
            f"a smaller size{'' if size else ' resizes them'}, or fewer images"
        )


def _memory() -> int:
    """Bytes that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _open(data: bytes | None, mode: Mode) -> tuple[Image, str]:
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DatasetError("is empty: it must be a PNG or a JPEG image")
    try:
        image = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
        image.load()
    except UnidentifiedImageError:
        raise DatasetError("is not a PNG or a JPEG image, or is damaged") from None
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise DatasetError(f"is a damaged image: {error}") from error
    if image.mode.startswith(("I", "F")):
        raise DatasetError("has more than 8 bits a pixel: save it with 8")
    kind = str(image.format)
    return (image if image.mode == mode else image.convert(mode)), kind
