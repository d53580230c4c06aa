"""Your own table: a CSV or Parquet file, or a folder with one named train and one named test."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cutlayer.data.cache import cached_own, file_key
from cutlayer.data.content import contained
from cutlayer.dataset import Dataset, DatasetError, Split, stratified

_SUFFIXES = (".csv", ".parquet")
_MOST_WORDS, _FEW_CLASSES, _MOST_CLASSES = 100, 20, 1000
_HALVES = ("train", "test")


FILLS = True
"""``data_dir`` is its own place, and no folder of folders."""


def load(
    data_dir: Path | None = None, *, label: str = "", drop: str = "", split_seed: int = 0, columns: str = ""
) -> Dataset:
    """The rows of the file ``data_dir``, or of train.csv and test.csv (or .parquet) in that folder.

    ``label`` is the column to predict, ``drop`` names columns to leave out, joined by +, which may stand in a name,
    too. Numbers are scaled so that their training values span [0, 1], test values beyond are clipped; a column of words
    becomes one feature for each word of the training rows, 1 where it stands. Of a single file ``split_seed`` draws the
    test part, a fifth of each class. Empty values (in a CSV file NA and null among them), other kinds of columns and
    too many different words raise DatasetError.

    What rows of one's own decide so is another thing for each client of a deployment. ``columns`` names a TOML file
    beside the data with what all of them agreed on: ``age = [0, 120]``, the values that 0 and 1 stand for; or
    ``job = ["clerk", "nurse"]``, the words of a column, or the classes, in this order. Numbers beyond are clipped,
    other words raise DatasetError.
    """
    if data_dir is None:
        raise DatasetError(
            "the dataset 'table' needs data_dir=FILE, a CSV or Parquet file, or a folder with two of them"
        )
    place = Path(data_dir).expanduser()
    files = _files(place)
    agreed = (place if place.is_dir() else place.parent) / columns if columns else None
    options = [label, drop, str(split_seed), *files, columns]
    key = file_key([*files.values(), *([agreed] if agreed and agreed.is_file() else [])])
    dataset = cached_own("table", [*options, *key], lambda: _made(files, label, drop, split_seed, _agreed(agreed)))
    return replace(dataset, source=f"{place}, {contained(dataset)}", drawn_by_label="" in files)


def _agreed(path: Path | None) -> dict[str, list[Any]]:
    """What the file says of each column: a list for each."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"table.columns: {path} cannot be read: {error}") from None
    for name, values in found.items():
        if not isinstance(values, list) or len(set(map(repr, values))) < max(2, len(values)):
            raise DatasetError(f"{path}: {name} = {values!r}: a list of two numbers, or of different words")
    return found


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


def _made(files: Mapping[str, Path], label: str, drop: str, seed: int, agreed: Mapping[str, list[Any]]) -> Dataset:
    import pyarrow

    tables = {half: _read(path) for half, path in files.items()}
    names = next(iter(tables.values())).column_names
    told = ", ".join(names)
    for half, table in tables.items():
        if table.column_names != names:
            raise DatasetError(
                f"the columns of {files[half]} are {', '.join(table.column_names)}, those of train {told}"
            )
    left_out = _dropped(drop, names)
    _check_named(names, label, left_out, agreed)
    try:
        whole = pyarrow.concat_tables(tables.values(), promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise DatasetError(f"train and test do not fit together: {error}") from error
    classes, labels = _labels(whole, label, agreed.get(label))
    if "" in files:
        counts = labels.bincount(minlength=len(classes)).tolist()
        rare = [name for name, count in zip(classes, counts, strict=True) if count == 1]
        if rare:
            raise DatasetError(f"{label} = {rare[0]} stands in one row: a training and a test part need two")
        train, test = stratified(labels, seed)
    else:
        train, test = torch.split(torch.arange(len(labels)), [table.num_rows for table in tables.values()])
        if unknown := sorted(set(labels[test].tolist()) - set(labels[train].tolist())):
            raise DatasetError(f"{label} = {classes[unknown[0]]} stands in {files['test']} and not in {files['train']}")
    own = [name for name in names if name != label and name not in left_out]
    if not own:
        raise DatasetError(f"there is no column beside {label!r}")
    encoded = [_encoded(name, whole.column(name), train.numpy(), agreed.get(name)) for name in own]
    features, ranges = zip(*(told for found, _ in encoded for told in found), strict=True)
    inputs = torch.from_numpy(np.concatenate([values for _, values in encoded], axis=1)).float()
    halves = (Split(inputs[rows], labels[rows]) for rows in (train, test))
    return Dataset("table", next(halves), next(halves), classes, features=features, ranges=ranges)


def _dropped(drop: str, names: Sequence[str]) -> list[str]:
    """The columns that ``drop`` names; of two that begin alike the longer one."""
    found, left = list[str](), drop
    while left:
        begun = [name for name in names if left == name or left.startswith(f"{name}+")]
        name = max(begun, key=len, default=left.partition("+")[0])
        found += [name] if name else []
        left = left[len(name) :].removeprefix("+")
    return found


def _check_named(names: Sequence[str], label: str, drop: Sequence[str], agreed: Iterable[str]) -> None:
    """Refuse names that options give and no column has."""
    told = ", ".join(names)
    if label not in names:
        what = f"there is no column {label!r}" if label else "which column is to be predicted?"
        raise DatasetError(f"table.label={label!r}: {what}; columns are {told}")
    for name in agreed:
        if name not in names:
            raise DatasetError(f"table.columns says what {name!r} is, which is no column; columns are {told}")
    for name in drop:
        if name not in names or name == label:
            raise DatasetError(f"table.drop names {name!r}, which is {'the label' if name == label else 'no column'}")


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


def _labels(table: Any, label: str, agreed: list[Any] | None) -> tuple[tuple[str, ...], torch.Tensor]:
    from pyarrow import types

    column = table.column(label)
    if column.null_count:
        raise DatasetError(f"column {label!r}, which is to be predicted, is empty in {column.null_count} rows")
    if types.is_nested(column.type):
        raise DatasetError(f"column {label!r} is {column.type}: classes are numbers, words or true and false")
    values = column.to_pylist()
    # No NaN equals another: each would be a class of its own.
    if unequal := sum(value != value for value in values):
        raise DatasetError(f"column {label!r}, which is to be predicted, is NaN in {unequal} rows")
    found = agreed or sorted(set(values))
    count, rows = len(found), len(values)
    # Hardly any stands in two rows: amounts, or names, and no classes.
    single = count > _FEW_CLASSES and 2 * count > rows and not agreed
    if single or not 2 <= count <= _MOST_CLASSES:
        hint = "" if count < 2 else ", each in several rows; numbers can be put into a few ranges beforehand"
        told = f"column {label!r} has {count} different values in {rows} rows"
        raise DatasetError(f"{told}: what is predicted are 2 to {_MOST_CLASSES} classes{hint}")
    if agreed:
        _only(label, values, agreed)
    number = {value: place for place, value in enumerate(found)}
    return tuple(map(str, found)), torch.tensor([number[value] for value in values])


def _only(name: str, values: Iterable[Any], agreed: list[Any]) -> None:
    if strange := sorted(map(str, set(values) - set(agreed))):
        raise DatasetError(f"column {name!r} has {strange[0]!r}, which table.columns does not list")


def _encoded(
    name: str, column: Any, train: np.ndarray[Any, Any], agreed: list[Any] | None
) -> tuple[list[tuple[str, tuple[float, float]]], np.ndarray[Any, Any]]:
    """The features that a column becomes, with what 0 and 1 stand for, and their values, float64 [rows, features]."""
    from pyarrow import types

    leave = f"fill them, or leave the column out with table.drop={name}"
    if column.null_count:
        raise DatasetError(f"column {name!r} is empty in {column.null_count} of {len(column)} rows: {leave}")
    kind = column.type
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        values = np.asarray(column.to_pylist(), dtype=np.float64)
        if not np.isfinite(values).all():
            raise DatasetError(f"column {name!r} has values that are not finite: {leave}")
        low, high = _range(name, agreed) if agreed else (float(values[train].min()), float(values[train].max()))
        span = high - low
        if not np.isfinite(span):
            raise DatasetError(
                f"column {name!r} goes from {low:g} to {high:g}, a range too large to be scaled: "
                f"smaller numbers, or leave the column out with table.drop={name}"
            )
        with np.errstate(over="ignore"):
            # What is as far beyond the range as that is clipped like all that is beyond.
            scaled = np.clip((values - low) / (span or 1.0), 0, 1)
        return [(name, (low, high))], scaled[:, None]
    words = types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind)
    if not words:
        raise DatasetError(f"column {name!r} is {kind}: numbers, words and true or false can be learned; {leave}")
    values = np.asarray(column.to_pylist(), dtype=str)
    found = [str(word) for word in agreed or sorted(set(values[train]))]
    if agreed:
        _only(name, values, found)
    if len(found) > _MOST_WORDS:
        raise DatasetError(f"column {name!r} has {len(found)} different words, more than {_MOST_WORDS}: {leave}")
    marks = np.stack([values == word for word in found], axis=1).astype(np.float64)
    return [(f"{name}={word}", (0.0, 1.0)) for word in found], marks


def _range(name: str, agreed: list[Any]) -> tuple[float, float]:
    if len(agreed) != 2 or not all(isinstance(end, int | float) and np.isfinite(end) for end in agreed):
        raise DatasetError(f"column {name!r} has numbers, table.columns gives it {agreed}: their lowest and highest")
    low, high = map(float, agreed)
    if low >= high:
        raise DatasetError(f"table.columns: {name} = {agreed}: the lowest number first")
    return low, high
