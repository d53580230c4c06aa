"""A victim's folder that holds something else: told in one sentence, never a traceback, and no training is blocked."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cutlayer.auditing.victim import Victim, all_steps, key, train
from cutlayer.checksum import pack_checked
from cutlayer.experiment import ExperimentError
from cutlayer.scene import settle
from cutlayer.scene.scene import Scene
from tests.cells import quiet
from tests.disks import flip_a_bit
from tests.scenes import made, made_dataset, scene_of
from tests.trainings import interrupted_at, same

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


@pytest.mark.parametrize("damage", ["cut off", "gone", "another network's", "one bit", "history"])
def test_a_damaged_victim_is_told_in_one_sentence(tmp_path: Path, damage: str) -> None:
    scene = scene_of(epochs=1, cut="1", protocol="vanilla")
    train(scene, tmp_path, quiet)
    folder = tmp_path / "victims" / key(scene)
    weights = folder / "model.safetensors"
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "gone":
        weights.unlink()
    elif damage == "another network's":
        weights.write_bytes(pack_checked({"weight": torch.zeros(1)}))
    elif damage == "one bit":
        flip_a_bit(weights)
    else:
        (folder / "history.json").write_text("{")
    name = "history.json" if damage == "history" else weights.name
    with pytest.raises(ExperimentError, match=f"{folder / name} is of another version, or damaged: remove {folder}$"):
        train(scene, tmp_path, quiet)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cut off": ("client-0.safetensors: Error while deserializing", lambda kept: cut_off(kept / "client-0.safetensors")),
    "empty": ("server.safetensors: ", lambda kept: (kept / "server.safetensors").write_bytes(b"")),
    "gone": (
        "server.safetensors is missing",
        lambda kept: (kept / "server.safetensors").unlink(),
    ),
    "another network's": (
        "server.safetensors: no weights.* of the shape",
        lambda kept: (kept / "server.safetensors").write_bytes(pack_checked({"weights.0.fc.weight": torch.zeros(1)})),
    ),
    "one bit": ("server.safetensors: its checksum does not hold", lambda kept: flip_a_bit(kept / "server.safetensors")),
    "history cut off": ("measured.json: ", lambda kept: cut_off(kept / "measured.json")),
    "history of another kind": ("measured.json: ", lambda kept: (kept / "measured.json").write_text("[1]")),
    "no history": ("No such file .*measured.json", lambda kept: (kept / "measured.json").unlink()),
}


def small() -> Scene:
    return scene_of(epochs=3, cut="1", protocol="vanilla", batch_size=22)


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> tuple[Victim, Path]:
    """A victim, and the folder of its training as that stood in the third of three epochs, with the first one kept."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settle, "load_dataset", lambda experiment: made_dataset())
        for epoch in (1, 2):
            with pytest.raises(KeyboardInterrupt):
                train(small(), folder / f"{epoch}", interrupted_at(all_steps(small()) // 3 * epoch + 1))
        kept = {epoch: folder / f"{epoch}" / "victims" / key(small()) / "vanilla-1" for epoch in (1, 2)}
        shutil.copytree(kept[1], kept[2], dirs_exist_ok=True)
        return train(small(), folder / "through", quiet), folder / "2"


@pytest.mark.parametrize(("damage", "earlier"), [*((damage, False) for damage in DAMAGES), ("cut off", True)])
def test_a_damaged_epoch_is_told_in_one_line_and_trained_again(
    tmp_path: Path, broken_off: tuple[Victim, Path], damage: str, earlier: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (words, spoil), (through, whole), run = DAMAGES[damage], broken_off, tmp_path / "run"
    shutil.copytree(whole, run)
    epoch = all_steps(small()) // 3
    kept = run / "victims" / key(small()) / "vanilla-1" / f"step-{2 * epoch}"
    if not earlier:
        shutil.rmtree(kept.with_name(f"step-{epoch}"))
    spoil(kept)
    steps: list[tuple[int, bool]] = []
    with caplog.at_level(logging.WARNING):
        again = train(small(), run, lambda what, done, total: steps.append((done, kept.exists())))
    (told,) = caplog.messages
    assert told.startswith(f"{kept} is damaged, and what it held is trained again: ")
    assert re.search(words, told)
    assert "\n" not in told
    assert steps[0] == ((epoch if earlier else 0) + 1, False)
    assert same(through, again)
    assert through.history == again.history
