from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cutlayer.data.hub import Source
from cutlayer.dataset import DatasetError

SOURCE = Source("made", "someone/made", mode="L")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CUTLAYER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(size: int = 4) -> bytes:
    file = BytesIO()
    Image.fromarray(np.zeros((size, size), np.uint8)).save(file, "PNG")
    return file.getvalue()


def write(data_dir: Path, split: str, part: int = 0, **columns: list[Any]) -> None:
    """A parquet file without Hugging Face's own metadata."""
    path = data_dir / "made" / f"{split}-{part:05}-of-00002.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def rows(*files: bytes | None) -> list[dict[str, bytes | None]]:
    return [{"bytes": file, "path": None} for file in files]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    write(tmp_path, "train", image=rows(png(), png()), label=[0, 1])
    write(tmp_path, "test", image=rows(png()), label=[1])
    return tmp_path


def test_several_files_make_one_split_in_order(good: Path) -> None:
    write(good, "train", 1, image=rows(png()), label=[2])
    dataset = SOURCE.load(good)
    assert dataset.train.labels.tolist() == [0, 1, 2]
    assert dataset.classes == ("0", "1", "2"), "without names classes are numbers"


def test_a_changed_file_is_read_again(good: Path) -> None:
    assert len(SOURCE.load(good).test) == 1
    write(good, "test", image=rows(png(), png()), label=[1, 1])
    assert len(SOURCE.load(good).test) == 2


def test_the_progress_bars_of_the_library_are_left_as_they_were(good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import datasets

    datasets.enable_progress_bars()
    SOURCE.load(good)
    assert not datasets.are_progress_bars_disabled()
    assert capfd.readouterr() == ("", "")


def test_missing_files_are_named_with_both_ways_out(good: Path) -> None:
    (good / "made" / "test-00000-of-00002.parquet").unlink()
    with pytest.raises(DatasetError) as caught:
        SOURCE.load(good)
    for part in (
        f"no {good}/made/test-*.parquet",
        "made/train-*.parquet",
        "someone/made comes from the Hugging Face hub",
    ):
        assert part in str(caught.value)


def no_rows(data: Path) -> None:
    pq.write_table(
        pa.table({"image": rows(png()), "label": [0]}).slice(0, 0), data / "made" / "test-00000-of-00002.parquet"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"picture": rows(png()), "label": [0]}, "no image column: looked for image, img, found picture, label"),
        ({"image": rows(png()), "target": [0]}, "no label column: looked for label, found image, target"),
        ({"image": [3], "label": [0]}, "column 'image' of test of .* holds no images"),
        ({"image": rows(png()), "label": [-1]}, "row 0 of test of .* has -1 in column 'label'"),
        ({"image": rows(png()), "label": [None]}, "row 0 of test of .* has None in column 'label'"),
        ({"image": rows(png()), "label": ["cat"]}, "row 0 of test of .* has 'cat' in column 'label'"),
        ({"image": rows(png()), "label": [1000]}, "label 1000 of .* is out of range"),
        ({"image": rows(b"nonsense"), "label": [0]}, "row 0 of test of .* is not a PNG or a JPEG image"),
        ({"image": rows(png(), png(5)), "label": [0, 1]}, "row 1 of test of .* is 5x5 and row 0 of test of .* is 4x4"),
        ({"image": rows(None), "label": [0]}, "row 0 of test of .* is empty"),
        ({"image": rows(png(5)), "label": [0]}, r"a training input is \[1, 4, 4\] and a test input \[1, 5, 5\]"),
    ],
)
def test_one_error_names_what_is_wrong(good: Path, columns: dict[str, list[Any]], message: str) -> None:
    write(good, "test", **columns)
    with pytest.raises(DatasetError, match=message) as caught:
        SOURCE.load(good)
    assert "\n" not in str(caught.value)


def test_splits_of_different_classes_are_refused(good: Path) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    made = datasets.Dataset.from_dict({"image": rows(png()), "label": [1]}, features=features)
    made.to_parquet(good / "made" / "test-00000-of-00002.parquet")
    with pytest.raises(DatasetError, match=r"the classes of train and test of .* are not the same"):
        SOURCE.load(good)


def test_an_empty_split_is_named(good: Path) -> None:
    no_rows(good)
    with pytest.raises(DatasetError, match=r"made/test-\*.parquet has no rows"):
        SOURCE.load(good)


def test_a_file_that_is_not_parquet_is_named(good: Path) -> None:
    (good / "made" / "train-00000-of-00002.parquet").write_bytes(b"rubbish")
    with pytest.raises(DatasetError, match=r"train-00000-of-00002.parquet is not a parquet file, or is damaged: "):
        SOURCE.load(good)


def test_without_a_network_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # a closed port
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    with pytest.raises(DatasetError) as caught:
        SOURCE.load(None)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("someone/made cannot be had from the Hugging Face hub (")
    assert "data_dir=FOLDER with made/train-*.parquet" in line
    assert capfd.readouterr() == ("", "")


def test_a_hub_dataset_without_the_test_split_is_refused(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutlayer.data.hub._revision", lambda hub_id: None)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(good / "hf"))
    source = Source("made", str(good / "made"), mode="L", test="valid")
    with pytest.raises(DatasetError, match="has no split 'valid', it has"):
        source.load(None)
