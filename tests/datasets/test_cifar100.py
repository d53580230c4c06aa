from __future__ import annotations

from pathlib import Path

from cutlayer.datasets import cifar100

NAMES = ["apple", "aquarium_fish", "baby"]


def test_fine_labels_are_taken_not_coarse_ones(write, hub, tmp_path: Path) -> None:
    layout = {"image": "img", "label": "fine_label", "names": NAMES}
    write("hub", "train", [2, 0, 1], **layout, more={"coarse_label": [0, 0, 0]})
    write("hub", "test", [1], **layout, more={"coarse_label": [0]})
    calls = hub(tmp_path / "hub")
    dataset = cifar100.load()
    assert [call["path"] for call in calls] == ["uoft-cs/cifar100"]
    assert dataset.classes == tuple(NAMES)
    assert dataset.train.labels.tolist() == [2, 0, 1]


def test_files_with_a_plain_label_column_load_too(write) -> None:
    write("cifar100", "train", [2, 0, 1], names=NAMES)
    dataset = cifar100.load(write("cifar100", "test", [1], names=NAMES))
    assert dataset.classes == tuple(NAMES)
    assert dataset.input_shape == (3, 32, 32)
