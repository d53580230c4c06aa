from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutlayer.dataset import DatasetError
from cutlayer.datasets import folder


def fill(path: Path, count: int, shape: tuple[int, ...] = (8, 8, 3), suffix: str = ".png", value: int = 0) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(np.full(shape, value + index, np.uint8)).save(path / f"{index}{suffix}")


def test_train_and_test_folders(tmp_path: Path) -> None:
    fill(tmp_path / "train" / "cat", 3)
    fill(tmp_path / "train" / "ape", 2, value=100)
    fill(tmp_path / "test" / "cat", 1, value=50)
    dataset = folder.load(tmp_path)
    assert dataset.classes == ("ape", "cat")
    assert dataset.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert dataset.train.inputs[:, 0, 0, 0].tolist() == [100, 101, 0, 1, 2]
    assert (dataset.test.labels.tolist(), dataset.test.inputs[0, 0, 0, 0].item()) == ([1], 50)
    assert (dataset.input_shape, dataset.pixels) == ((3, 8, 8), "lossless")
    assert dataset.source.startswith(f"{tmp_path}, sha256 ")


def test_class_folders_alone_are_split_by_seed(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 10)
    fill(tmp_path / "ape", 20, value=100)
    first, other = folder.load(tmp_path), folder.load(tmp_path, split_seed=1)
    assert first.test.labels.bincount().tolist() == [4, 2]
    assert first.train.labels.bincount().tolist() == [16, 8]
    for split in (first.train, first.test):
        assert split.labels.eq((split.inputs[:, 0, 0, 0] < 100).long()).all()
    assert not first.test.inputs.equal(other.test.inputs)


def test_jpeg_size_and_grey(tmp_path: Path) -> None:
    fill(tmp_path / "cat", 3, (10, 12, 3), ".jpg")
    fill(tmp_path / "ape", 3, (8, 8), ".JPEG")
    (tmp_path / "ape" / ".DS_Store").write_bytes(b"x")
    dataset = folder.load(tmp_path, size=6, grey=True)
    assert dataset.input_shape == (1, 6, 6)
    assert dataset.pixels == "jpeg, resized to 6x6"


def test_a_changed_file_is_decoded_again(tmp_path: Path, own_cache: Path) -> None:
    data = tmp_path / "data"
    fill(data / "train" / "cat", 2)
    fill(data / "train" / "ape", 2)
    fill(data / "test" / "ape", 1)
    before = folder.load(data)
    assert len(list(own_cache.iterdir())) == 1
    fill(data / "train" / "ape", 1, value=77)
    os.utime(data / "train" / "ape" / "0.png", ns=(1, 1))
    assert folder.load(data).train.inputs[0, 0, 0, 0].item() == 77
    assert before.train.inputs[0, 0, 0, 0].item() == 0


def broken(root: Path) -> None:
    (root / "cat" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def other_size(root: Path) -> None:
    fill(root / "cat", 1, (9, 8, 3))


def other_file(root: Path) -> None:
    (root / "cat" / "notes.txt").write_text("x")


def empty_class(root: Path) -> None:
    (root / "dog").mkdir()


def one_image(root: Path) -> None:
    fill(root / "dog", 1)


def no_test(root: Path) -> None:
    fill(root / "train" / "cat", 1)


def one_class(root: Path) -> None:
    for path in [*(root / "cat").iterdir(), root / "cat"]:
        path.unlink() if path.is_file() else path.rmdir()


def split(root: Path) -> None:
    for part in ("train/a", "train/b", "test/a"):
        fill(root / part, 1)
    for name in ("ape", "cat"):
        shutil.rmtree(root / name)


def new_class_in_test(root: Path) -> None:
    split(root)
    fill(root / "test" / "c", 1)


def stray_image(root: Path) -> None:
    fill(root, 1)


def stray_image_beside_the_splits(root: Path) -> None:
    split(root)
    fill(root, 1, suffix=".JPG")


def stray_image_in_a_split(root: Path) -> None:
    split(root)
    fill(root / "test", 1)


def class_beside_the_splits(root: Path) -> None:
    split(root)
    fill(root / "c", 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken, "cat/0.png is not a PNG or a JPEG image, or is damaged"),
        (other_size, "cat/0.png is 8x9 and"),
        (other_file, "notes.txt is neither a PNG nor a JPEG file"),
        (empty_class, "dog has no images"),
        (one_image, "class 'dog' has one image"),
        (no_test, "has train/ and no test/"),
        (one_class, "must have one subfolder per class, at least 2, and has 1"),
        (new_class_in_test, "class 'c' is in"),
        (stray_image, "data/0.png is of no class: move it into a class folder or away"),
        (stray_image_beside_the_splits, "data/0.JPG is of no class"),
        (stray_image_in_a_split, "test/0.png is of no class"),
        (class_beside_the_splits, "data/c has images, which are of no split: move it into"),
    ],
)
def test_one_error_names_what_is_wrong(tmp_path: Path, damage, message: str) -> None:
    fill(tmp_path / "data" / "ape", 3)
    fill(tmp_path / "data" / "cat", 3)
    damage(tmp_path / "data")
    with pytest.raises(DatasetError, match=re.escape(message)) as caught:
        folder.load(tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_what_holds_no_images_may_lie_beside_the_folders(tmp_path: Path) -> None:
    for place in (tmp_path / "whole", tmp_path / "split"):
        fill(place / "ape", 3)
        fill(place / "cat", 3)
        (place / "README.md").write_text("x")
        fill(place, 1, suffix="-thumbnail.png")
        (place / "0-thumbnail.png").rename(place / ".thumbnail.png")
    split(tmp_path / "split")
    # Another dataset of the same run, say.
    fill(tmp_path / "split" / "other" / "train", 1)
    for place, classes in (("whole", ("ape", "cat")), ("split", ("a", "b"))):
        assert folder.load(tmp_path / place).classes == classes


def test_data_dir_and_size_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="needs data_dir"):
        folder.load()
    with pytest.raises(DatasetError, match="is not a folder"):
        folder.load(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="size=0"):
        folder.load(tmp_path, size=0)
