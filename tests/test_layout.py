"""Names of files and folders that scripts of a user's own rely on: of a run, and of a party of a deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.layout import PartyFolder, RecordingFolder, RunFolder, file_name, model_name

RUN, PARTY = RunFolder(Path("runs/mine")), PartyFolder(Path("run"))
VICTIM, RECORDING = RUN.victim("3f1c"), RUN.recording("vanilla-digits")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (RUN.report, "report.html"),
        (RUN.reproduction, "reproduction.html"),
        (RUN.request, "request.txt"),
        (RUN.cell("unsplit-3f1c"), "cells/unsplit-3f1c"),
        (RUN.begun("3f1c"), "begun/3f1c"),
        (RUN.shelf("3f1c"), "shelf/3f1c"),
        (VICTIM.weights, "victims/3f1c/model.safetensors"),
        (VICTIM.history, "victims/3f1c/history.json"),
        (VICTIM.noise, "victims/3f1c/noise"),
        (VICTIM.begun("vanilla-1"), "victims/3f1c/vanilla-1"),
        (VICTIM.attended, "victims/3f1c/begun"),
        (RECORDING.about, "recordings/vanilla-digits/recording.json"),
        (RECORDING.wire("training"), "recordings/vanilla-digits/training.wire"),
        (RECORDING.targets("predict"), "recordings/vanilla-digits/predict.targets.json"),
        (RECORDING.own_state("training", "after"), "recordings/vanilla-digits/training.after.safetensors"),
        (RECORDING.lock, "recordings/.vanilla-digits.lock"),
        (RECORDING.begun, "begun/vanilla-digits"),
        (RECORDING.truth.experiment, "truths/vanilla-digits/truth.json"),
        (RECORDING.truth.rows("predict"), "truths/vanilla-digits/predict/rows.json"),
        (RECORDING.truth.state("predict", "client-0"), "truths/vanilla-digits/predict/client-0.safetensors"),
        (RECORDING.replay.report, "replays/vanilla-digits/report.html"),
        (RECORDING.replay.cell("unsplit-3f1c"), "replays/vanilla-digits/cells/unsplit-3f1c"),
    ],
)
def test_a_run_keeps_its_files_in_their_places(found: Path, told: str) -> None:
    assert found == Path("runs/mine", *told.split("/"))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (PARTY.part, "part.safetensors"),
        (PARTY.record, "record.json"),
        (PARTY.lock, "lock"),
        (PARTY.recording.about, "recording/recording.json"),
        (PARTY.recording.wire("session"), "recording/session.wire"),
        (PARTY.guesses, "guesses"),
        (PARTY.secret, "state/secret"),
        (PARTY.rows, "state/rows.safetensors"),
        (PARTY.client_part, "state/client_part.frame"),
    ],
)
def test_a_party_keeps_its_files_in_their_places(found: Path, told: str) -> None:
    assert found == Path("run", *told.split("/"))


def test_a_recording_knows_the_run_or_the_party_that_made_it() -> None:
    assert RecordingFolder(RECORDING.path).run == RUN
    assert RecordingFolder(PARTY.recording.path).guesses == PARTY.guesses


def test_a_folder_lists_what_lies_in_it(tmp_path: Path) -> None:
    recording = RunFolder(tmp_path).recording("mine")
    assert (recording.wires, recording.truth.states("predict")) == ([], [])
    wires = [recording.wire("predict"), recording.wire("training")]
    states = [recording.truth.state("predict", party) for party in ("client-0", "server")]
    for file in (*wires, recording.about, *states, recording.truth.rows("predict")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert (recording.wires, recording.truth.states("predict")) == (wires, states)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("u_shaped", "digits", "cut1:4", "seed1"), "u_shaped-digits-cut1_4-seed1"),
        (("inputs", "gaussian_noise, int8"), "inputs-gaussian_noise_int8"),
        (("../é ~",), ".._é_"),
        (("v1.2+3",), "v1.2+3"),
    ],
)
def test_whatever_is_named_after_values_is_a_name_of_one_file(parts: tuple[str, ...], name: str) -> None:
    assert file_name(*parts) == name


@pytest.mark.parametrize(
    ("model", "name"), [("lenet", "lenet"), ("path/to/net.py:build", "net"), ("v1.2", "v1.2"), ("lenet/a", "lenet/a")]
)
def test_a_model_of_a_file_is_named_after_the_file(model: str, name: str) -> None:
    assert model_name(model) == name
