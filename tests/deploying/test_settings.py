from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.deploying.settings import ClientSettings, ServerSettings, read_plan, read_settings
from cutlayer.deploying.terms import PLAN_KEYS
from cutlayer.experiment import ExperimentError
from cutlayer.registry import PluginError
from tests.deployments import Deployment, made_here, plan_of

__all__ = ["made_here"]
PLAN = 'protocol = "vanilla"\nmodel = "lenet"\ncut = 2\ninputs = [1, 28, 28]\nclasses = 10\nclients = ["alice"]\n'
DEPLOYING = (Path(__file__).parents[2] / "docs" / "deploying.md").read_text(encoding="utf-8")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    path = tmp_path / "client.toml"
    path.write_text(
        'plan = "plan.toml"\nserver = "there:1"\ndataset = "mnist"\ndefense = "gaussian_noise"\n'
        "[gaussian_noise]\nsigma = 0.5\n"
    )
    return path


def test_paths_in_a_file_start_at_the_file_and_typed_ones_where_one_stands(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    settings = read_settings(ClientSettings, file, ["data_dir=data", "plan.epochs=7"])
    assert settings.key == tmp_path / "key.pem"
    assert settings.data_dir == tmp_path.parent / "data"
    assert settings.options == {"gaussian_noise": {"sigma": 0.5}}
    assert read_plan(settings).experiment.epochs == 7


def test_the_other_sides_file_is_told_by_its_command(file, tmp_path):
    with pytest.raises(
        ExperimentError, match=r"client\.toml has 'server', no key of `cutlayer serve`: it is for `cutlayer jo"
    ):
        read_settings(ServerSettings, file)
    (tmp_path / "server.toml").write_text('plan = "plan.toml"\nlisten = "127.0.0.1:1"\n')
    with pytest.raises(ExperimentError, match=r"server\.toml has 'listen', no key of `cutlayer join`"):
        read_settings(ClientSettings, tmp_path / "server.toml")


NET = "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"


@pytest.mark.parametrize("table", [False, True])
def test_a_network_of_ones_own_lies_beside_the_plan_wherever_one_stands(file, tmp_path, monkeypatch, table):
    own = PLAN.replace('"lenet"', '"nets/net.py:build"').replace("cut = 2", "cut = 0")
    (tmp_path / "plan.toml").write_text(own)
    if table:
        file.write_text(file.read_text().replace('plan = "plan.toml"\n', "") + f"[plan]\n{own}")
    for folder in (tmp_path / "nets", tmp_path / "here"):
        folder.mkdir()
        (folder / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path / "here")
    one = read_plan(read_settings(ClientSettings, file))
    assert one.experiment.model == f"{tmp_path}/nets/net.py:build"
    typed = ["plan.model=net.py:build", *([] if table else ["plan=../plan.toml"])]
    other = read_plan(read_settings(ClientSettings, file, typed))
    assert other.experiment.model == "net.py:build"
    assert one.agreed() == other.agreed(), "where it lies is each party's affair"
    assert str(tmp_path) not in str(one.agreed())


def test_a_tilde_is_the_home_in_a_file_and_typed(file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "plan.toml").rename(tmp_path / "home" / "plan.toml")
    file.write_text('data_dir = "~/scans"\n' + file.read_text().replace('"plan.toml"', '"~/plan.toml"'))
    settings = read_settings(ClientSettings, file, ["folder=~/run"])
    assert (settings.data_dir, settings.folder) == (tmp_path / "home" / "scans", tmp_path / "home" / "run")
    assert read_settings(ClientSettings, file, ["plan=~/plan.toml"]).plan == settings.plan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["serverr=x"], r"unknown key 'serverr' \(did you mean 'server'"),
        (["threads=0"], "threads = 0"),
        (["share=some"], "share = 'some'"),
        (["plan.epoch=1"], "did you mean 'epochs'"),
        (["nonsense"], "not of the form key=value"),
        (["server.x=1"], "server is a value, no table with keys of its own"),
        (["folder.size=9"], "options are given for 'folder', which neither defense = 'gaussian_noise' nor dataset"),
        (["plan=none.toml"], "there is no such file"),
        (["plan.clients=alice"], "clients = 'alice': must be a list, in brackets"),
        (["server=there"], "server = 'there': must be host:port"),
        (["server=there:https"], "server = 'there:https': must be host:port"),
        (["server=there:65536"], "with a port up to 65535"),
        (["server=:7443"], "server = ':7443'"),
        (["gaussian_noize.sigma=9"], r"unknown table 'gaussian_noize' \(did you mean 'gaussian_noise'\?\)"),
        (["options.gaussian_noize.sigma=9"], r"unknown table 'gaussian_noize' \(did you mean 'gaussian_noise'\?\)"),
        (["pin.bob=ab"], r"unknown table 'pin' \(did you mean 'pins'\?\); tables: plan, pins, and each plug-in's"),
        (
            ["digits.size=9"],
            "options are given for 'digits', which neither defense = 'gaussian_noise' nor dataset = 'mnist'",
        ),
        (["defense=none", "gaussian_noise.sigma=9"], "options are given for 'gaussian_noise', which neither defense"),
        (["options.gaussian_noise.sigma=9"], "gaussian_noise: its options are given twice"),
    ],
)
def test_mistakes_are_told_in_one_sentence(file, changes, message):
    with pytest.raises(ExperimentError, match=message):
        read_plan(read_settings(ClientSettings, file, changes))


@pytest.mark.parametrize("table", ["[gausian_noise]\nsigma = 5\n", "[pin]\nbob = 'ab'\n"])
def test_a_mistyped_table_is_refused(file, table):
    """Its defense would run as if nothing had been said, or a certificate be taken that was not meant."""
    file.write_text(file.read_text() + table)
    with pytest.raises(
        ExperimentError, match=r"unknown table '(gausian_noise|pin)' \(did you mean '(gaussian_noise|pins)"
    ):
        read_settings(ClientSettings, file)


@pytest.mark.usefixtures("made_here")
def test_a_mistyped_option_of_a_defense_is_refused(tmp_path):
    deployed = Deployment(
        plan_of(), tmp_path, own={"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigm": 5}}}
    )
    with pytest.raises(PluginError, match=r"unknown option gaussian_noise.sigm \(did you mean 'sigma'\?\)"):
        deployed.place("c0")


@pytest.mark.parametrize(
    ("lines", "changes"),
    [
        ('dataset = "folder"\n[folder]\nsize = 64\n', []),
        ('dataset = "folder"\n', ["folder.size=64"]),
        ('dataset = "folder"\n[folder]\nsize = 32\n', ["folder.size=64"]),
        ("[folder]\nsize = 64\n", ["dataset=folder"]),
        ('dataset = "folder"\nfolder = "kept"\n', ["folder.size=64"]),
        ('dataset = "folder"\nfolder = "kept"\n[options.folder]\nsize = 64\n', []),
        ('dataset = "folder"\n[folder]\nsize = 64\n', ["folder=kept"]),
    ],
)
def test_the_dataset_folder_has_a_table_beside_the_key_of_that_name(tmp_path, monkeypatch, lines, changes):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "client.toml"
    file.write_text('server = "there:1"\nplan = {}\n' + lines)
    settings = read_settings(ClientSettings, file, changes)
    assert settings.options == {"folder": {"size": 64}}
    assert settings.folder == tmp_path / ("kept" if "kept" in f"{lines}{changes}" else "run")


def test_what_a_file_says_of_a_defense_that_is_put_aside_is_passed_over(file):
    assert read_settings(ClientSettings, file, ["defense=none"]).options == {}
    assert read_settings(ClientSettings, file, ["gaussian_noise.sigma=9"]).options == {"gaussian_noise": {"sigma": 9}}


def test_what_is_missing_is_named_with_what_it_is(file):
    file.write_text('plan = "plan.toml"\n')
    with pytest.raises(ExperimentError, match="server is missing: host:port of the server"):
        read_settings(ClientSettings, file)


@pytest.mark.parametrize("address", ["[::1]:7443", "there.example.org:65535", "127.0.0.1:0"])
def test_an_address_is_a_host_and_a_port(file, address):
    assert read_settings(ClientSettings, file, [f'server="{address}"']).server == address


@pytest.mark.parametrize("key", sorted({*ServerSettings.model_fields, *ClientSettings.model_fields, *PLAN_KEYS}))
def test_every_key_is_on_the_page(key):
    assert f"`{key}`" in DEPLOYING


def test_a_typed_number_needs_no_digit_beside_its_point(file):
    settings = read_settings(ClientSettings, file, ["gaussian_noise.sigma=.25", "wait_seconds=.5"])
    assert (settings.options, settings.wait_seconds) == ({"gaussian_noise": {"sigma": 0.25}}, 0.5)
