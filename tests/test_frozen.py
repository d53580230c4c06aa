"""A record is changed by names that it has and values that fit, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cutlayer.auditing.begun import Measured
from cutlayer.frozen import Frozen
from cutlayer.record import FAILED, AttackRun, Cell, Epoch, Record, Threat

EPOCH = Epoch(epoch=1, loss=0.5)


@pytest.mark.parametrize("kept", [Record(), Threat(), AttackRun(), EPOCH, Measured()])
def test_a_misspelt_name_is_refused(kept: Frozen) -> None:
    with pytest.raises(TypeError, match=f"{type(kept).__name__} has no epoochs, utilty$"):
        kept.changed(utilty=0.5, epoochs=())


@pytest.mark.parametrize(
    ("kept", "name", "value"),
    [
        (Record(), "utility", "high"),
        (Record(), "training", {"epoch": 1}),
        (Record(), "cell", "lenet"),
        (Record(), "traffic", {"train": 3}),
        (Threat(), "used", ["labels"]),
        (AttackRun(), "curves", {"loss": 0.5}),
        (EPOCH, "accuracy", "all"),
        (Measured(), "course", (EPOCH,)),
    ],
)
def test_a_value_of_a_wrong_type_is_refused(kept: Frozen, name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=rf"for {type(kept).__name__}\n{name}"):
        kept.changed(**{name: value})


@pytest.mark.parametrize(
    ("given", "kept"),
    [({"training": [EPOCH]}, (EPOCH,)), ({"utility": 1}, 1.0), ({"reason": "KeyError: "}, "KeyError:")],
)
def test_a_changed_record_is_as_one_made_anew_and_as_one_read(given: dict[str, Any], kept: object) -> None:
    (name,) = given
    changed = Record(cell=Cell(attack="unsplit"), seconds=2.0).changed(**given)
    assert (getattr(changed, name), type(getattr(changed, name))) == (kept, type(kept))
    assert changed == Record(cell=Cell(attack="unsplit"), seconds=2.0, **given)
    assert changed == Record.model_validate_json(changed.model_dump_json())


def test_a_change_leaves_the_first_as_it_was_and_copies_nothing_that_is_frozen() -> None:
    first = Record(training=(EPOCH,), experiment={"seed": 1})
    changed = first.changed(verified_by="another")
    changed.experiment["seed"] = 2
    assert (first.verified_by, first.experiment) == ("", {"seed": 1})
    assert changed.cell is first.cell
    assert changed.training[0] is EPOCH


def test_a_failed_cell_keeps_what_was_known_before_it_ran() -> None:
    failed = Record(cell=Cell(attack="unsplit"), fingerprint="f").ended(FAILED, "OSError: no space left")
    assert (failed.status, failed.verdict, failed.reason) == (FAILED, FAILED, "OSError: no space left")
    assert (failed.cell.attack, failed.fingerprint) == ("unsplit", "f")
