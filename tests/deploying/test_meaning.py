"""Parties to whom a class number or a table's value means different things do not train together."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch

from cutlayer.dataset import Dataset, Split
from cutlayer.deploying import place
from cutlayer.deploying.meaning import in_words, meaning, unlike
from cutlayer.deploying.roll import Present, Roll
from cutlayer.transport.duplex import Duplex, RefusedError
from tests.deploying.test_hostile import first_words
from tests.deployments import CUTS, Deployment, ends_well, plan_of
from tests.scenes import made, made_dataset

__all__ = ["made"]
OTHERS = replace(made_dataset(), classes=("b", "c", "d", "e"))
CLASSES = "numbers in the data of {} and of {} mean different things, by the classes or their order"


def table(**values: object) -> Dataset:
    split = Split(torch.rand(4, 2), torch.arange(4) % 2)
    told = {"features": ("age", "job=clerk"), "ranges": ((18.0, 93.5), (0.0, 1.0)), **values}
    return Dataset("table", split, split, ("no", "yes"), **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, ""),
        ({"features": ("age", "job=nurse")}, "by the columns, the words in them, or their order"),
        ({"ranges": ((0.0, 120.0), (0.0, 1.0))}, "by the numbers of a column that become 0 and 1 (table.columns)"),
    ],
)
def test_what_differs_is_named_and_rows_of_ones_own_are_no_difference(other, said):
    one, another = (meaning(table(**values), "plan") for values in ({}, other))
    assert unlike("c1", another, "c0", one).partition(", ")[2] == said


def test_a_digest_says_nothing_of_another_plan_and_none_of_the_names():
    one, another = meaning(table(), "plan"), meaning(table(), "another")
    assert all(one[aspect] != another[aspect] for aspect in one)
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in one.values())


def test_whoever_brings_data_can_see_what_they_mean():
    assert in_words(table()) == "classes 0 no, 1 yes; features age 18..93.5, job=clerk"
    many = replace(made_dataset(), classes=tuple(f"k{number}" for number in range(20)))
    assert in_words(many).endswith("10 k10, 11 k11 and 8 more")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("protocol", [pytest.param(p, marks=pytest.mark.slow if p != "vanilla" else ()) for p in CUTS])
def test_a_client_with_other_classes_is_refused_before_the_first_step_and_may_come_with_the_right_ones(
    tmp_path, monkeypatch, protocol
):
    """As many as the plan has, by other names: the server has data here and compares with its own."""
    brought = iter([made_dataset(), made_dataset(), OTHERS, made_dataset()])
    monkeypatch.setattr(place, "load_dataset", lambda experiment, mixed: next(brought))
    deployed = Deployment(plan_of(2, epochs=1, protocol=protocol), tmp_path)
    threads = [deployed.serve(), deployed.join("c0"), deployed.join("c1")]
    threads[2].join()
    error = deployed.errors.pop()
    assert isinstance(error, RefusedError)
    assert str(error) == CLASSES.format("c1", "the server")
    assert deployed.places["server"].durable.party.step == 0
    threads[2] = deployed.join("c1")
    ends_well(deployed, *threads)


def joined(deployed: Deployment, roll: Roll, **meant: dict[str, str]) -> dict[str, Duplex]:
    links = {name: Duplex(name) for name in meant}
    for name, link in links.items():
        link.came(first_words(deployed, name, meaning=meant[name]))
        roll.admit(link)
    return links


def there(roll: Roll) -> list[Present]:
    return [found for name in roll.names if (found := roll.present(name))]


def test_where_the_server_has_no_data_clients_are_held_to_the_first_who_hears_of_it(tmp_path):
    deployed = Deployment(plan_of(3), tmp_path)
    roll = Roll(deployed.plan, True, deployed.said.append)
    right, wrong = (meaning(dataset, deployed.plan.fingerprint) for dataset in (made_dataset(), OTHERS))
    links = joined(deployed, roll, c0=right, c1=wrong, c2=right)
    assert not roll.same_meaning({}, there(roll))
    assert [link.alive for link in links.values()] == [True, False, True]
    assert str(links["c1"].why) == CLASSES.format("c1", "c0")
    assert json.loads(next(links["c0"].leaving())) == {"verb": "wait", "why": CLASSES.format("c1", "c0")}
    links |= joined(deployed, roll, c1=right)
    assert roll.same_meaning({}, there(roll))


def test_who_comes_back_with_another_meaning_than_all_began_with_is_refused(tmp_path):
    deployed = Deployment(plan_of(2), tmp_path)
    roll = Roll(deployed.plan, True, deployed.said.append)
    right, wrong = (meaning(dataset, deployed.plan.fingerprint) for dataset in (made_dataset(), OTHERS))
    roll.hold_to({"c0": 22, "c1": 22}, right)
    joined(deployed, roll, c0=right)
    with pytest.raises(RefusedError, match=CLASSES.format("c1", "all when the training began")):
        joined(deployed, roll, c1=wrong)
