from __future__ import annotations

import re
from pathlib import Path

import pytest

from cutlayer.deploying.terms import PLAN_KEYS, Terms, differences, make_plan
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.order import batch_sizes
from tests.deployments import plan_of

GOOD = {"protocol": "vanilla", "model": "lenet", "cut": 2, "inputs": [1, 28, 28], "classes": 10, "clients": ["alice"]}


def test_two_equal_plans_share_a_fingerprint_and_differ_in_nothing():
    one, other = make_plan(GOOD), make_plan({**GOOD, "cut": "pool1"})
    assert one.fingerprint == other.fingerprint
    assert differences(one.agreed(), other.agreed(), "alice") == ""


@pytest.mark.parametrize(
    ("key", "value", "here", "there", "besides"),
    [
        ("cut", 4, '"2"', '"4"', ""),
        ("seed", 2, "1", "2", ""),
        ("batch_size", 32, "64", "32", ""),
        ("learning_rate", 0.01, "0.001", "0.01", ""),
        ("clients", ["bob"], '["alice"]', '["bob"]', ""),
        ("model", "stripnet", '"lenet"', '"stripnet"', "architecture"),
        ("classes", 11, "10", "11", "architecture"),
        ("epochs", 3, "10", "3", ""),
        ("momentum", 0.5, "0.0", "0.5", ""),
        ("handover", "server", '"peer"', '"server"', ""),
        ("turn", 5, "0", "5", ""),
        ("pipelined", True, "false", "true", ""),
        ("protocol", "u_shaped", '"vanilla"', '"u_shaped"', "cut"),
    ],
)
def test_a_difference_is_named_with_both_values(key, value, here, there, besides):
    one, other = make_plan(GOOD), make_plan({**GOOD, key: value})
    assert one.fingerprint != other.fingerprint
    wanted = [f"{key} is {here} at the server, {there} at alice"]
    if besides:
        values = (plan.agreed()[besides] for plan in (one, other))
        wanted.append('{} is "{}" at the server, "{}" at alice'.format(besides, *values))
    assert sorted(differences(one.agreed(), other.agreed(), "alice").split("; ")) == sorted(wanted)


def test_another_dropout_rate_in_a_file_of_the_users_own_is_another_plan(tmp_path):
    def plan(rate):
        file = tmp_path / f"net{rate}.py"
        layers = f"torch.nn.Linear(4, 4), torch.nn.Dropout(0.{rate}), torch.nn.Linear(4, 2)"
        file.write_text(f"import torch\ndef net():\n    return torch.nn.Sequential({layers})\n")
        return make_plan({**GOOD, "model": f"{file}:net", "inputs": [4], "classes": 2, "cut": 0})

    one, other = plan(1), plan(2)
    assert differences(one.agreed(), other.agreed(), "bob").startswith("architecture is ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clients": []}, "clients = "),
        ({"clients": ["a b"]}, "cannot be a name"),
        ({"clients": ["a", "a"]}, "named twice"),
        ({"cut": 99}, "cut 99 is outside the model"),
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"learning_rate": -1}, "learning_rate = -1"),
        ({"model": "lenett"}, "did you mean 'lenet'"),
        ({"protocol": "auto"}, "a plan names it"),
        ({"handover": "trusted_party"}, "go together"),
        ({"attack": "fsha"}, "unknown key 'attack'"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused_in_one_sentence(change, message):
    with pytest.raises(ExperimentError, match=message) as caught:
        make_plan({**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["protocol", "model", "inputs", "classes", "clients"])
def test_what_every_party_must_know_cannot_be_left_out(key):
    with pytest.raises(ExperimentError, match=f"does not say '{key}'"):
        make_plan({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("length", [0, 1, 3])
def test_turns_cover_every_batch_of_every_epoch_once(length):
    rows = [20, 33, 8]
    turns = plan_of(3, turn=length).turns(rows)
    assert [turn.number for turn in turns] == list(range(1, len(turns) + 1))
    for epoch in (1, 2):
        for client, size in enumerate(rows):
            own = [turn for turn in turns if (turn.epoch, turn.client) == (epoch, client)]
            batches = [number for turn in own for number in range(turn.first, turn.first + turn.count)]
            assert batches == list(range(len(batch_sizes(size, 8))))
            assert all(turn.count == length for turn in own[:-1]) or length == 0


def test_the_page_names_the_keys_that_no_experiment_has():
    page = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text()
    (said,) = re.findall(r"share, and seven more: (.*?)\.", page, re.DOTALL)
    assert re.findall(r"`(\w+)`", said) == list(Terms.model_fields)
    assert len(Terms.model_fields) == 7


OWN_KEYS = {
    *("name", "out", "dataset", "data_dir", "train_rows", "test_rows", "share", "weights", "plugins"),
    *("validation_rows", "validation_from", "patience"),
    *("attack", "under", "defense", "steps", "when", "targets", "target_batch", "offers", "options"),
    *("aux", "aux_rows", "aux_adapt", "budget", "budget_unit", "pixel_budgets", "malicious"),
    *("transfer", "transfer_epochs", "transfer_mode", "transfer_mean", "transfer_std", "leak", "partial"),
    *("device", "precision", "memory_format", "threads", "carrier", "isolate", "link"),
}
"""Of an experiment: what is each party's own affair in a deployment, and what there is in an audit alone."""


def test_every_key_of_a_plan_is_compared():
    assert set(Experiment.model_fields) - set(PLAN_KEYS) == OWN_KEYS
    assert set(PLAN_KEYS) <= make_plan(GOOD).agreed().keys()
