"""A user's own network: a function in a file, named blocks, weights from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cutlayer.model import blocks, split
from cutlayer.network import NetworkError, Scaling, build, load_weights, suggested_cuts, unscaled

HEAD = "from collections import OrderedDict\nimport torch\nfrom torch import nn\n"
MAKES = "def build(): return nn.Sequential"
DENSE = (
    "nn.Sequential(OrderedDict(flat=nn.Flatten(), hidden=nn.Linear({inputs}, 8), act=nn.ReLU(),"
    " out=nn.Linear(8, {classes})))"
)


def written(tmp_path: Path, body: str, name: str = "net.py") -> str:
    (tmp_path / name).write_text(HEAD + body)
    return str(tmp_path / name)


def fixed(tmp_path: Path) -> str:
    return written(tmp_path, f"def build():\n    return {DENSE.format(inputs=64, classes=4)}\n") + ":build"


def built(spec: str, classes: int = 4, seed: int = 1) -> nn.Sequential:
    return build(spec, (1, 8, 8), classes, seed)


def test_a_function_without_arguments(tmp_path: Path) -> None:
    model = built(fixed(tmp_path))
    assert blocks(model) == ("flat", "hidden", "act", "out")
    assert model.training
    assert suggested_cuts(fixed(tmp_path), model) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "inputs", "classes"),
    [
        ("input_shape, classes", "input_shape[1] * input_shape[2]", "classes"),
        ("classes", "64", "classes"),
        ("input_shape=(1, 8, 8), width=1", "input_shape[1] * 8 * width", "4"),
        ("**options", "64", "4"),
    ],
)
def test_a_function_gets_what_it_asks_for(tmp_path: Path, arguments: str, inputs: str, classes: str) -> None:
    made = DENSE.format(inputs=inputs, classes=classes)
    model = built(written(tmp_path, f"CUTS = (1,)\ndef mine({arguments}):\n    return {made}\n") + ":mine")
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 4)
    assert suggested_cuts(str(tmp_path / "net.py") + ":mine", model) == (1,)


def test_weights_are_drawn_from_the_seed_alone(tmp_path: Path) -> None:
    before = torch.default_generator.get_state()
    one, same, other = (built(fixed(tmp_path), seed=seed)[1].weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.default_generator.get_state(), before)


def test_two_files_of_one_name_are_two_networks(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert len(built(fixed(tmp_path))) == 4
    other = written(tmp_path / "b", "def build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))\n")
    assert len(built(other + ":build")) == 2
    assert len(built(fixed(tmp_path))) == 4


def test_a_block_that_stands_twice_is_cut_as_two(tmp_path: Path) -> None:
    """Sequential passes over the second place when it names its children: the cut network would be another one."""
    body = (
        "def build():\n    act = nn.ReLU()\n    return nn.Sequential(OrderedDict(a=nn.Flatten(), b=nn.Linear(64, 9),"
        " c=act, d=nn.Linear(9, 9), e=act, f=nn.Linear(9, 4)))\n"
    )
    model, inputs = built(written(tmp_path, body) + ":build"), torch.randn(5, 1, 8, 8)
    assert blocks(model) == tuple("abcdef")
    value = inputs
    for part in split(model, ["d"]):
        value = part(value)
    assert torch.equal(value, model(inputs))
    assert model.c is not model.e


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("def built(): pass\n", r"no function 'build' \(did you mean 'built'\?\)"),
        ("build = 3\n", "no function 'build'"),
        ("def build(): return nn.Linear(64, 4)\n", "is Linear, not a Sequential of at least two blocks"),
        (f"{MAKES}(nn.Linear(64, 4))\n", "is a Sequential of 1, not a Sequential of at least two blocks"),
        ("def build(): return None\n", "is NoneType, not a Sequential"),
        (f"{MAKES}(nn.Flatten(), nn.Linear(64, 5))\n", r"gives \[2, 5\] .* \[2, 4\] are the logits"),
        (f"{MAKES}(nn.Flatten(), nn.LSTM(64, 4))\n", "does not take inputs"),
        (f"{MAKES}(nn.Flatten(), nn.Linear(0, 4))\n", r"does not take inputs of shape \[1, 8, 8\]"),
        (f"{MAKES}(nn.Flatten(), nn.Linear(63, 4))\n", r"does not take inputs of shape \[1, 8, 8\]"),
        ("def build(depth): return None\n", "cannot be built: TypeError: .*missing 1 required positional argument"),
        (f"{MAKES}(torch.zeros(1))\n", "cannot be built: TypeError"),
        ("import nothing_like_this\n", "cannot be imported: ModuleNotFoundError"),
        ("def build(:\n", "cannot be imported: SyntaxError"),
        (
            "def build():\n    one = nn.Linear(64, 64)\n"
            "    return nn.Sequential(OrderedDict(f=nn.Flatten(), a=one, b=one, out=nn.Linear(64, 4)))\n",
            "blocks 'a' and 'b' share weights, no cut can part them",
        ),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        built(written(tmp_path, body) + ":build")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"model 'own\.py': which function .* As in own\.py:build"):
        built("own.py")
    with pytest.raises(NetworkError, match=r"there is no file .*none\.py"):
        built(str(tmp_path / "none.py") + ":build")


def test_weights_go_round(tmp_path: Path) -> None:
    model, other = built(fixed(tmp_path)), built(fixed(tmp_path), seed=2)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_weights_that_cannot_be_loaded_are_refused(tmp_path: Path) -> None:
    model, path = built(fixed(tmp_path)), tmp_path / "w.safetensors"
    state = model.state_dict()

    def refused(says: str) -> None:
        with pytest.raises(NetworkError, match=says) as error:
            load_weights(model, path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)

    refused("there is no such file")
    path.write_bytes(b"not these")
    refused(r"is not a safetensors file \(.*\); safetensors.torch.save_file\(.* writes one$")
    save_file({**state, "out.weight": torch.zeros(5, 8)}, path)
    refused(r"do not fit the model: .*size mismatch for out\.weight")
    save_file({name: tensor for name, tensor in state.items() if name != "out.bias"}, path)
    refused(r"do not fit the model: .*Missing key.*out\.bias")
    save_file({**state, "more": torch.zeros(1)}, path)
    refused("do not fit the model: .*Unexpected key.*more")
    path.unlink()
    path.mkdir()
    refused("is not a safetensors file")


def test_inputs_are_scaled_inside_the_first_block() -> None:
    plain = build("lenet", (3, 32, 32), 10, 1)
    scaled = build("lenet", (3, 32, 32), 10, 1, scaling=Scaling((0.5, 0.4, 0.3), (0.25,)))
    assert blocks(scaled) == blocks(plain)
    inputs = torch.rand(2, 3, 32, 32)
    shifted = (inputs - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.25
    torch.testing.assert_close(scaled(inputs), plain(shifted))


def test_a_scaling_changes_no_name_of_a_weight_in_a_file(tmp_path: Path) -> None:
    """Files go both ways between a network with a scaling and the same one in the user's own code."""
    blocks = "conv=nn.Conv2d(1, 2, 3), flat=nn.Flatten(), out=nn.Linear(72, 4)"
    body = f"def build(): return nn.Sequential(OrderedDict({blocks}))"
    spec, file = written(tmp_path, body) + ":build", tmp_path / "w.safetensors"
    plain, scaled = built(spec), build(spec, (1, 8, 8), 4, 2, scaling=Scaling((0.5,), (0.25,)))
    save_file(plain.state_dict(), file)
    load_weights(scaled, file)
    inputs = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(scaled(inputs), plain((inputs - 0.5) / 0.25))

    parts = split(build(spec, (1, 8, 8), 4, 3, scaling=Scaling((0.5,), (0.25,))), [0])
    save_file({name: tensor for part in parts for name, tensor in unscaled(part).state_dict().items()}, file)
    plain.load_state_dict(load_file(file))
    torch.testing.assert_close(parts[1](parts[0](inputs)), plain((inputs - 0.5) / 0.25))
    save_file({"conv.weight": torch.zeros(1)}, file)
    with pytest.raises(NetworkError, match=r'Missing key.*"conv\.bias"'):
        load_weights(scaled, file)


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        (Scaling((0.5, 0.5), (0.5,)), r"input_mean = \[0.5, 0.5\]: one number, or one for each of 3 channels"),
        (Scaling((), (0.5,)), r"input_mean = \[\]: one number"),
        (Scaling((0.5,), (0.0,)), r"input_std = \[0.0\]: .* greater than 0"),
    ],
)
def test_a_scaling_that_does_not_fit_is_refused(scaling: Scaling, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        build("lenet", (3, 32, 32), 10, 1, scaling=scaling)
