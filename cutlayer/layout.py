"""Where files lie in the folder of a run, and in that of a party of a deployment: their names are told here alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


def file_name(*parts: str) -> str:
    """``parts`` as the name of one file or folder, in letters that every file system takes."""
    return re.sub(r"[^\w.+-]+", "_", "-".join(parts))


def model_name(model: str) -> str:
    """A model as names of folders have it: of ``path/to/net.py:build`` the file's own name, without its ending."""
    return Path(model.rpartition(":")[0]).stem or model


@dataclass(frozen=True)
class RunFolder:
    """What the cells of one command leave, and what they share."""

    path: Path

    @property
    def report(self) -> Path:
        """The page on all cells."""
        return self.path / "report.html"

    @property
    def reproduction(self) -> Path:
        """The page that sets them beside a paper's values."""
        return self.path / "reproduction.html"

    @property
    def request(self) -> Path:
        """The names of the cells that the last command has asked for, a line each; there as soon as it begins."""
        return self.path / "request.txt"

    @property
    def cells(self) -> Path:
        """A folder for each, with its record."""
        return self.path / "cells"

    def cell(self, name: str) -> Path:
        """One of them."""
        return self.cells / name

    def begun(self, name: str) -> Path:
        """Where a training stands that a cell's own adversary attends, by its fingerprint, or that is recorded."""
        return self.path / "begun" / name

    def shelf(self, key: str) -> Path:
        """What the attacks of several cells share."""
        return self.path / "shelf" / key

    def victim(self, key: str) -> VictimFolder:
        """A trained deployment that several cells meet."""
        return VictimFolder(self.path / "victims" / key)

    def recording(self, name: str) -> RecordingFolder:
        """What the server saw of one deployment; it can be given away."""
        return RecordingFolder(self.path / "recordings" / name)

    def truth(self, name: str) -> TruthFolder:
        """What only the judge may read of the recording with this name."""
        return TruthFolder(self.path / "truths" / name)

    def replay(self, name: str) -> RunFolder:
        """The cells of attacks on that recording: a run within this one."""
        return RunFolder(self.path / "replays" / name)


@dataclass(frozen=True)
class VictimFolder:
    """A trained deployment; as long as it is not, where its training stands."""

    path: Path

    @property
    def weights(self) -> Path:
        """Of the whole network."""
        return self.path / "model.safetensors"

    @property
    def history(self) -> Path:
        """How the training went; written last, so where it is, all is."""
        return self.path / "history.json"

    @property
    def noise(self) -> Path:
        """Its accuracies under noise, which are the same for every attack."""
        return self.path / "noise"

    def begun(self, place: str) -> Path:
        """Where an honest training in this protocol and cut stands."""
        return self.path / place

    @property
    def attended(self) -> Path:
        """Where the training stands that is done with an adversary there."""
        return self.begun("begun")


@dataclass(frozen=True)
class RecordingFolder:
    """What a party kept of its own wire, in segments."""

    path: Path

    @property
    def about(self) -> Path:
        """What it holds and was told; a run writes it last, so where it is, all is."""
        return self.path / "recording.json"

    @property
    def wires(self) -> list[Path]:
        """The messages of all segments."""
        return sorted(self.path.glob("*.wire"))

    @property
    def lock(self) -> Path:
        """Beside the folder, which is given away."""
        return self.path.with_name(f".{self.path.name}.lock")

    @property
    def run(self) -> RunFolder:
        """The run that made it."""
        return RunFolder(self.path.parent.parent)

    @property
    def begun(self) -> Path:
        """Where its training stands until it is finished: all parties' states, which are not given away."""
        return self.run.begun(self.path.name)

    @property
    def truth(self) -> TruthFolder:
        """The judge's side of it, in that run."""
        return self.run.truth(self.path.name)

    @property
    def replay(self) -> RunFolder:
        """Attacks on it, in that run."""
        return self.run.replay(self.path.name)

    @property
    def guesses(self) -> Path:
        """Of attacks on it where there is no truth: in the folder of the party that made it."""
        return PartyFolder(self.path.parent).guesses

    def wire(self, segment: str) -> Path:
        """The messages of a segment."""
        return self.path / f"{segment}.wire"

    def targets(self, segment: str) -> Path:
        """Their places on the wire."""
        return self.path / f"{segment}.targets.json"

    def own_state(self, segment: str, when: str) -> Path:
        """The recording party's own state ``before`` or ``after`` a segment."""
        return self.path / f"{segment}.{when}.safetensors"


@dataclass(frozen=True)
class TruthFolder:
    """What a recording must not hold."""

    path: Path

    @property
    def experiment(self) -> Path:
        """The one behind the recording, and how its training went."""
        return self.path / "truth.json"

    def rows(self, segment: str) -> Path:
        """Which sample each target was."""
        return self.path / segment / "rows.json"

    def state(self, segment: str, party: str) -> Path:
        """A party's state after a segment."""
        return self.path / segment / f"{party}.safetensors"

    def states(self, segment: str) -> list[Path]:
        """Those of all parties."""
        return sorted((self.path / segment).glob("*.safetensors"))


@dataclass(frozen=True)
class PartyFolder:
    """What one party of a deployment keeps, and in the end has."""

    path: Path

    @property
    def part(self) -> Path:
        """Its own part of the network."""
        return self.path / "part.safetensors"

    @property
    def record(self) -> Path:
        """Its own account."""
        return self.path / "record.json"

    @property
    def lock(self) -> Path:
        """Held by the process that works here."""
        return self.path / "lock"

    @property
    def recording(self) -> RecordingFolder:
        """What it saw, where its settings say so."""
        return RecordingFolder(self.path / "recording")

    @property
    def guesses(self) -> Path:
        """What attacks made of that."""
        return self.path / "guesses"

    @property
    def state(self) -> Path:
        """What outlives a process, and goes with the end of the training."""
        return self.path / "state"

    @property
    def secret(self) -> Path:
        """What its own draws come from."""
        return self.state / "secret"

    @property
    def rows(self) -> Path:
        """The training rows of each client, at the server that drives."""
        return self.state / "rows.safetensors"

    @property
    def client_part(self) -> Path:
        """The client's part between turns, at whoever keeps it."""
        return self.state / "client_part.frame"
