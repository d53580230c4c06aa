"""Your own table: a CSV or Parquet file, or a folder with one named train and one named test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cutlayer.data.cache import cached, file_key
from cutlayer.dataset import Dataset, DatasetError, Split, digest, stratified

_SUFFIXES = (".csv", ".parquet")
_MOST_WORDS, _MOST_CLASSES = 100, 1000
_HALVES = ("train", "test")


def load(data_dir: Path | None = None, *, label: str = "", drop: str = "", split_seed: int = 0) -> Dataset:
    """The rows of the file ``data_dir``, or of train.csv and test.csv (or .parquet) in that folder.

    ``label`` is the column to predict, ``drop`` names columns to leave out, joined by +. Numbers are scaled so that
    their training values span [0, 1], test values beyond are clipped; a column of words becomes one feature for each
    word of the training rows, 1 where it stands. Of a single file ``split_seed`` draws the test part, a fifth of each
    class. Empty values (in a CSV file NA and null among them), other kinds of columns and too many different words
    raise DatasetError.
    """
    if data_dir is None:
        raise DatasetError(
            "the dataset 'table' needs data_dir=FILE, a CSV or Parquet file, or a folder with two of them"
        )
    place = Path(data_dir).expanduser()
    files = _files(place)
    left_out = [name for name in drop.split("+") if name]
    options = [label, *left_out, str(split_seed), *files]
    key = file_key(list(files.values()))
    dataset = cached("table", [*options, *key], lambda: _made(files, label, left_out, split_seed))
    source = f"{place}, {digest(dataset)}"
    return Dataset("table", dataset.train, dataset.test, dataset.classes, features=dataset.features, source=source)


def _files(place: Path) -> dict[str, Path]:
    """The files of both halves by name, or a single one under ""."""
    if place.is_file():
        if place.suffix.lower() not in _SUFFIXES:
            raise DatasetError(f"data_dir={place} is neither a .csv nor a .parquet file")
        return {"": place}
    if not place.is_dir():
        raise DatasetError(f"data_dir={place} is neither a file nor a folder")
    found = {}
    for half in _HALVES:
        here = [place / f"{half}{suffix}" for suffix in _SUFFIXES if (place / f"{half}{suffix}").is_file()]
        if len(here) != 1:
            raise DatasetError(f"{place} must have one {half}.csv or {half}.parquet, and has {len(here)}")
        found[half] = here[0]
    return found


def _made(files: Mapping[str, Path], label: str, drop: Sequence[str], seed: int) -> Dataset:
    import pyarrow

    tables = {half: _read(path) for half, path in files.items()}
    names = next(iter(tables.values())).column_names
    told = ", ".join(names)
    for half, table in tables.items():
        if table.column_names != names:
            raise DatasetError(
                f"the columns of {files[half]} are {', '.join(table.column_names)}, those of train {told}"
            )
    if label not in names:
        what = f"there is no column {label!r}" if label else "which column is to be predicted?"
        raise DatasetError(f"table.label={label!r}: {what}; columns are {told}")
    for name in drop:
        if name not in names or name == label:
            raise DatasetError(f"table.drop names {name!r}, which is {'the label' if name == label else 'no column'}")
    try:
        whole = pyarrow.concat_tables(tables.values(), promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise DatasetError(f"train and test do not fit together: {error}") from error
    classes, labels = _labels(whole, label)
    if "" in files:
        rare = [name for name, count in zip(classes, labels.bincount().tolist(), strict=True) if count < 2]
        if rare:
            raise DatasetError(f"{label} = {rare[0]} stands in one row: a training and a test part need two")
        train, test = stratified(labels, seed)
    else:
        train, test = torch.split(torch.arange(len(labels)), [table.num_rows for table in tables.values()])
        if unknown := sorted(set(labels[test].tolist()) - set(labels[train].tolist())):
            raise DatasetError(f"{label} = {classes[unknown[0]]} stands in {files['test']} and not in {files['train']}")
    encoded = {
        name: _encoded(name, whole.column(name), train.numpy()) for name in names if name != label and name not in drop
    }
    if not encoded:
        raise DatasetError(f"there is no column beside {label!r}")
    features = tuple(feature for found, _ in encoded.values() for feature in found)
    inputs = torch.from_numpy(np.concatenate([values for _, values in encoded.values()], axis=1)).float()
    halves = (Split(inputs[rows], labels[rows]) for rows in (train, test))
    return Dataset("table", next(halves), next(halves), classes, features=features)


def _read(path: Path) -> Any:
    from pyarrow import ArrowException, csv, parquet, types

    try:
        words = csv.ConvertOptions(strings_can_be_null=True)
        named_csv = path.suffix.lower() == ".csv"
        table = csv.read_csv(path, convert_options=words) if named_csv else parquet.read_table(path)
        names = table.column_names
    except UnicodeDecodeError:
        raise DatasetError(f"{path} cannot be read: the names of its columns are not in UTF-8") from None
    except (ArrowException, OSError) as error:
        raise DatasetError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not table.num_rows:
        raise DatasetError(f"{path} has no rows")
    if len(set(names)) < len(names):
        raise DatasetError(f"{path} has two columns of one name: {', '.join(names)}")
    for column in table.schema:
        if named_csv and types.is_binary(column.type):
            raise DatasetError(f"{path} cannot be read: column {column.name!r} has words that are not in UTF-8")
    return table


def _labels(table: Any, label: str) -> tuple[tuple[str, ...], torch.Tensor]:
    from pyarrow import types

    column = table.column(label)
    if column.null_count:
        raise DatasetError(f"column {label!r}, which is to be predicted, is empty in {column.null_count} rows")
    if types.is_nested(column.type):
        raise DatasetError(f"column {label!r} is {column.type}: classes are numbers, words or true and false")
    values = column.to_pylist()
    found = sorted(set(values))
    if not 2 <= len(found) <= _MOST_CLASSES:
        raise DatasetError(f"column {label!r} has {len(found)} different values: classes are 2 to {_MOST_CLASSES}")
    number = {value: place for place, value in enumerate(found)}
    return tuple(map(str, found)), torch.tensor([number[value] for value in values])


def _encoded(name: str, column: Any, train: np.ndarray[Any, Any]) -> tuple[list[str], np.ndarray[Any, Any]]:
    """The features that a column becomes, and their values in [0, 1], float64 [rows, features]."""
    from pyarrow import types

    leave = f"fill them, or leave the column out with table.drop={name}"
    if column.null_count:
        raise DatasetError(f"column {name!r} is empty in {column.null_count} of {len(column)} rows: {leave}")
    kind = column.type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        values = np.asarray(column.to_pylist(), dtype=np.float64)
        if not np.isfinite(values).all():
            raise DatasetError(f"column {name!r} has values that are not finite: {leave}")
        low, high = values[train].min(), values[train].max()
        return [name], np.clip((values - low) / ((high - low) or 1.0), 0, 1)[:, None]
    words = types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind)
    if not words:
        raise DatasetError(f"column {name!r} is {kind}: numbers, words and true or false can be learned; {leave}")
    values = np.asarray(column.to_pylist(), dtype=str)
    found = sorted(set(values[train]))
    if len(found) > _MOST_WORDS:
        raise DatasetError(f"column {name!r} has {len(found)} different words, more than {_MOST_WORDS}: {leave}")
    return [f"{name}={word}" for word in found], np.stack([values == word for word in found], axis=1).astype(np.float64)
