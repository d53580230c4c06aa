"""A wire codec of one's own in a plan."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cutlayer.experiment import ExperimentError
from tests.deployments import plan_of
from tests.scenes import PLUGINS

FEEDBACK = """
from dataclasses import dataclass
from cutlayer.defenses.half_precision import HalfPrecision
@dataclass
class Feedback(HalfPrecision):
    plain = "What rounding has lost is sent with the next message."
    def __post_init__(self): self._left = {}
    def pack(self, tensor):
        wanted = tensor + self._left.get(tensor.shape, 0)
        packed = super().pack(wanted)
        self._left[tensor.shape] = wanted - self.unpack(packed)
        return packed
"""


def test_a_codec_that_keeps_something_from_message_to_message_is_refused(tmp_path: Path) -> None:
    """After a restart a message made again would be another one, which the other party refuses."""
    shutil.copytree(PLUGINS / "models", tmp_path / "models")
    (tmp_path / "defenses").mkdir()
    (tmp_path / "defenses" / "feedback.py").write_text(FEEDBACK)
    with pytest.raises(ExperimentError, match="codec: feedback: the same message does not leave it the same each time"):
        plan_of(codec="feedback", plugins=tmp_path)
