"""Your own images: a folder of PNG or JPEG files with one subfolder per class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cutlayer.data.cache import cached_own, file_key
from cutlayer.data.content import contained
from cutlayer.data.image import decode, fidelity
from cutlayer.dataset import Dataset, DatasetError, Split, stratified

_SUFFIXES = (".png", ".jpg", ".jpeg")


FILLS = True
"""``data_dir`` is its own place, and no folder of folders."""


def load(data_dir: Path | None = None, *, size: int | None = None, grey: bool = False, split_seed: int = 0) -> Dataset:
    """The images in ``data_dir/train/CLASS`` and ``data_dir/test/CLASS``, or all in ``data_dir/CLASS``.

    Without train and test folders ``split_seed`` draws the test part, a fifth of each class. ``size`` resizes every
    image to that many pixels wide and high (without it all must have one size already); ``grey`` makes one channel of
    three. Hidden files are passed over; any other file in a class folder that is neither PNG nor JPEG raises
    DatasetError, and so do images that are in none of these places. Other files there, and folders beside train and
    test without images of their own, are passed over.
    """
    if data_dir is None:
        raise DatasetError("the dataset 'folder' needs data_dir=FOLDER with one subfolder of images per class")
    if size is not None and size < 1:
        raise DatasetError(f"size={size} is no size for an image: it must be 1 or more pixels")
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise DatasetError(f"data_dir={root} is not a folder")
    parts = _parts(root)
    options = [str(size), str(grey), str(split_seed), *parts]
    key = file_key([path for files in parts.values() for paths in files.values() for path in paths])
    dataset = cached_own("folder", [*options, *key], lambda: _decoded(root, parts, size, grey, split_seed))
    return replace(dataset, source=f"{root}, {contained(dataset)}", drawn_by_label="" in parts)


def _parts(root: Path) -> dict[str, dict[str, list[Path]]]:
    """The files of every class, under "train" and "test" or, where there are no such folders, under ""."""
    splits = [root / "train", root / "test"]
    if not any(_folders(path) for path in splits if path.is_dir()):
        return {"": _classes(root)}
    for path in splits:
        if not path.is_dir():
            raise DatasetError(f"{root} has {'test' if path.name == 'train' else 'train'}/ and no {path.name}/")
    _check_strays(root)
    for folder in _folders(root):
        if folder not in splits and any(map(_is_image, folder.glob("*"))):
            raise DatasetError(f"{folder} has images, which are of no split: move it into {splits[0]} or away")
    train, test = _classes(splits[0]), _classes(splits[1], least=1)
    for name in test:
        if name not in train:
            raise DatasetError(f"class {name!r} is in {splits[1]} and not in {splits[0]}")
    return {"train": train, "test": test}


def _folders(path: Path) -> list[Path]:
    return sorted(found for found in path.iterdir() if found.is_dir() and not found.name.startswith("."))


def _classes(path: Path, least: int = 2) -> dict[str, list[Path]]:
    found = {folder.name: _images(folder) for folder in _folders(path)}
    if len(found) < least:
        raise DatasetError(f"{path} must have one subfolder per class, at least {least}, and has {len(found)}")
    _check_strays(path)
    return found


def _check_strays(path: Path) -> None:
    if stray := min(filter(_is_image, path.iterdir()), default=None):
        raise DatasetError(f"{stray} is of no class: move it into a class folder or away")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()


def _images(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in found:
        if not _is_image(path):
            raise DatasetError(f"{path} is neither a PNG nor a JPEG file: a class folder holds nothing else")
    if not found:
        raise DatasetError(f"{folder} has no images")
    return found


def _decoded(
    root: Path, parts: dict[str, dict[str, list[Path]]], size: int | None, grey: bool, split_seed: int
) -> Dataset:
    classes = tuple(next(iter(parts.values())))
    splits, formats = {}, frozenset[str]()
    for name, files in parts.items():
        paths = [path for found in files.values() for path in found]
        labels = torch.tensor([classes.index(path.parent.name) for path in paths])
        inputs, kinds = decode(
            (path.read_bytes() for path in paths),
            len(paths),
            "L" if grey else "RGB",
            [str(path) for path in paths].__getitem__,
            f"{root.name} {name}",
            size,
        )
        splits[name] = (inputs, labels)
        formats |= kinds
    train, test = _drawn(*splits[""], classes, split_seed) if "" in splits else (Split(*splits[k]) for k in parts)
    pixels = fidelity(formats) + (f", resized to {size}x{size}" if size else "")
    return Dataset("folder", train, test, classes, pixels=pixels, source=str(root))


def _drawn(inputs: Tensor, labels: Tensor, classes: tuple[str, ...], seed: int) -> tuple[Split, Split]:
    for label, name in enumerate(classes):
        if int((labels == label).sum()) < 2:
            raise DatasetError(f"class {name!r} has one image: a training and a test split need two")
    train, test = stratified(labels, seed)
    return Split(inputs[train], labels[train]), Split(inputs[test], labels[test])
