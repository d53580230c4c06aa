"""Image datasets in the Hugging Face layout: parquet files in a folder, or a dataset of the hub."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cutlayer.data.cache import cached, file_key
from cutlayer.data.image import Mode, decode, fidelity
from cutlayer.dataset import Dataset, DatasetError, Split


@dataclass(frozen=True)
class Source:
    """Where a dataset lies, in a folder and on the hub, and what it looks like there."""

    name: str
    hub_id: str
    mode: Mode = "RGB"
    """Images become grey ("L") or color whatever each file is: tiny-imagenet mixes both."""
    folder: str = ""
    """The folder inside ``data_dir``; the name unless given."""
    labels: tuple[str, ...] = ("label",)
    """The label column: the first of these that is there."""
    test: str = "test"
    """The hub's name of the split to test on; files in a folder are ``test-*.parquet`` always."""
    data_files: Mapping[str, str] | None = None
    """The hub's files, where taking a whole configuration would download splits nobody reads."""
    transposed: bool = False
    """The stored images have rows and columns swapped."""

    def load(self, data_dir: Path | None) -> Dataset:
        """The dataset from ``data_dir``, or from the hub where that is None; decoded once, then from the cache.

        Images are uint8 ``[n, channels, height, width]``. DatasetError where files, columns or the network are
        missing, or an image cannot be used.
        """
        options = [self.mode, *self.labels, str(self.transposed)]
        if data_dir is None:
            return cached(self.name, ["hub", self.hub_id, self.test, *options], self._from_hub)
        folder = Path(data_dir).expanduser() / (self.folder or self.name)
        files = {split: sorted(folder.glob(f"{split}-*.parquet")) for split in ("train", "test")}
        for split, found in files.items():
            if not found:
                raise DatasetError(
                    f"no {folder / split}-*.parquet: data_dir must hold {folder.name}/train-*.parquet and"
                    f" {folder.name}/test-*.parquet (without data_dir, {self.hub_id} comes from the Hugging Face hub)"
                )
        key = file_key([*files["train"], *files["test"]])
        # The cache knows the files by their full names; a record names the folder as the user did.
        return replace(
            cached(self.name, ["files", *key, *options], lambda: self._from_files(files)), source=str(folder)
        )

    def _from_files(self, files: Mapping[str, list[Path]]) -> Dataset:
        import datasets

        # The library writes a second copy of what it reads; ours is the one that is kept.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            found = {}
            for split, paths in files.items():
                if not sum(_row_count(path) for path in paths):
                    raise DatasetError(f"{paths[0].parent / split}-*.parquet has no rows")
                try:
                    with _quiet():
                        found[split] = datasets.load_dataset(
                            "parquet", data_files=[str(path) for path in paths], split="train", cache_dir=scratch
                        )
                except Exception as error:  # the library lets through whatever its many readers raise
                    pattern = paths[0].parent / f"{split}-*.parquet"
                    raise DatasetError(f"{pattern} cannot be read: {_reason(error)}") from error
            return self._decoded(found["train"], found["test"], str(files["train"][0].parent))

    def _from_hub(self) -> Dataset:
        import datasets

        try:
            revision = None if datasets.config.HF_HUB_OFFLINE else _revision(self.hub_id)
            files = dict(self.data_files) if self.data_files else None
            found = datasets.load_dataset(self.hub_id, data_files=files, revision=revision)
        except Exception as error:  # HTTP clients, readers and the library each have errors of their own
            raise DatasetError(
                f"{self.hub_id} cannot be had from the Hugging Face hub ({_reason(error)}): connect to a network, or"
                f" give data_dir=FOLDER with {self.folder or self.name}/train-*.parquet and test-*.parquet in it"
            ) from error
        for split in ("train", self.test):
            if split not in found:
                raise DatasetError(f"{self.hub_id} has no split {split!r}, it has {', '.join(found)}")
        source = f"{self.hub_id}@{revision}" if revision else self.hub_id
        return self._decoded(found["train"], found[self.test], source)

    def _decoded(self, train: Any, test: Any, source: str) -> Dataset:
        parts, formats, names = [], frozenset[str](), []
        for split, rows in (("train", train), ("test", test)):
            where = f"{split} of {source}"
            if not len(rows):
                raise DatasetError(f"{where} has no rows")
            image = _column(rows.column_names, ("image", "img"), "image", where)
            label = _column(rows.column_names, self.labels, "label", where)
            labels = _labels(rows, label, where)
            inputs, kinds = decode(
                _files(rows, image, where),
                len(rows),
                self.mode,
                partial(_row_name, where),
                f"{self.name} {split}",
            )
            parts.append(Split(inputs.transpose(2, 3).contiguous() if self.transposed else inputs, labels))
            formats |= kinds
            names.append(getattr(rows.features[label], "names", None))
        if names[0] != names[1]:
            raise DatasetError(f"the classes of train and test of {source} are not the same")
        count = 1 + max(int(part.labels.max()) for part in parts)
        if names[0] is None and count > len(train):
            raise DatasetError(f"label {count - 1} of {source} is out of range: there are {len(train)} training rows")
        classes = tuple(names[0] or map(str, range(count)))
        return Dataset(self.name, parts[0], parts[1], classes, pixels=fidelity(formats), source=source)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's bars and log lines: reading files takes a moment, and its errors become ours."""
    import datasets

    bars, logger = not datasets.are_progress_bars_disabled(), logging.getLogger("datasets")
    level = logger.level
    datasets.disable_progress_bars()
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def _revision(hub_id: str) -> str | None:
    """The commit of ``hub_id`` now, asked for once: the library itself retries for half a minute without a network."""
    import huggingface_hub

    return huggingface_hub.HfApi().dataset_info(hub_id, timeout=10).sha


def _row_count(path: Path) -> int:
    from pyarrow import ArrowException, parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (ArrowException, OSError) as error:
        raise DatasetError(f"{path} is not a parquet file, or is damaged: {_reason(error)}") from error


def _row_name(where: str, row: int) -> str:
    return f"row {row} of {where}"


def _column(found: list[str], known: tuple[str, ...], what: str, where: str) -> str:
    for name in known:
        if name in found:
            return name
    raise DatasetError(f"{where} has no {what} column: looked for {', '.join(known)}, found {', '.join(found)}")


def _labels(rows: Any, column: str, where: str) -> Tensor:
    values = rows.with_format(None).select_columns([column])[:][column]
    for row, value in enumerate(values):
        if not isinstance(value, int) or value < 0:
            raise DatasetError(f"{_row_name(where, row)} has {value!r} in column {column!r}: labels are 0, 1, 2 ...")
    return torch.tensor(values)


def _files(rows: Any, column: str, where: str) -> Iterator[bytes | None]:
    import datasets

    try:
        encoded = rows.with_format(None).select_columns([column]).cast_column(column, datasets.Image(decode=False))
    except (TypeError, ValueError, NotImplementedError) as error:  # the last two are also Arrow's
        raise DatasetError(f"column {column!r} of {where} holds no images: {_reason(error)}") from error
    for batch in encoded.iter(batch_size=1000):
        for value in batch[column]:
            if value and value["path"] and not value["bytes"]:
                yield Path(value["path"]).read_bytes()
            else:
                yield value and value["bytes"]


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause).splitlines() or [""])[0].rstrip(".") or type(cause).__name__
