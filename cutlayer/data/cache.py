"""Decoded datasets at rest: one safetensors file each in the folder ``CUTLAYER_CACHE``."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cutlayer.dataset import Dataset, Split
from cutlayer.disk import PRIVATE, draft_of

# Part of every key: raise it when a loader makes other tensors of the same files, so that old ones are not found.
_LAYOUT = "1"


def cache_folder() -> Path:
    """``CUTLAYER_CACHE``, or ``~/.cache/cutlayer``."""
    return Path(os.environ.get("CUTLAYER_CACHE") or "~/.cache/cutlayer").expanduser()


def cached_own(name: str, key: Sequence[str], build: Callable[[], Dataset]) -> Dataset:
    """``cached`` where ``CUTLAYER_CACHE`` names a folder: nobody's private rows are copied where they did not ask."""
    return cached(name, key, build) if os.environ.get("CUTLAYER_CACHE") else build()


def cached(name: str, key: Sequence[str], build: Callable[[], Dataset]) -> Dataset:
    """The dataset stored under ``name`` and ``key``, or else what ``build`` returns, stored for the next time.

    ``key`` is everything the content depends on (files with sizes and times, options); deleting the file forgets it.
    It is readable for its owner only.
    """
    digest = hashlib.sha256(json.dumps([_LAYOUT, name, *key]).encode()).hexdigest()[:16]
    path = cache_folder() / f"{name}-{digest}.safetensors"
    if path.is_file():
        try:
            return _read(path)
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            warnings.warn(f"{path} is damaged and is made again: {error}", stacklevel=2)
    dataset = build()
    try:
        _write(path, dataset)
    except (SafetensorError, OSError) as error:
        warnings.warn(f"{path} cannot be written, so {name} is decoded again next time: {error}", stacklevel=2)
    return dataset


def file_key(paths: Sequence[Path]) -> list[str]:
    """A key of files: their full names, sizes in bytes and times of change."""
    return [f"{path.resolve()} {(stat := path.stat()).st_size} {stat.st_mtime_ns}" for path in paths]


def _read(path: Path) -> Dataset:
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {})["dataset"])
        train, test = (
            Split(file.get_tensor(f"{split}.inputs"), file.get_tensor(f"{split}.labels")) for split in _SPLITS
        )
    return Dataset(
        about["name"],
        train,
        test,
        tuple(about["classes"]),
        about["pixels"],
        tuple(about["features"]),
        about["source"],
        tuple((low, high) for low, high in about.get("ranges", ())),
    )


def _write(path: Path, dataset: Dataset) -> None:
    tensors = {}
    for name, split in zip(_SPLITS, (dataset.train, dataset.test), strict=True):
        tensors[f"{name}.inputs"] = split.inputs.contiguous()
        tensors[f"{name}.labels"] = split.labels.contiguous()
    about = {key: getattr(dataset, key) for key in ("name", "classes", "pixels", "features", "source", "ranges")}
    # Not through to the disk: a file that a power cut has left cut short is made again.
    with draft_of(path) as draft:
        draft.touch(PRIVATE)
        save_file(tensors, draft, {"dataset": json.dumps(about)})


_SPLITS = ("train", "test")
