from __future__ import annotations

from pathlib import Path

from cutlayer.datasets import svhn


def test_files_in_a_folder(write) -> None:
    write("svhn", "train", [0, 9, 3], names=[str(digit) for digit in range(10)])
    dataset = svhn.load(write("svhn", "test", [1], names=[str(digit) for digit in range(10)]))
    assert dataset.train.labels.tolist() == [0, 9, 3]
    assert dataset.input_shape == (3, 32, 32)
    assert len(dataset.classes) == 10


def test_the_hub_is_asked_for_cropped_digits_without_the_extra_images(write, hub, tmp_path: Path) -> None:
    write("hub/cropped_digits", "train", [0, 1])
    write("hub/cropped_digits", "test", [1])
    write("hub/cropped_digits", "extra", [1, 1, 1, 1])
    write("hub/full_numbers", "train", [0, 1, 1])
    calls = hub(tmp_path / "hub")
    dataset = svhn.load()
    assert [call["path"] for call in calls] == ["ufldl-stanford/svhn"]
    assert (len(dataset.train), len(dataset.test)) == (2, 1)
    assert not any("extra" in pattern for pattern in calls[0]["data_files"].values())
