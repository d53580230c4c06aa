"""The adversary's own data: never the targets, of the client's form, and refused before anything is trained."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from cutlayer.attacks.unsplit import UnSplit
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.victim import key
from cutlayer.data.auxiliary import Auxiliary, auxiliary
from cutlayer.dataset import Dataset, DatasetError, Split
from cutlayer.experiment import ExperimentError, make
from cutlayer.scene import scene
from cutlayer.scene.settle import settle
from cutlayer.simulation.assembly import brief
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel
from tests.scenes import PLUGINS


def made(name: str, shape: tuple[int, ...] = (1, 16, 16), rows: int = 40, classes: str = "ab") -> Dataset:
    """Every image has one brightness, which is its row's number; test images are brighter by 100."""
    numbers = torch.arange(rows, dtype=torch.uint8)

    def split(first: int) -> Split:
        images = (numbers + first).view(-1, *(1 for _ in shape)).expand(-1, *shape).contiguous()
        return Split(images, numbers.long() % len(classes))

    return Dataset(name, split(0), split(100), tuple(classes))


def brightness(found: Auxiliary) -> list[int]:
    inputs: Tensor = found.inputs()
    return [round(255 * value) for value in inputs.flatten(1).mean(1).tolist()]


def test_rows_of_the_test_split_are_given_without_the_targets() -> None:
    found = auxiliary(made("own"), "test", torch.tensor([0, 3]), None, 1)
    assert brightness(found) == [100 + row for row in range(40) if row not in {0, 3}]
    assert found.labels().tolist() == [row % 2 for row in range(40) if row not in {0, 3}]
    assert found.labeled


def test_the_victims_own_training_rows_can_be_given() -> None:
    assert brightness(auxiliary(made("own"), "train", torch.tensor([0]), None, 1)) == list(range(40))


def test_a_share_is_what_no_client_holds() -> None:
    scenes = settled(aux="share", clients=3, seed=4)
    found, hands = scenes[0].auxiliary, scenes[0].deal()
    assert found is not None
    assert sorted(len(hand) for hand in hands) == [10, 10, 10]
    assert sorted([*brightness(found), *torch.cat(hands).tolist()]) == list(range(40))
    skewed = settled(aux="share", clients=3, seed=4, skew=0.1)[0]
    assert skewed.auxiliary is not None
    # Whatever the clients hold, the share is one of all rows alike.
    assert len(skewed.auxiliary) == 10
    assert sorted([*brightness(skewed.auxiliary), *torch.cat(skewed.deal()).tolist()]) == list(range(40))
    assert [len(hand) for hand in settled(clients=4)[0].deal()] == [10] * 4
    with pytest.raises(ExperimentError, match="clients = 40 and a share that no client gets: there are only 40 "):
        settled(aux="share", clients=40)


def test_a_share_of_any_size_is_withheld_whatever_the_adversary_has() -> None:
    for aux in ("share", "test"):
        (scene,) = settled(aux=aux, clients=3, seed=4, share=0.2)
        assert [len(hand) for hand in scene.deal()] == [11, 11, 10]
        assert key(scene) != key(settled(aux=aux, clients=3, seed=4)[0])
    found = settled(aux="share", clients=3, seed=4, share=0.2)[0]
    assert found.auxiliary is not None
    assert sorted([*brightness(found.auxiliary), *torch.cat(found.deal()).tolist()]) == list(range(40))
    with pytest.raises(ExperimentError, match="share = 1: must be less than 1"):
        settled(share=1)
    with pytest.raises(ExperimentError, match="clients = 35 and a share that no client gets: there are only 40"):
        settled(aux="share", clients=35, share=0.2)


def test_a_victim_is_another_one_where_a_share_is_withheld() -> None:
    keys = {key(settled(aux=aux)[0]) for aux in ("test", "train", "share")}
    assert len(keys) == 2


def test_fewer_rows_are_drawn_from_the_seed() -> None:
    def drawn(seed: int, source: str = "train", other: Dataset | None = None) -> list[int]:
        return brightness(auxiliary(made("own"), source, torch.tensor([0]), 8, seed, other))

    rows = drawn(1)
    assert len(set(rows)) == 8
    assert rows == sorted(rows) == drawn(1)
    assert rows != drawn(2)
    # Those of another dataset, too: no seed of the victim's data chooses among them.
    assert drawn(1, "other", made("other")) == rows
    assert set(drawn(3, "test")) <= {100 + row for row in range(1, 40)}


def test_another_dataset_is_resized_and_its_labels_mean_something_else() -> None:
    found = auxiliary(made("own"), "other", torch.tensor([0]), None, 1, made("other", (1, 8, 9), classes="xyz"))
    assert found.inputs().shape == (40, 1, 16, 16)
    assert brightness(found) == list(range(40))
    assert not found.labeled


@pytest.mark.parametrize(
    ("source", "count", "other", "said"),
    [
        ("test", 39, None, r"aux_rows = 39: aux = 'test' has only 38 rows"),
        ("other", None, made("other", (3, 16, 16)), r"aux = 'other': its inputs are \[3, 16, 16\], those of own are"),
        ("other", 41, made("other"), r"aux_rows = 41: aux = 'other' has only 40 rows"),
    ],
)
def test_data_that_do_not_fit_are_refused(source: str, count: int | None, other: Dataset | None, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        auxiliary(made("own"), source, torch.tensor([0, 3]), count, 1, other)


def test_where_all_rows_are_targets_nothing_is_left() -> None:
    with pytest.raises(DatasetError, match="every row is a target, none is left for the adversary; fewer targets"):
        auxiliary(made("own"), "test", torch.arange(40), None, 1)


def settled(**values: object) -> list[scene.Scene]:
    """Cells of the plug-in that asks for inputs and labels of its own."""
    datasets = {"own": made("own"), "other": made("other", (1, 8, 8), classes="xyz"), "color": made("color", (3, 8, 8))}

    def load(experiment: object, name: str = "") -> Dataset:
        return datasets[name or "own"]

    given = {"attack": "well_informed", "plugins": PLUGINS, "model": "unsplit_mnist", "cut": "1", "epochs": 1, **values}
    with patch("cutlayer.scene.settle.load_dataset", load):
        return settle(make(given))


def test_an_attack_that_asks_for_none_gets_none() -> None:
    assert settled(attack="unsplit")[0].auxiliary is None


def test_an_attack_that_asks_gets_the_experiments_choice() -> None:
    found = settled(aux="train", aux_rows=2)[0].auxiliary
    assert found is not None
    assert len(found) == 2


def test_a_wrong_choice_is_one_error_before_anything_is_trained() -> None:
    with pytest.raises(ExperimentError, match="aux = 'color': its inputs are"):
        settled(aux="color")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"aux": "share", "share": 0.01}, "share = 0.01: of 40 training rows that is none, and aux = 'share' gives"),
        (
            {"attack": "fgsm"},
            "aux = 'test': all 40 rows are targets, of which fgsm takes 100 where targets says nothing",
        ),
        (
            {"attack": "fgsm", "targets": 40},
            "aux = 'test': every row is a target, none is left for the adversary; fewer",
        ),
    ],
)
def test_where_nothing_is_left_for_the_adversary_the_value_behind_it_is_named(
    values: dict[str, object], said: str
) -> None:
    with pytest.raises(ExperimentError, match=said):
        settled(**values)


def test_a_backdoor_is_not_judged_on_images_that_its_server_trained_on() -> None:
    values = {"attack": "surrogate_client", "options": {"surrogate_client": {"size": 2}}}
    with pytest.raises(ExperimentError, match="aux = 'test': a backdoor is judged on the test split"):
        settled(**values, aux="test")
    assert [scene.experiment.aux for scene in settled(**values)] == ["share"]
    for aux in ("share", "train", "other"):
        (scene,) = settled(**values, aux=aux)
        assert scene.auxiliary is not None
        assert scene.auxiliary.split is not scene.dataset.test
    (beside,) = settled(attack="fgsm", under="surrogate_client", targets=10, options=values["options"])
    assert beside.under is not None
    assert beside.under.experiment.aux == "share"
    with pytest.raises(ExperimentError, match="aux = 'test': a backdoor is judged"):
        settled(attack="fgsm", under="surrogate_client", targets=10, options=values["options"], aux="test")
    # What clients plant they plant on images of their own.
    assert settled(attack="client_backdoor", options={"client_backdoor": {"size": 2}})


@pytest.mark.parametrize(
    ("goal", "knows", "said"),
    [
        (Goal.MODEL, Knows.AUX_INPUTS, "aux = 'test': a stolen model is judged on the test split"),
        (Goal.INPUTS, Knows.NATURAL_INPUTS, "unsplit declares natural_inputs, which are what it is to guess"),
    ],
)
def test_nobody_is_handed_what_the_guess_is_judged_on(goal: Goal, knows: Knows, said: str) -> None:
    threat = ThreatModel(Seat.SERVER, frozenset({goal}), frozenset({knows}))
    with patch.object(UnSplit, "threat", threat), pytest.raises(ExperimentError, match=said):
        settled(attack="unsplit", aux="test")


def test_labels_of_another_dataset_are_not_offered() -> None:
    both = ("aux_inputs", "aux_labels")
    assert {Knows.AUX_INPUTS, Knows.AUX_LABELS} <= set(brief(settled(offers=both)[0], attack=True).offers)
    of_another = brief(settled(offers=both, aux="other")[0], attack=True).offers
    assert Knows.AUX_INPUTS in of_another
    assert Knows.AUX_LABELS not in of_another


def test_outside_gives_what_there_is() -> None:
    found = settled(aux="train")[0].auxiliary
    assert found is not None
    outside = Outside(found)
    assert torch.equal(outside(Knows.AUX_INPUTS, {})["value"], found.inputs())
    assert torch.equal(outside(Knows.AUX_LABELS, {})["value"], found.labels())
    with pytest.raises(NotOfferedError, match="no data for aux_inputs"):
        Outside()(Knows.AUX_INPUTS, {})


def test_the_plugins_of_the_tests_are_where_they_are_looked_for() -> None:
    assert (Path(PLUGINS) / "attacks" / "well_informed.py").is_file()


def test_another_number_of_channels_is_adapted_only_where_that_is_asked_for() -> None:
    gray, color = made("own"), made("other", (3, 8, 8))
    with pytest.raises(DatasetError, match=r"its inputs are \[3, 8, 8\], .* in channels only with aux_adapt=true"):
        auxiliary(gray, "other", torch.tensor([0]), None, 1, color)
    with pytest.raises(ExperimentError, match="in channels only with aux_adapt=true"):
        settled(aux="color")
    for victim, other in ((gray, color), (color, gray)):
        found = auxiliary(victim, "other", torch.tensor([0]), None, 1, other, adapt=True)
        assert found.inputs().shape == (40, *victim.input_shape)
        # Each image is as bright as it was, in every channel.
        assert brightness(found) == list(range(40))
        assert found.inputs().amax(1).sub(found.inputs().amin(1)).max() < 1e-6
    table = Split(torch.rand(4, 3), torch.tensor([0, 1, 0, 1]))
    rows = Dataset("rows", table, table, ("a", "b"), features=("x", "y", "z"))
    with pytest.raises(DatasetError, match="tables not at all"):
        auxiliary(gray, "rows", torch.tensor([0]), None, 1, rows, adapt=True)
    assert settled(aux="color", aux_adapt=True)[0].auxiliary is not None
