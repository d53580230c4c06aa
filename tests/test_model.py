"""Models are cut by index or name, joined again, and adapted with a check by recomposition."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from cutlayer.model import CutError, blocks, cut_index, flop_count, join, parameter_count, sequence, split


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 4, 3), norm=nn.BatchNorm2d(4), relu=nn.ReLU(inplace=True),
            body=nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(inplace=True)), head=nn.Linear(8, 3),
        )
    )  # fmt: skip


INPUTS = torch.rand(5, 1, 8, 8)


@pytest.mark.parametrize(("cut", "index"), [(0, 0), ("conv", 0), ("2", 2), (3, 3), ("body", 3), (-2, 3), ("-5", 0)])
def test_a_cut_is_an_index_or_a_name(cut, index):
    assert cut_index(network(), cut) == index


def test_a_number_is_an_index_though_blocks_have_other_numbers_for_names():
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)))[1:]
    assert blocks(model) == ("1", "2", "3", "4")
    assert cut_index(model, 1) == cut_index(model, "1") == 1
    assert [[*dict(part.named_children())] for part in split(model, [1])] == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("cut", [4, 5, -1, -6, "head"])
def test_a_cut_that_leaves_a_party_nothing_is_refused(cut):
    said = "outside the model" if cut in {5, -6} else "behind the model's last block"
    with pytest.raises(CutError, match=f"{said}.*5 blocks, cuts go from 0 to 3"):
        cut_index(network(), cut)


def test_an_unknown_block_is_refused_with_the_nearest_name():
    with pytest.raises(CutError, match=r"no block 'boddy' to cut after \(did you mean 'body'.*conv, norm, relu"):
        cut_index(network(), "boddy")
    with pytest.raises(CutError, match=r"no block '1\.5' to cut after; blocks"):
        cut_index(network(), "1.5")


@pytest.mark.parametrize("cuts", [(0,), ("norm",), ("relu", "body"), (0, 1, 2, 3)])
def test_the_parts_are_the_model(cuts):
    model = network()
    parts = split(model, cuts)
    assert len(parts) == len(cuts) + 1
    assert [name for part in parts for name in blocks(part)] == list(blocks(model))
    states = {key: value for part in parts for key, value in part.state_dict().items()}
    assert list(states) == list(model.state_dict())
    value = INPUTS
    for part in parts:
        value = part(value)
    assert torch.equal(value, model(INPUTS))
    assert torch.equal(join(parts).eval()(INPUTS), nn.Sequential(*parts).eval()(INPUTS))


@pytest.mark.parametrize("cuts", [("body", "conv"), (1, 1)])
def test_cuts_out_of_order_are_refused(cuts):
    with pytest.raises(CutError, match="not in ascending order"):
        split(network(), cuts)


def test_parts_and_joins_are_copies():
    model = network()
    parts = split(model, ["norm"])
    whole = join(parts)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for module in (*parts, whole):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    untouched = join(split(model, ["norm"]))
    assert torch.equal(untouched.conv.weight, model.conv.weight)


def test_in_place_activations_become_ordinary_at_any_depth():
    model = network()
    first, second = split(model, ["norm"])
    assert not any(getattr(module, "inplace", False) for part in (first, second) for module in part.modules())
    assert model.relu.inplace
    smashed = first(INPUTS).detach()
    kept = smashed.clone()
    second(smashed)
    assert torch.equal(smashed, kept)


class Custom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.drop = nn.Dropout()
        self.head = nn.Linear(72, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.features(inputs).flatten(1)))


ORDER = ("features.0", "features.1", ("flatten", nn.Flatten()), "drop", "head")


def test_any_module_becomes_a_sequence():
    module = Custom()
    chain = sequence(module, ORDER, INPUTS)
    assert blocks(chain) == ("features_0", "features_1", "flatten", "drop", "head")
    assert torch.equal(chain.eval()(INPUTS), module.eval()(INPUTS))


@pytest.mark.parametrize("training", [True, False])
def test_adapting_leaves_the_module_as_it_was(training):
    module = Custom().train(training)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    chain = sequence(module, ORDER, INPUTS)
    assert module.training is chain.training is training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (("features", "dorp", "head"), r"no submodule 'dorp' \(did you mean 'drop'"),
        (("features", "drop", "head"), "do not fit one after another"),
        (("features.0", ("flatten", nn.Flatten()), "head"), "do not compute what the module computes"),
        (("features", ("flatten", nn.Flatten())), "do not compute what the module computes"),
    ],
)
def test_a_wrong_order_is_refused(order, reason):
    module = Custom()
    with torch.no_grad():
        module.features[1].weight.fill_(3)
    with pytest.raises(CutError, match=reason):
        sequence(module, order, INPUTS)


def test_weights_that_no_block_holds_are_refused():
    module = Custom()
    module.register_buffer("forgotten", torch.ones(2))
    with pytest.raises(CutError, match="1 tensors of the module belong to none"):
        sequence(module, ORDER, INPUTS)


def test_parameters_are_counted():
    assert parameter_count(network()) == (9 * 4 + 4) + (4 + 4) + (144 * 8 + 8) + (8 * 3 + 3)
    assert parameter_count(nn.ReLU()) == 0


def test_floating_point_operations_are_counted():
    assert flop_count(nn.Sequential(nn.Linear(10, 4)), (10,)) == 2 * 10 * 4
    assert flop_count(nn.Sequential(nn.Conv2d(3, 8, 3)), (3, 10, 10)) == 2 * 27 * 8 * 64


def test_counting_leaves_the_module_as_it_was():
    model = network().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flop_count(model, (1, 8, 8))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
