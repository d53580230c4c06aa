from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.dataset import DatasetError
from cutlayer.datasets import cifar10


def test_pixels_picks_the_folder_and_the_files_say_what_they_are(write) -> None:
    for folder, kind, count in (("cifar10", "JPEG", 3), ("cifar10_lossless", "PNG", 2)):
        write(folder, "train", range(count), kind=kind)
        data = write(folder, "test", range(count), kind=kind)
    default, jpeg, lossless = (
        cifar10.load(data),
        cifar10.load(data, pixels="jpeg"),
        cifar10.load(data, pixels="lossless"),
    )
    assert (default.pixels, jpeg.pixels, lossless.pixels) == ("jpeg", "jpeg", "lossless")
    assert (len(default.train), len(jpeg.train), len(lossless.train)) == (3, 3, 2)
    assert default.input_shape == lossless.input_shape == (3, 32, 32)
    assert lossless.source.endswith("cifar10_lossless")


def test_original_files_in_the_plain_folder_are_called_lossless(write) -> None:
    write("cifar10", "train", [0, 1])
    assert cifar10.load(write("cifar10", "test", [0])).pixels == "lossless"


def test_the_hub_has_its_images_in_the_column_img(write, hub, tmp_path: Path) -> None:
    write("hub", "train", [0, 1], image="img")
    write("hub", "test", [1], image="img")
    calls = hub(tmp_path / "hub")
    dataset = cifar10.load()
    assert [call["path"] for call in calls] == ["uoft-cs/cifar10"]
    assert (dataset.input_shape, dataset.pixels) == ((3, 32, 32), "lossless")


def test_jpeg_from_the_hub_is_refused() -> None:
    with pytest.raises(DatasetError, match="original pixels: pixels=jpeg needs data_dir"):
        cifar10.load(pixels="jpeg")


@pytest.mark.slow
def test_the_real_lossless_files(real: Path) -> None:
    dataset = cifar10.load(real, pixels="lossless")
    assert (len(dataset.train), len(dataset.test)) == (7044, 1000)
    assert dataset.input_shape == (3, 32, 32)
    assert dataset.pixels == "lossless"
    counts = dataset.train.labels.bincount()
    assert (counts.min().item(), counts.max().item()) == (676, 746)


@pytest.mark.slow
def test_the_real_jpeg_files(real: Path) -> None:
    dataset = cifar10.load(real)
    assert dataset.train.labels.bincount().tolist() == [5000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
    assert dataset.pixels == "jpeg"
    # The published channel means of the lossless images; JPEG at quality 75 moves them by less than this.
    means = (dataset.train.inputs.double() / 255).mean((0, 2, 3)).tolist()
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.002)
