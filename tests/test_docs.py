"""What the documentation says is so: its code runs, its commands parse, its tables and links hold."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import typer.main

from cutlayer import registry, sweeping
from cutlayer.attack import Attack
from cutlayer.cli import app
from cutlayer.commands.explain import explanation, suggested
from cutlayer.commands.given import file_and_overrides
from cutlayer.commands.reproduce import paper
from cutlayer.experiment import KEYS, OFFERABLE, Experiment, ExperimentError, make
from cutlayer.grid import grid
from cutlayer.protocol import Protocol
from cutlayer.record import DONE, LEAK, NONE, Record, Thresholds
from cutlayer.reproduction.plan import chosen, experiments
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.settle import settle
from cutlayer.seat.making import make_attack
from cutlayer.simulation.assembly import brief
from cutlayer.threat import Knows, Seat
from tests import contract, trials

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FILES = sorted((ROOT / "experiments").glob("*.toml"))
EXAMPLE = "activation_picture"
SMALL = ("train_rows=64", "test_rows=40", "epochs=1", "isolate=false")
SHORT = ("unsplit.rounds=1", "unsplit.input_steps=2", "unsplit.model_steps=2", "unsplit.restarts=1")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [block for named, block in found if named == language]


def commands(page: str) -> Iterator[str]:
    """Every `cutlayer` and `make` command on a page, in a TOML file's comments too."""
    lines = [line.strip() for block in blocks(page, "") for line in block.splitlines()]
    spans = [
        " ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S))
    ]
    comments = [line.removeprefix("#").strip() for line in page.splitlines() if line.startswith("#  ")]
    for command in (*lines, *spans, *comments):
        if re.match(r"(\.venv/bin/cutlayer|cutlayer|make) ", command):
            yield command.split("  #")[0].strip()


def check_command(command: str) -> None:
    """Refuse a command that would end with a usage or configuration error."""
    program, name, *arguments = shlex.split(command)
    if program == "make":
        assert re.search(rf"^{re.escape(name)}:", text("Makefile"), re.MULTILINE), f"no target {name}"
        return
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert name in known, f"no command {name}"
    if not arguments:
        return
    given = known[name].make_context(name, arguments).params
    if name == "reproduce":
        names = [*(f"table {n}" for n in given["table"] or ()), *(f"figure {n}" for n in given["figure"] or ())]
        source = paper(given["paper"])
        exhibits = chosen(source, [*names, *(given["only"] or ())])
        assert experiments(given["paper"], exhibits, given["scale"].value, 1, given["given"] or [])
    elif "given" in given:
        for experiment in grid(*file_and_overrides(given["given"])):
            check_experiment(experiment)
    elif name == "explain":
        explanation(given["attack"], given["plugins"])


def check_experiment(experiment: Experiment) -> None:
    plugins, options = experiment.plugins, experiment.options
    for folder in ("dataset", "model", "protocol"):
        value = getattr(experiment, folder)
        if value != "auto" and ":" not in value:
            registry.module(f"{folder}s", value, plugins)
    make_attack(experiment.attack, options.get(experiment.attack, {}), plugins)
    make_defenses(experiment)
    unused = options.keys() - {experiment.attack, experiment.dataset, *experiment.defenses}
    assert not unused, f"options of {', '.join(unused)}, which the experiment does not use"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the examples of the pages among its plug-ins and the experiments at hand."""
    monkeypatch.chdir(tmp_path)
    own = text("docs/your-own.md")
    examples = dict(zip(re.findall(r"`([\w/]+\.py)`:\n\n```python", own), blocks(own, "python"), strict=True))
    assert len(examples) == 3
    examples[f"plugins/attacks/{EXAMPLE}.py"] = blocks(text("docs/adding-an-attack.md"), "python")[0]
    for place, block in examples.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(block)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", [*PAGES, *FILES], ids=lambda path: path.name)
def test_every_command_is_real(page: Path) -> None:
    for command in commands(page.read_text(encoding="utf-8")):
        try:
            check_command(command)
        except Exception as error:
            raise AssertionError(f"{page.name}: {command}: {error}") from error


def test_commands_are_found() -> None:
    found = list(commands(text("README.md")))
    assert "make audit" in found
    assert "cutlayer audit experiments/unsplit_mnist.toml seed=1,2,3" in found
    assert sum(len(list(commands(page.read_text(encoding="utf-8")))) for page in [*PAGES, *FILES]) > 25


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "command",
    [
        "make tea",
        "cutlayer brew cut=1",
        "cutlayer audit atack=unsplit",
        "cutlayer audit --jason",
        "cutlayer audit dataset=mnits",
        "cutlayer audit attack=unsplit unsplit.round=5",
        "cutlayer audit attack=unsplit label_inference.match=all",
        "cutlayer audit experiments/unsplit_mnits.toml",
        "cutlayer explain unspilt",
    ],
)
def test_a_command_that_is_not_real_is_reported(command: str) -> None:
    with pytest.raises((AssertionError, ExperimentError, registry.PluginError, *_usage_errors())):
        check_command(command)


def _usage_errors() -> tuple[type[Exception], ...]:
    """The error of the click in use: newer versions of typer bring their own."""
    return tuple(kind for kind in type(typer.BadParameter("")).__mro__ if kind.__name__ == "UsageError")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_example_attack_runs_as_its_page_says(folder: Path) -> None:
    (said,) = [c for c in commands(text("docs/adding-an-attack.md")) if "audit" in c]
    records = sweeping.audit(*shlex.split(said)[2:], *SMALL)
    assert [(r.cell.cut, r.attack.options["channel"]) for r in records] == [
        ("1", "mean"), ("3", "mean"), ("1", "liveliest"), ("3", "liveliest")
    ]  # fmt: skip
    for record in records:
        assert record.status == DONE, record.reason
        assert record.command.startswith(said.removesuffix(" "))
        assert any(score.metric == "ssim" and score.advantage is not None for score in record.scores)


@pytest.mark.slow
def test_the_example_attack_finds_what_its_page_says(folder: Path) -> None:
    (said,) = [c for c in commands(text("docs/adding-an-attack.md")) if "audit" in c]
    records = sweeping.audit(*shlex.split(said)[2:], "isolate=false")
    assert [(r.cell.cut, r.verdict) for r in records] == [("1", LEAK), ("3", NONE)] * 2


@pytest.mark.parametrize("controlled", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_example_attack_keeps_the_contract(folder: Path, controlled: int) -> None:
    """Its negative control takes longest: so many of its cases have one."""
    made: dict[str, Any] = {}
    exec(compile(blocks(text("docs/adding-an-attack.md"), "python")[1], "adding-an-attack.md", "exec"), made)
    assert {case.protocol for case in made["CASES"]} == {"vanilla", "u_shaped"}
    assert (("channel", "liveliest"),) in {case.options for case in made["CASES"]}
    assert len(made["CASES"]) == 3
    for number, case in enumerate(made["CASES"]):
        for check in contract.CHECKS:
            if number < controlled or check is not contract.check_control:
                made["test_it_keeps_the_contract"](case, check)


@pytest.mark.parametrize("name", registry.names("attacks"))
def test_what_explain_suggests_offers_all_that_the_attack_needs(name: str) -> None:
    given = suggested(name, registry.cls("attacks", name, Attack), None)  # type: ignore[type-abstract]
    scene, *_ = settle(grid(*file_and_overrides(given))[0])
    assert scene.attack.threat.knows <= set(brief(scene, attack=True).offers)


def test_the_examples_of_ones_own_run_as_their_page_says(folder: Path) -> None:
    (folder / "loans.csv").write_text("id,name,age,default\n" + "".join(f"{n},n{n},{n},{n % 2}\n" for n in range(40)))
    said = [command for command in commands(text("docs/your-own.md")) if "scans" not in command]
    for command, cells in zip(said, (3, 2, 3), strict=True):
        records = sweeping.audit(*shlex.split(command)[2:], *SMALL, *SHORT)
        assert [(record.status, record.reason) for record in records if record.status != DONE] == []
        assert len(records) == cells, command


def test_the_use_from_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks(text("README.md"), "python")
    assert len(block.splitlines()) <= 15
    audit, records = sweeping.audit, []

    def small(*overrides: str) -> list[Record]:
        records.extend(audit(*overrides, *SMALL, *SHORT))
        return records

    with patch.object(sweeping, "audit", small):
        exec(compile(block, "README.md", "exec"), {})
    assert [record.cell.cut for record in records] == ["1", "2", "3"]
    assert all(record.status == DONE for record in records)
    assert (folder / "runs" / "mine" / "report.html").is_file()
    assert "inputs: ssim" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("unsplit_mnist", 6),
        ("unsplit_fashion_mnist", 6),
        ("unsplit_cifar10", 8),
        ("label_inference", 24),
        ("breast_cancer", 3),
        ("fsha_mnist", 1),
        ("inversion_mnist", 16),
        ("sladv_cifar10", 5),
    ],
)
def test_an_experiment_file_asks_for_its_table(name: str, cells: int) -> None:
    found = grid(ROOT / "experiments" / f"{name}.toml", [])
    assert len(found) == cells
    assert len(grid(ROOT / "experiments" / f"{name}.toml", ["seed=1,2,3"])) == 3 * cells
    for experiment in found:
        assert experiment.name == name
        assert experiment.data_dir is None
        check_experiment(experiment)
        for attack in filter(None, (experiment.attack, experiment.under)):
            needed = make_attack(attack, experiment.options.get(attack, {})).threat.knows.intersection(OFFERABLE)
            assert needed <= {*experiment.offers}, attack


def test_every_experiment_file_is_tested() -> None:
    assert len(FILES) == 8


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def true_rows() -> dict[str, list[str]]:
    """By plug-in: the lines that the tables of the threat models must have about it."""
    found: dict[str, list[str]] = {}
    for name in registry.names("protocols"):
        protocol: Protocol = registry.cls("protocols", name, Protocol)()
        found[name] = [
            row(f"`{name}`", f"`{kind}`", *(", ".join(names) or "nothing" for names in (frame.request, frame.reply)))
            for kind, frame in protocol.wire.items()
        ]
        found[name] += [row(f"`{name}`", f"`{s}`", ", ".join(sorted(protocol.exposes[s]))) for s in Seat]
    for case in trials.distinct(trials.cases()):
        threat, short = trials.attack_of(case).threat, trials.cases(only=case.attack)[0].options
        chosen = "".join(f", {name}={value}" for name, value in case.options if (name, value) not in short)
        goals, knows = (", ".join(sorted(values)) for values in (threat.goals, threat.knows))
        found.setdefault(case.attack, []).append(row(f"`{case.attack}`{chosen}", f"`{threat.seat}`", goals, knows))
    return found


def test_the_tables_of_plugins_are_true() -> None:
    """What stands there is complete for the plug-ins it names; a new plug-in need not be named."""
    lines = text("docs/threat-models.md").splitlines()
    listed = [line for line in lines if re.match(r"\| `\w+`[^|]* \| `\w+` \|", line)]
    names = {match[1] for line in listed if (match := re.match(r"\| `(\w+)`", line))}
    assert names >= {"vanilla", "u_shaped", "label_only", "unsplit", "label_inference"}
    rows = true_rows()
    assert sorted(listed) == sorted(line for name in names for line in rows[name])


def test_what_the_pages_say_of_keys_and_defaults_is_true() -> None:
    page, experiment, thresholds = text("docs/threat-models.md"), make({}), Thresholds()
    assert all(f"| `{knows}` |" in page for knows in Knows)
    assert f"`{', '.join(experiment.offers)}`\nunless you say otherwise" in page
    assert f"from an advantage of {thresholds.leak} and\n**partial leak** from {thresholds.partial}" in page
    assert (experiment.leak, experiment.partial) == (thresholds.leak, thresholds.partial)
    table = text("docs/index.md").partition("## Keys used most")[2]
    named = {key for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", line)}
    assert len(named) > 20
    assert named <= set(KEYS)
