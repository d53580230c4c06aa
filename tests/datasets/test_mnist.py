from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cutlayer.datasets import mnist


def test_small_files_load_as_grey_images(write) -> None:
    names = [str(digit) for digit in range(10)]
    write("mnist", "train", range(10), (28, 28), names)
    folder = write("mnist", "test", [3, 1], (28, 28), names)
    dataset = mnist.load(folder)
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.classes == tuple(names)
    assert dataset.train.labels.tolist() == list(range(10))
    assert (len(dataset.train), len(dataset.test)) == (10, 2)
    assert dataset.source == str(folder / "mnist")
    assert dataset.pixels == "lossless"


def test_the_hub_is_asked_for_the_right_id_at_a_fixed_revision(write, hub, tmp_path: Path) -> None:
    write("hub", "train", [0, 1], (28, 28), ["0", "1"])
    write("hub", "test", [1], (28, 28), ["0", "1"])
    calls = hub(tmp_path / "hub")
    dataset = mnist.load()
    assert calls == [{"path": "ylecun/mnist", "data_files": None, "revision": "c0ffee"}]
    assert dataset.source == "ylecun/mnist@c0ffee"
    assert mnist.load().source == dataset.source
    assert len(calls) == 1, "the second load comes from the cache"


@pytest.mark.slow
def test_the_real_files(real: Path, own_cache: Path) -> None:
    dataset = mnist.load(real)
    assert (len(dataset.train), len(dataset.test)) == (60_000, 10_000)
    assert dataset.input_shape == (1, 28, 28)
    pixels = dataset.train.inputs.double() / 255
    assert round(pixels.mean().item(), 4) == 0.1307
    assert round(pixels.std().item(), 4) == 0.3081
    assert dataset.train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    start = time.perf_counter()
    again = mnist.load(real)
    assert time.perf_counter() - start < 1
    assert again.train.inputs.equal(dataset.train.inputs)
    assert again.test.labels.equal(dataset.test.labels)
    code = "import sys, pathlib; from cutlayer.datasets import mnist\n"
    code += f"mnist.load(pathlib.Path({str(real)!r})); sys.exit('datasets' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
