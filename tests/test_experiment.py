"""Experiments: overrides, sweeps and files become cells, and whatever is wrong is one line that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutlayer.experiment import KEYS, Experiment, ExperimentError, make
from cutlayer.grid import grid
from cutlayer.scene.settle import settle
from cutlayer.threat import Knows
from tests.scenes import PLUGINS, made

__all__ = ["made"]


def values(experiments: list[Experiment], *keys: str) -> list[Any]:
    found = [tuple(getattr(e, key) for key in keys) for e in experiments]
    return [one[0] if len(one) == 1 else one for one in found]


def toml(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "trial.toml"
    file.write_text(text)
    return file


def line_of(error: pytest.ExceptionInfo[ExperimentError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("seed=7", "seed", 7),
        (" seed = 7 ", "seed", 7),
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        ("isolate=false", "isolate", False),
        ("cut=3", "cut", "3"),
        ("cut=-2", "cut", "-2"),
        ("cut=1:9", "cut", "1:9"),
        ("cut=relu1", "cut", "relu1"),
        ("name=2024", "name", "2024"),
        ("name=2024-01-02", "name", "2024-01-02"),
        ("model=my/net.py:build", "model", "my/net.py:build"),
        ("data_dir=../data", "data_dir", Path("../data")),
        ("data_dir=", "data_dir", None),
        ("offers=", "offers", ()),
        ("offers=peer_weights,class_prior", "offers", (Knows.PEER_WEIGHTS, Knows.CLASS_PRIOR)),
        ("milestones=5", "milestones", (5,)),
        ("milestones=5,9", "milestones", (5, 9)),
        ("input_mean=0.5", "input_mean", (0.5,)),
    ],
)
def test_an_override_is_read_as_its_key_wants_it(text: str, key: str, value: object) -> None:
    assert values(grid(None, ["attack=unsplit", text]), key) == [value]


def test_commas_sweep_in_the_order_given() -> None:
    found = grid(None, ["attack=unsplit", "cut=1,3", "seed=2,1"])
    assert values(found, "cut", "seed") == [("1", 2), ("1", 1), ("3", 2), ("3", 1)]


def test_brackets_are_a_list_as_in_a_file() -> None:
    assert values(grid(None, ["attack=unsplit", "seed=[4, 5]"]), "seed") == [4, 5]
    (found,) = grid(None, ["attack=unsplit", 'gaussian_noise.tensors=[["smashed", "grad"]]'])
    assert found.options == {"gaussian_noise": {"tensors": ["smashed", "grad"]}}


def test_options_are_gathered_by_plugin_and_sweep_too() -> None:
    found = grid(None, ["attack=unsplit", "unsplit.rounds=1,2", "unsplit.tv=squared", "gaussian_noise.sigma=.5"])
    rounds = [experiment.options["unsplit"] for experiment in found]
    assert rounds == [{"rounds": 1, "tv": "squared"}, {"rounds": 2, "tv": "squared"}]
    assert found[0].options["gaussian_noise"] == {"sigma": 0.5}


def test_options_go_to_the_cells_of_a_sweep_that_use_them() -> None:
    swept = grid(None, ["attack=unsplit", "defense=none,gaussian_noise", "gaussian_noise.sigma=0.1,0.5"])
    assert values(swept, "defense", "options") == [
        ("none", {}),
        ("gaussian_noise", {"gaussian_noise": {"sigma": 0.1}}),
        ("gaussian_noise", {"gaussian_noise": {"sigma": 0.5}}),
    ]
    both = grid(None, ["attack=unsplit,fgsm", "unsplit.rounds=1,2", "under=,sladv", "sladv.alpha=3"])
    assert values(both, "attack", "under", "options") == [
        ("unsplit", "", {"unsplit": {"rounds": 1}}),
        ("unsplit", "sladv", {"unsplit": {"rounds": 1}, "sladv": {"alpha": 3}}),
        ("unsplit", "", {"unsplit": {"rounds": 2}}),
        ("unsplit", "sladv", {"unsplit": {"rounds": 2}, "sladv": {"alpha": 3}}),
        ("fgsm", "", {}),
        ("fgsm", "sladv", {"sladv": {"alpha": 3}}),
    ]
    # What no cell uses is left to be refused.
    (unused,) = grid(None, ["attack=unsplit", "defense=none", "gaussian_noise.sigma=0.1"])
    with pytest.raises(ExperimentError, match="which the experiment does not use"):
        settle(unused)


def test_options_go_to_the_grids_that_use_them(tmp_path: Path) -> None:
    text = 'attack = "fgsm"\n[[grid]]\ndefense = "gaussian_noise"\n[[grid]]\nunder = "sladv"\n'
    file = toml(tmp_path, f"{text}[gaussian_noise]\nsigma = 0.1\n[sladv]\nalpha = 3\n")
    noisy, sladv = {"gaussian_noise": {"sigma": 0.1}}, {"sladv": {"alpha": 3}}
    assert [found.options for found in grid(file, [])] == [noisy, sladv]
    # What the command line has put aside is no mistake of the file.
    assert [found.options for found in grid(file, ["defense=none", "under="])] == [{}]


@pytest.mark.parametrize("option", ["fgsm.steps=3", "fgsm.nothing=3"])
def test_options_of_an_attack_that_no_cell_runs_are_refused(option: str) -> None:
    (unused,) = grid(None, ["attack=unsplit", option])
    with pytest.raises(ExperimentError, match="options are given for 'fgsm', which the experiment does not use"):
        settle(unused)


def test_equal_cells_are_run_once() -> None:
    assert values(grid(None, ["attack=unsplit", "seed=1,1,2"]), "seed") == [1, 2]


def test_nothing_asked_for_is_the_embedded_audit() -> None:
    found = grid(None, ["seed=3"])
    assert values(found, "attack", "seed") == [("unsplit", 3), ("label_inference", 3), ("label_inference", 3)]
    assert [e.options for e in found[1:]] == [
        {"label_inference": {"observes": "weights"}},
        {"label_inference": {"observes": "activations"}},
    ]


def test_a_file_is_an_experiment_and_overrides_change_it(tmp_path: Path) -> None:
    file = toml(tmp_path, 'attack = "unsplit"\nseed = [1, 2]\nepochs = 4\n[unsplit]\nrounds = 5\n')
    found = grid(file, ["epochs=1", "unsplit.rounds=6"])
    assert values(found, "name", "seed", "epochs") == [("trial", 1, 1), ("trial", 2, 1)]
    assert all(e.options == {"unsplit": {"rounds": 6}} for e in found)


def test_grids_stand_on_what_the_file_shares(tmp_path: Path) -> None:
    file = toml(
        tmp_path,
        'dataset = "digits"\noffers = [["peer_weights"], []]\n'
        '[[grid]]\nattack = "unsplit"\ncut = [1, 2]\n[[grid]]\nattack = "label_inference"\n'
        '"label_inference.match" = "all"\n',
    )
    found = grid(file, [])
    assert values(found, "attack", "cut", "offers") == [
        ("unsplit", "1", (Knows.PEER_WEIGHTS,)),
        ("unsplit", "2", (Knows.PEER_WEIGHTS,)),
        ("unsplit", "1", ()),
        ("unsplit", "2", ()),
        ("label_inference", "auto", (Knows.PEER_WEIGHTS,)),
        ("label_inference", "auto", ()),
    ]


def test_double_brackets_keep_an_options_list_whole() -> None:
    (found,) = grid(None, ["attack=surrogate_client", "surrogate_client.later_alphas=[[0.2, 0.1]]"])
    assert found.options == {"surrogate_client": {"later_alphas": [0.2, 0.1]}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed", "'seed' is not of the form key=value"),
        ("=3", "'=3' is not of the form key=value"),
        ("sede=3", "unknown key 'sede' (did you mean 'seed'?); keys: name, out, dataset"),
        ("options=3", "unknown key 'options'"),
        ("unsplit.=3", "unknown key 'unsplit.'"),
        ("seed=-1", "seed = -1: must be greater than or equal to 0"),
        ("seed=1.5", "seed = 1.5: must be a valid integer"),
        ("milestones=3,0", "milestones = 0: must be greater than or equal to 1"),
        ("seed=", "seed = '': must be a valid integer"),
        (
            "isolate=onec",
            "isolate = 'onec': must be a valid boolean, unable to interpret input (run the attacked party in",
        ),
        ("seed=[]", "seed = []: there is no value to run"),
        ("seed=" + "1" * 5000, "exceeded maximum size"),
        ("seed=1\nname=2", r"seed = '1\nname=2': must be a valid integer"),
        ("steps=qick", "steps = 'qick': must be 'quick' or 'paper' (did you mean 'quick'?)"),
        ("optimizer=adm", "optimizer = 'adm': must be 'adam' or 'sgd' (did you mean 'adam'?)"),
        ("handover=pear", "handover = 'pear': must be 'peer', 'trusted_party' or 'server' (did you mean 'peer'?)"),
        ("device=gpu", "device = 'gpu': must be 'auto', 'cpu' or 'cuda'"),
        ("name=a,b", "name = a,b: all cells go into one folder"),
        ('cut=["1,2"]', 'cut = \'1,2\': it is one cut; an audit sweeps over several as a list: cut = ["1", "2"]'),
        ("offers=peer_weight", "'peer_weight' cannot be offered (did you mean 'peer_weights'?); one or more of peer_"),
        ("offers=labels", "'labels' cannot be offered (did you mean 'aux_labels'?); one or more of peer_architecture"),
        ("skew=nan", "skew = nan: must be a finite number"),
        ("learning_rate=inf", "learning_rate = inf: must be a finite number"),
        ("leak=0", "leak = 0: must be greater than 0"),
        ("partial=0.5", "partial = 0.5: it cannot be greater than leak = 0.25"),
    ],
)
def test_a_wrong_override_is_one_line_that_helps(text: str, says: str) -> None:
    with pytest.raises(ExperimentError) as error:
        grid(None, ["attack=unsplit", text])
    assert says in line_of(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = = 3", "is not a TOML file"),
        ("\x00", "is not a TOML file"),
        ("sede = 3", "unknown key 'sede' (did you mean 'seed'?)"),
        ("grid = 3", "grid = 3: must be tables [[grid]]"),
        ("grid = []", "grid = []: must be tables [[grid]]"),
        ("grid = [1]", "grid = [1]: must be tables [[grid]]"),
        ("seed = []", "seed = []: there is no value to run"),
        ("[[grid]]\nsede = 3", "unknown key 'sede'"),
        ('offers = "peer_weights"', "offers = 'peer_weights': must be a list"),
        ("x = " + "[" * 3000, "is not a TOML file"),
    ],
)
def test_a_wrong_file_is_one_line_that_helps(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ExperimentError) as error:
        grid(toml(tmp_path, text), [])
    assert says in line_of(error)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="there is no such file"):
        grid(tmp_path / "none.toml", [])
    with pytest.raises(ExperimentError, match="is not a TOML file"):
        grid(tmp_path, [])


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"attack": "unsplitt"}, "unknown attack 'unsplitt' (did you mean 'unsplit'?); one of "),
        ({"protocol": "vanila"}, "unknown protocol 'vanila' (did you mean 'vanilla'?); one of label_only, u_shaped"),
        ({"defense": "gausian_noise"}, "unknown defense 'gausian_noise' (did you mean 'gaussian_noise'?)"),
        ({"model": "stochastik"}, "unknown model 'stochastik' (did you mean 'stochastic'?)"),
        (
            {"options": {"unsplit": {"round": 3}}},
            "unknown option unsplit.round (did you mean 'rounds'?); one of",
        ),
        ({"options": {"unsplit": {"rounds": "x"}}}, "unsplit.rounds = 'x': must be a valid integer"),
        ({"options": {"unsplit": {"rounds": 0}}}, "rounds = 0: it takes at least 1"),
        ({"options": {"unspilt": {}}}, "unknown plug-in 'unspilt' (did you mean 'unsplit'?): options are given as"),
        ({"options": {"gaussian_noise": {}}}, "options are given for 'gaussian_noise', which the experiment does not"),
        ({"clients": 45}, "clients = 45: there are only 44 training samples"),
        (
            {"clients": 23, "share": 0.5},
            "clients = 23 and a share that no client gets: there are only 44 training samples",
        ),
        ({"clients": 23, "share": 0.5, "aux": "share"}, "clients = 23 and a share that no client gets: there are only"),
        ({"cut": "conw"}, "no block 'conw' to cut after (did you mean 'conv'?); blocks: conv, norm"),
        ({"cut": "7"}, "cuts go from 0 to 6"),
        ({"cut": "1:2"}, "Vanilla takes 1 cut, given are 2: 1, 2"),
        ({"protocol": "u_shaped", "cut": "4:1"}, "4, 1 are not in ascending order"),
        *(({"name": name}, f"name = {name!r}: it is one folder in out") for name in (".", "..", "/tmp", "a/", "b\\c")),
        ({"plugins": "nowhere"}, "plugins = 'nowhere' is not a folder"),
        ({"weights": "none.safetensors"}, "weights = 'none.safetensors': there is no such file"),
    ],
)
def test_what_cannot_be_settled_is_one_line_that_helps(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ExperimentError) as error:
        settle(make({"model": "stochastic", "plugins": PLUGINS, **given}))
    assert says in line_of(error)


@pytest.mark.usefixtures("made")
def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ExperimentError, match=r"device = 'cuda': there is no CUDA device here; cpu or auto"):
        settle(make({"model": "stochastic", "plugins": PLUGINS, "device": "cuda"}))


def test_a_fingerprint_is_of_what_is_asked_for_alone() -> None:
    one, other = make({"seed": 1, "name": "a"}), make({"seed": 1, "name": "b", "out": "elsewhere"})
    assert one.fingerprint() == other.fingerprint()
    assert one.fingerprint() != make({"seed": 2}).fingerprint()
    assert one.fingerprint(only=("epochs",)) == make({"seed": 2}).fingerprint(only=("epochs",))
    assert one.fingerprint("also") != one.fingerprint()


def test_a_dumped_experiment_is_read_back() -> None:
    experiment = make({"cut": "1:2", "offers": ["peer_weights"], "weights": "w", "options": {"unsplit": {"rounds": 2}}})
    assert make(experiment.model_dump(mode="json")) == experiment


_VALUES = st.text(max_size=30) | st.sampled_from(["1,2", "[1", "[[1]]", "{a=1}", '"x', "nan", "1e999", "=", "07:30:00"])
_NAMES = st.sampled_from([*KEYS, "unsplit.rounds", "a.b.c", "."]) | st.text(max_size=8)


@settings(deadline=None)
@given(st.lists(st.builds(lambda key, value: f"{key}={value}", _NAMES, _VALUES) | st.text(max_size=20), max_size=3))
def test_wild_overrides_are_cells_or_one_line(overrides: list[str]) -> None:
    try:
        found = grid(None, overrides)
    except ExperimentError as error:
        lines = str(error).splitlines()
    else:
        lines = [repr(experiment.cut) for experiment in found][:1]
    assert len(lines) == 1
