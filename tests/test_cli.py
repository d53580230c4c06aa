"""The command line: what it prints where, with which exit code, and what it keeps for the next call."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from cutlayer import __version__, cli
from cutlayer.commands.display import Display
from cutlayer.commands.interruption import interruption
from tests.calls import call, elsewhere
from tests.cells import GREY, attacks
from tests.scenes import PLUGINS, made

__all__ = ["call", "elsewhere", "made"]

MODEL = f"model={PLUGINS / 'models' / 'stochastic.py'}:build"
STEPS = ("unsplit.rounds=1", "unsplit.input_steps=2", "unsplit.model_steps=2", "unsplit.restarts=1")
QUICK = ("attack=unsplit", "protocol=vanilla", "cut=0", "epochs=2", "batch_size=8", MODEL)


@pytest.mark.usefixtures("made")
def test_json_is_all_there_is_on_standard_output(call: Any, tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", chatty='__import__("os").write(1, b"past Python, too")\n        ' + GREY)
    common = ("audit", "attack=chatty", f"plugins={plugins}", "protocol=vanilla", "cut=1,3", "epochs=1", MODEL)
    common += ("train_rows=1000",)
    code, out, err = call(*common, "isolate=false", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["cell"]["cut"] for record in records] == ["1", "3"]
    assert all(record["status"] == "done" for record in records)
    assert {"cell", "utility", "scores", "verdict", "threat", "isolated", "bytes_up", "bytes_down", "code"} <= set(
        records[0]
    )
    assert {"client_parameters", "client_flops", "attack_seconds", "seconds", "environment"} <= set(records[0])
    assert records[0]["command"].startswith("cutlayer audit attack=chatty")
    assert "prints what it likes" in err
    assert "past Python, too" in err
    assert "leak from an advantage of 0.25, partial leak from 0.1" in err
    assert err.count("train_rows = 1000: there are only 44, all are taken") == 1
    assert "estimated time:" in err
    report = Path(err.split("report: ")[1].strip())
    assert report.is_file()
    code, out, err = call(*common, "isolate=false")
    assert (code, out) == (0, "")
    assert "(2 of 2 cells are there already)" in err
    assert "prints" not in err


@pytest.mark.usefixtures("made")
def test_a_folder_that_is_a_file_is_told_in_one_line(call: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = call("audit", *QUICK, *STEPS, f"out={tmp_path / 'file'}")
    assert code == 2
    assert err.splitlines()[-1].startswith("cutlayer: the run's folder would be")
    assert "Traceback" not in err


@pytest.mark.usefixtures("made")
def test_a_cell_without_a_verdict_says_why(call: Any) -> None:
    arguments = ("audit", "attack=unsplit", "protocol=vanilla", "cut=0,1", "offers=class_prior", "epochs=1", MODEL)
    _, _, err = call(*arguments, "isolate=false")
    told = "does not offer peer_architecture (key offers): offers=peer_architecture\n"
    before, after = err.split("estimated time", 1)
    assert (before.count(told), after.count(told)) == (1, 1), "before anything runs, and beside the results"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("audit", "sede=3"), "unknown key 'sede' (did you mean 'seed'?)"),
        (("audit", "steps=qick"), "did you mean 'quick'?"),
        (("audit", "none.toml"), "none.toml: there is no such file"),
        (("audit", "a.toml", "b.toml"), "'b.toml' is neither key=value nor the one experiment file (FILE.toml)"),
        (("audit", "unsplit"), "'unsplit' is neither key=value"),
        (("audit", "--fail-on", "never"), "Invalid value for '--fail-on': 'never' is not one of 'leak', 'partial'."),
        (("audit", "--jsn"), "No such option: --jsn"),
        (("adit",), "No such command 'adit'."),
        (("audit", "attack=unsplit", "unsplit.rounds=0"), "rounds = 0: it takes at least 1"),
        (("audit", "plugins=nowhere"), "plugins = 'nowhere' is not a folder"),
        (("audit", "weights=none", MODEL), "weights = 'none': there is no such file"),
        (("explain", "vanilla"), "vanilla is a protocol: Inputs and first layers at the client"),
        (("explain", "unsplitt"), "no attack or defense 'unsplitt' (did you mean 'unsplit'?)"),
        (("list", "--plugins", "nowhere"), "plugins = 'nowhere' is not a folder"),
        (("report", "nowhere"), "nowhere is not a run folder: it has no cells/"),
        (("export", "seed=1"), "Missing option '--to'."),
        (("export", "seed=1,2", "cut=1", "--to", "w", MODEL), "2 deployments are asked for, one can be exported"),
        (("evaluate", MODEL, "cut=1"), "no finished training of"),
    ],
)
@pytest.mark.usefixtures("made")
def test_a_mistake_is_one_line_and_exit_code_2(call: Any, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("cutlayer: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cutlayer.commands.audit.audit_all", broken)
    monkeypatch.setattr(sys, "argv", ["cutlayer", "audit"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_code_that_ends_the_process_does_not_end_it_as_if_all_were_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["cutlayer", "audit"])
    for code, expected in ((0, RuntimeError), (None, RuntimeError), (3, SystemExit), ("no", SystemExit)):
        monkeypatch.setattr("cutlayer.commands.audit.audit_all", lambda *arguments, code=code: sys.exit(code))
        with pytest.raises(expected) as ended:
            cli.main()
        assert getattr(ended.value, "code", "none") in {code, "none"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("audit", "interrupted; the same command goes on where this one stopped"),
        ("train", "interrupted; the same command goes on where this one stopped"),
        ("record", "interrupted; the same command goes on where this one stopped"),
        ("replay", "interrupted"),
    ],
)
def test_an_interruption_promises_what_holds(
    call: Any, monkeypatch: pytest.MonkeyPatch, command: str, says: str
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    for place in ("audit.audit_all", "train.train_all", "record.record_all", "record.replay_all"):
        monkeypatch.setattr(f"cutlayer.commands.{place}", interrupted)
    code, out, err = call(command, *(["recording"] if command == "replay" else []))
    assert (code, out, err) == (130, "", f"{says}\n")


def test_list_shows_every_plugin_and_key(call: Any, tmp_path: Path) -> None:
    code, out, _ = call("list", "--plugins", str(attacks(tmp_path / "own", mine=GREY)))
    assert code == 0
    for name in ("vanilla", "u_shaped", "label_only", "unsplit", "label_inference", "mine", "gaussian_noise", "digits"):
        assert f"\n{name} " in out or f" {name} " in out, name
    assert "It is mine." in out
    for key in ("dataset", "handover", "optimizer_state", "precision"):
        assert key in out


def test_explain_says_who_knows_what(call: Any) -> None:
    code, out, _ = call("explain", "unsplit")
    assert code == 0
    for words in ("UnSplit", "WPES 2022", "seat: server", "needs to know: peer_architecture", "rounds", "1000"):
        assert words in out
    assert "only watches" in out
    assert "smashed,grad" in call("explain", "gaussian_noise")[1]
    assert "Of the proxy's Adam." in call("explain", "fgsm")[1]  # which it inherits


def test_no_command_is_help_and_version_is_the_version(call: Any) -> None:
    code, out, _ = call()
    assert code == 0
    assert "explain" in out
    assert call("--version")[:2] == (0, f"{__version__}\n")


@pytest.mark.usefixtures("made")
def test_train_evaluate_export_and_audit_the_exported_weights(call: Any, tmp_path: Path) -> None:
    source = PLUGINS / "models" / "stochastic.py"
    (tmp_path / "net.py").write_text(source.read_text() + "\n\nprint('a model prints what it likes')\n")
    model = ("model=net.py:build", "input_mean=0.3", "input_std=0.4")
    values = ("protocol=vanilla", "cut=1", "epochs=3", "batch_size=8", "learning_rate=0.02", *model)
    code, out, err = call("train", *values)
    trained = json.loads(out)
    assert code == 0
    assert (trained["epochs"], trained["cut"]) == (3, "1")
    assert "estimated time:" in err
    assert "a model prints what it likes" in err
    assert json.loads(call("evaluate", *values)[1]) == trained
    code, out, _ = call("export", *values, "--to", "deep/w.safetensors")
    assert (code, out) == (0, "deep/w.safetensors\n")
    assert {"conv.weight", "conv.bias"} < load_file("deep/w.safetensors").keys()
    again = json.loads(call("evaluate", "weights=deep/w.safetensors", "cut=3", "protocol=vanilla", *model)[1])
    assert again["accuracy"] == trained["accuracy"]
    given = (*model[1:], "weights=deep/w.safetensors")
    code, out, err = call("audit", *QUICK, *STEPS, *given, "isolate=false", "--json")
    record = json.loads(out)
    assert code == 0
    assert record["utility"] == trained["accuracy"]
    assert [epoch["epoch"] for epoch in record["training"]] == [0]
    assert "training:" not in err


@pytest.mark.usefixtures("made")
def test_an_interruption_says_so_and_is_taken_up(call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = ("audit", *QUICK, *STEPS, "cut=0,1", "isolate=false", "--json")
    progress = Display.progress

    def interrupt(self: Display, number: int, what: str, done: int, total: int) -> None:
        if number == 1 and what == "training" and done == 8:
            raise KeyboardInterrupt
        progress(self, number, what, done, total)

    monkeypatch.setattr(Display, "progress", interrupt)
    code, out, err = call(*arguments)
    assert code == 130
    assert len(out.splitlines()) == 1
    assert err.endswith(f"{interruption('audit')}\n")
    assert "Traceback" not in err
    (report,) = tmp_path.glob("runs/*/report.html")
    assert report.is_file()
    seen: list[int] = []

    def watch(self: Display, number: int, what: str, done: int, total: int) -> None:
        if what == "training":
            seen.append(done)

    monkeypatch.setattr(Display, "progress", watch)
    code, out, err = call(*arguments)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "(1 of 2 cells are there already)" in err
    assert seen == list(range(7, 13))  # the first epoch of the second cell's victim was kept


@pytest.mark.usefixtures("made")
def test_a_file_is_run_from_the_command_line(call: Any, tmp_path: Path) -> None:
    lines = [f'{key} = "{value}"' for key, value in (text.split("=") for text in QUICK) if value[0].isalpha()]
    (tmp_path / "mine.toml").write_text("\n".join(lines) + '\nmodel = "' + MODEL[6:] + '"\nseed = [1, 2]\n')
    code, out, _ = call("audit", "mine.toml", "seed=1", *STEPS, "cut=0", "epochs=1", "isolate=false", "--json")
    assert code == 0
    assert json.loads(out)["cell"]["attack"] == "unsplit"
    assert Path("runs/mine/report.html").is_file()


def test_an_interruption_while_torch_is_imported_ends_in_a_line(tmp_path: Path) -> None:
    # Of an exception in its midst torch's import makes another one, as code in C does.
    torch = "import os, signal, time\ntry:\n os.kill(os.getpid(), signal.SIGINT); time.sleep(9)\n"
    (tmp_path / "torch.py").write_text(f"{torch}except KeyboardInterrupt:\n raise RuntimeError('half') from None\n")
    code = f"import sys, signal; sys.path.insert(0, {str(tmp_path)!r}); "
    code += "signal.signal(signal.SIGINT, signal.default_int_handler); from cutlayer.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "audit"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr == f"{interruption('audit')}\n"


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_ends_in_order(tmp_path: Path) -> None:
    # A process that a script has started in the background ignores SIGINT, and so do those that it starts.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from cutlayer.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "audit", "attack=unsplit", "epochs=500"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("1/"):  # the cell begins, and its process with it
                os.killpg(process.pid, signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait() == 130
    assert interruption("audit") in rest
    assert "Traceback" not in rest


@pytest.mark.usefixtures("made")
def test_cuts_that_train_to_the_same_weights_have_a_line_each_and_one_file(call: Any, tmp_path: Path) -> None:
    layers = "nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4)"
    (tmp_path / "net.py").write_text(f"from torch import nn\ndef build():\n    return nn.Sequential({layers})\n")
    values = ("protocol=vanilla", "cut=1,2", "epochs=1", "batch_size=8", "model=net.py:build", "name=cuts")
    _, out, _ = call("train", *values)
    trained = [json.loads(line) for line in out.splitlines()]
    assert [one["cut"] for one in trained] == ["1", "2"]
    assert trained[0]["folder"] == trained[1]["folder"]
    assert ["gradient_norm" in one["history"][0] for one in trained] == [True, False], "measured at the first one's cut"
    assert [json.loads(line) for line in call("evaluate", *values)[1].splitlines()] == trained
    code, _, err = call("export", *values, "--to", "w.safetensors")
    assert code == 0
    assert re.search("one file for .* cut 1, seed 1; .* cut 2, seed 1: they train to the same weights", err)
    code, _, err = call("export", "weights=w.safetensors", *values, "--to", "again.safetensors")
    assert (code, err) == (0, ""), "of weights that are given nothing is told that trained none"
    assert Path("again.safetensors").read_bytes() == Path("w.safetensors").read_bytes()
