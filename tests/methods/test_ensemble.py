"""Several small networks at once: each path against autograd on the networks themselves."""

from __future__ import annotations

import copy
from collections import OrderedDict
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from cutlayer.methods.ensemble import Ensemble, Lowered, Traced, ensemble
from cutlayer.methods.layer import UnsupportedError
from cutlayer.models import dense, unsplit_cifar, unsplit_mnist

MNIST = (1, 28, 28)


def assert_same(ours, theirs) -> None:
    """Equal but for float32 rounding in sums whose terms may be larger than what is left of them here."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5 * theirs.abs().max().item() + 1e-7)


def first_part(model: nn.Sequential, cut: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(list(model.named_children())[: cut + 1])).eval()


def networks(build, number, seed=0) -> list[nn.Sequential]:
    torch.manual_seed(seed)
    return [build() for _ in range(number)]


class Case:
    """Inputs and targets for ``parts``, and what autograd says about them: the slow path."""

    def __init__(self, parts: list[nn.Sequential], shape: tuple[int, ...], batch: int) -> None:
        self.inputs = torch.rand(len(parts), *shape, batch)
        leaves = [one.movedim(-1, 0).contiguous().requires_grad_() for one in self.inputs]
        outputs = [part(leaf) for part, leaf in zip(parts, leaves, strict=True)]
        self.targets = torch.stack([output.detach() + torch.randn_like(output) for output in outputs])
        squares = [(o - t).square().flatten(1).mean(1) for o, t in zip(outputs, self.targets, strict=True)]
        self.errors = torch.stack(squares).detach()
        self.toward_inputs = torch.stack(
            [
                torch.autograd.grad(s.sum(), leaf, retain_graph=True)[0].movedim(0, -1)
                for s, leaf in zip(squares, leaves, strict=True)
            ]
        )
        # A step against the gradient shows it in each weight's own place.
        self.stepped = []
        for part, square in zip(parts, squares, strict=True):
            grads = torch.autograd.grad(square.mean(), list(part.parameters()))
            grad_of = {id(p): grad for p, grad in zip(part.parameters(), grads, strict=True)}
            stepped = {n: p - grad_of[id(p)] for n, p in part.named_parameters(remove_duplicate=False)}
            self.stepped.append({name: stepped.get(name, tensor) for name, tensor in part.state_dict().items()})

    def check(self, fit: Ensemble) -> None:
        batch = self.inputs.shape[-1]
        fit.aim(self.targets)
        assert_same(fit.errors(self.inputs), self.errors)
        before = self.inputs.clone()
        assert_same(fit.toward_inputs(self.inputs) * fit.scale, self.toward_inputs)
        torch.testing.assert_close(self.inputs, before, rtol=0, atol=0)
        fit.toward_weights(self.inputs)
        loose = fit.gradients.clone()
        fit.refresh()
        fit.hold(self.inputs)
        fit.toward_weights(self.inputs)
        assert_same(fit.gradients, loose)
        fit.hold(torch.rand_like(self.inputs))
        fit.refresh()
        fit.toward_weights(self.inputs)
        assert_same(fit.gradients, loose)
        fit.weights.sub_(fit.gradients, alpha=fit.scale / batch)
        for number, stepped in enumerate(self.stepped):
            state = fit.state(number)
            assert list(state) == list(stepped)
            for name, tensor in state.items():
                assert_same(tensor, stepped[name].detach())
        fit.refresh()
        after = fit.toward_inputs(self.inputs).clone()
        fit.toward_weights(self.inputs)
        torch.testing.assert_close(fit.toward_inputs(self.inputs), after, rtol=0, atol=0)


def check_both(parts: list[nn.Sequential], shape: tuple[int, ...], batch: int) -> None:
    case = Case(parts, shape, batch)
    case.check(Lowered(parts, shape, batch))
    case.check(Traced(parts))


@pytest.mark.parametrize(("number", "batch"), [(1, 1), (1, 10), (3, 2)])
@pytest.mark.parametrize("cut", range(11))
def test_unsplit_mnist_at_every_cut(cut, number, batch):
    check_both(networks(lambda: first_part(unsplit_mnist.build(), cut), number), MNIST, batch)


@pytest.mark.parametrize("cut", range(7))
def test_dense_at_every_cut(cut):
    check_both(networks(lambda: first_part(dense.build(), cut), 2), (30,), 3)


@pytest.mark.parametrize("cut", [0, 1])
def test_unsplit_cifar_first_cuts(cut):
    check_both(networks(lambda: first_part(unsplit_cifar.build(), cut), 1), (3, 32, 32), 2)


CONVOLUTIONS = st.fixed_dictionaries(
    {
        "kernel_size": st.integers(1, 5),
        "padding": st.integers(0, 2),
        "bias": st.booleans(),
        "out_channels": st.integers(1, 4),
    }
)


@settings(max_examples=25, deadline=None)
@given(
    convolutions=st.lists(CONVOLUTIONS, min_size=1, max_size=3),
    between=st.lists(st.sampled_from(["relu", "tanh", "sigmoid", "pool", "dropout"]), min_size=3, max_size=3),
    head=st.booleans(),
    size=st.tuples(st.integers(8, 13), st.integers(8, 13)),
    channels=st.integers(1, 3),
    number=st.integers(1, 2),
    batch=st.integers(1, 3),
)
def test_any_chain_of_the_usual_layers(convolutions, between, head, size, channels, number, batch):
    kinds = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "dropout": nn.Dropout}

    def build() -> nn.Sequential:
        layers: list[nn.Module] = []
        shape = (channels, *size)
        for options, after in zip(convolutions, between, strict=False):
            layers.append(nn.Conv2d(shape[0], stride=1, **options))
            spread = 2 * options["padding"] - options["kernel_size"] + 1
            shape = (options["out_channels"], shape[1] + spread, shape[2] + spread)
            even = shape[1] % 2 == shape[2] % 2 == 0
            layers.append(nn.MaxPool2d(2) if after == "pool" and even else kinds.get(after, nn.ReLU)())
            shape = (shape[0], shape[1] // 2, shape[2] // 2) if after == "pool" and even else shape
            if min(shape[1:]) < 5:
                break
        if head:
            layers.append(nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 3), nn.Tanh()))
        return nn.Sequential(*layers).eval()

    check_both(networks(build, number), (channels, *size), batch)


def test_elementwise_functions_one_after_another_and_first():
    def build() -> nn.Sequential:
        return nn.Sequential(nn.Tanh(), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sigmoid(), nn.MaxPool2d(2), nn.Tanh()).eval()

    check_both(networks(build, 2), (1, 8, 8), 2)


def test_a_block_that_stands_in_two_places():
    relu = nn.ReLU()
    check_both([nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.Conv2d(2, 2, 3), relu)], (1, 9, 9), 2)


def test_of_equal_outputs_the_first_gets_the_gradient():
    # All outputs of a constant input are equal.
    part = first_part(unsplit_mnist.build(), 2)
    nn.init.constant_(part.conv1.weight, 0.04)
    case = Case([part], MNIST, 1)
    fit = Lowered([part], MNIST, 1)
    fit.aim(case.targets)
    flat = torch.full((1, *MNIST, 1), 0.5)
    leaf = flat[..., 0].clone().requires_grad_()
    (part(leaf) - case.targets[0]).square().mean().backward()
    assert_same(fit.toward_inputs(flat)[..., 0] * fit.scale, leaf.grad)


def tied() -> nn.Sequential:
    linear = nn.Linear(4, 4)
    return nn.Sequential(linear, nn.Tanh(), linear)


@pytest.mark.parametrize(
    ("part", "shape"),
    [
        (nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU()), (2, 9, 9)),
        (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.ReLU()), (2, 9, 9)),
        (nn.Sequential(nn.Conv2d(2, 4, 3, padding="same"), nn.ReLU()), (2, 9, 9)),
        (nn.Sequential(nn.Conv2d(2, 4, (3, 1)), nn.ReLU()), (2, 9, 9)),
        (nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU()), (2, 9, 9)),
        (nn.Sequential(nn.Conv2d(2, 4, 2), nn.MaxPool2d(3)), (2, 10, 10)),
        (nn.Sequential(nn.Conv2d(2, 4, 2), nn.MaxPool2d(2)), (2, 10, 10)),
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.GELU()), (2, 8, 8)),
        (nn.Sequential(nn.Linear(4, 3)), (2, 4)),
        (tied(), (4,)),
    ],
)
def test_what_is_not_lowered_is_traced(part, shape):
    part.eval()
    with pytest.raises(UnsupportedError):
        Lowered([part], shape, 2)
    fit = ensemble([part], shape, 2)
    assert isinstance(fit, Traced)
    Case([part], shape, 2).check(fit)


def test_a_part_without_weights_has_gradients_at_its_inputs_alone():
    fit, inputs = ensemble([nn.Sequential(nn.Flatten())] * 2, (1, 4, 4), 3), torch.rand(2, 1, 4, 4, 3)
    fit.aim(torch.zeros(2, 3, 16))
    assert_same(fit.toward_inputs(inputs) * fit.scale, inputs / 8)
    fit.toward_weights(inputs)
    assert fit.gradients.shape == fit.weights.shape == (2, 0)
    assert fit.state(1) == {}


def test_a_large_convolution_is_traced():
    part = first_part(unsplit_cifar.build(), 2)
    assert isinstance(ensemble([part], (3, 32, 32), 1), Traced)
    assert isinstance(ensemble([first_part(unsplit_mnist.build(), 6)], MNIST, 1), Lowered)


def test_several_traced_networks_keep_their_own_buffers():
    def build() -> nn.Sequential:
        part = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh()).eval()
        part[1].running_mean.normal_()
        return part

    parts = networks(build, 2)
    Case(parts, (1, 6, 6), 2).check(Traced(parts))


class Recurrent(nn.Module):
    """vmap has no rule for it."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(4, 3, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.cells(inputs)[0]


class Branching(nn.Linear):
    """Its course depends on values, which vmap does not show."""

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = super().forward(inputs)
        return outputs if outputs.sum() > 0 else 2 * outputs


@pytest.mark.parametrize("build", [Recurrent, partial(Branching, 4, 3)])
def test_what_vmap_cannot_follow_goes_one_after_another(build):
    parts = networks(lambda: nn.Sequential(build()), 2)
    Case(parts, (5, 4), 2).check(Traced(parts))


def test_networks_that_draw_each_do_so_themselves():
    class Noisy(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.randn_like(super().forward(inputs))

    fit = Traced([nn.Sequential(Noisy(4, 3)) for _ in range(2)])
    fit.aim(torch.zeros(2, 6, 3))
    first, second = fit.errors(torch.zeros(2, 4, 6))
    assert not torch.equal(first, second)


def test_a_mistake_of_a_networks_own_is_told():
    fit = Traced([nn.Sequential(nn.Linear(4, 3)) for _ in range(2)])
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit.errors(torch.zeros(2, 5, 6))


def test_networks_are_evaluated_and_left_in_training():
    part = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.GELU())
    case = Case([copy.deepcopy(part).eval()], (1, 6, 6), 2)
    case.check(Traced([part]))
    assert part.training
    assert part[1].num_batches_tracked == 0


def test_the_networks_are_copied():
    part = first_part(unsplit_mnist.build(), 1)
    before = {name: tensor.clone() for name, tensor in part.state_dict().items()}
    for fit in (Lowered([part], MNIST, 1), Traced([part])):
        fit.weights.zero_()
        assert all(torch.equal(tensor, before[name]) for name, tensor in part.state_dict().items())
        assert all(not tensor.any() for tensor in fit.state(0).values())


def test_networks_whose_first_weight_is_computed_have_none_to_set():
    assert Traced([nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU())]).first() is not None
    assert Traced([nn.Sequential(weight_norm(nn.Conv2d(1, 2, 3)), nn.GELU())]).first() is None
