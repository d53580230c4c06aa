"""The command line: a function for each command."""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cutlayer import __version__
from cutlayer.commands.given import file_and_overrides
from cutlayer.commands.interruption import INTERRUPTED, import_torch, interruption
from cutlayer.home import at_home

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def _tell_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train neural networks by split learning, and measure what that gives away."""


class FailOn(StrEnum):
    """The verdict from which an audit fails."""

    LEAK = "leak"
    PARTIAL = "partial"


Given = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE.toml] [KEY=VALUE ...]", help="An experiment and what to change in it; commas sweep."),
]


Jobs = Annotated[
    int, typer.Option(min=0, help="Most cells at once; 0: as many as there are cores for. Results do not depend on it.")
]


@app.command()
def audit(
    given: Given = None,
    jobs: Jobs = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per cell on standard output.")] = False,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 at a verdict this bad, or no verdict at all, too.")
    ] = None,
) -> None:
    """Attack a deployment, or that of the embedded digits, and report what leaks; exits with 1 when a cell failed."""
    from cutlayer.commands.audit import audit_all, gate

    file, overrides = file_and_overrides(given)
    records = audit_all(file, overrides, _command(), jobs, Console(stderr=True), as_json)
    if why := gate(records, fail_on):
        print(f"--fail-on {fail_on}: {why}" if fail_on else why, file=sys.stderr)
        raise typer.Exit(1)


class Scale(StrEnum):
    """How much of a reproduction is run."""

    SMOKE = "smoke"
    QUICK = "quick"
    PAPER = "paper"


@app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(help="A paper, such as unsplit.")],
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE ...]", help="Choose cells (dataset=mnist), or change how they are run."),
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be given several times.")] = None,
    figure: Annotated[list[str] | None, typer.Option(help="Only this figure; may be given several times.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only what has this name on the page.")] = None,
    scale: Annotated[
        Scale, typer.Option(help="smoke: about a minute; quick: hours on two cores, in stages; paper: as published.")
    ] = Scale.QUICK,
    seeds: Annotated[int, typer.Option(min=0, help="Seeds 1 to this; 0: 1, 3 or 5 by scale, 1 where 3 take long.")] = 0,
    minutes: Annotated[float, typer.Option(min=0, help="Stop after so many minutes; 0: no limit.")] = 0,
    jobs: Jobs = 0,
) -> None:
    """Run a paper's tables and figures anew, what is missing of them, and write ours beside the printed values.

    Exits with 1 when a cell failed or was refused.
    """
    from cutlayer.commands.reproduce import Request
    from cutlayer.commands.reproduce import reproduce as run

    names = [*(f"table {name}" for name in table or ()), *(f"figure {name}" for name in figure or ()), *(only or ())]
    request = Request(paper, names, scale.value, seeds, given or [], minutes, jobs, _command())
    page, whole = run(request, Console(stderr=True))
    print(page)
    if not whole:
        raise typer.Exit(1)


@app.command()
def train(given: Given = None) -> None:
    """Train by split learning, without any attack; an interrupted training is taken up where it stopped."""
    from cutlayer.commands.output import reserved
    from cutlayer.commands.train import train_all

    file, overrides = file_and_overrides(given, attack="unsplit")
    with reserved() as out:
        for found in train_all(file, overrides, Console(stderr=True)):
            print(json.dumps(found), file=out, flush=True)


@app.command()
def evaluate(given: Given = None) -> None:
    """Measure the accuracy of trained weights (weights=FILE, or those of an earlier training) on the test split."""
    from cutlayer.commands.output import reserved
    from cutlayer.commands.train import evaluate_all

    file, overrides = file_and_overrides(given, attack="unsplit")
    with reserved():
        results = evaluate_all(file, overrides)
    for found in results:
        print(json.dumps(found))


@app.command()
def export(
    to: Annotated[Path, typer.Option(callback=at_home, help="The safetensors file to write.")],
    given: Given = None,
) -> None:
    """Write the joined model of a training as one safetensors file."""
    from cutlayer.commands.output import reserved
    from cutlayer.commands.train import export_one

    file, overrides = file_and_overrides(given, attack="unsplit")
    with reserved():
        written = export_one(file, overrides, to, Console(stderr=True))
    print(written)


@app.command()
def certs(
    folder: Annotated[Path, typer.Argument(help="Where the parties' folders go.")],
    clients: Annotated[list[str], typer.Argument(metavar="CLIENT...", help="The clients' names.")],
    host: Annotated[list[str] | None, typer.Option(help="Name or address the server is reached under.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="The server's port; of a new one 7443.")] = None,
    days: Annotated[int, typer.Option(min=1, help="How long the certificates are valid.")] = 30,
) -> None:
    """Make a private authority, signed certificates and settings to start from, for a trial among few."""
    from cutlayer.commands.certs import make_certs

    make_certs(folder, clients, host or [], port, days, Console(stderr=True))


Party = Annotated[Path, typer.Argument(metavar="FILE.toml", help="This party's settings.")]
Changes = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="What to change in them.")]


@app.command()
def serve(file: Party, changes: Changes = None) -> None:
    """Be the server of a training between several parties; a stopped one goes on where it was."""
    from cutlayer.commands.deploy import serve_one
    from cutlayer.commands.output import reserved

    with reserved():
        record = serve_one(file, changes or [], Console(stderr=True))
    print(record.model_dump_json())


@app.command()
def join(file: Party, changes: Changes = None) -> None:
    """Be a client of a training between several parties; a stopped one goes on where it was."""
    from cutlayer.commands.deploy import join_one
    from cutlayer.commands.output import reserved

    with reserved():
        record = join_one(file, changes or [], Console(stderr=True))
    if record:
        print(record.model_dump_json())


@app.command()
def record(
    given: Given = None,
    limit: Annotated[str, typer.Option(help="Keep at most so much, such as 500MB; the rest is left out.")] = "1GB",
    training: Annotated[bool, typer.Option(help="Keep the training too, not only what attacks are aimed at.")] = True,
) -> None:
    """Run a deployment and keep what its server sees, for attacks on it later."""
    from cutlayer.commands.output import reserved
    from cutlayer.commands.record import record_all

    file, overrides = file_and_overrides(given, attack="unsplit")
    with reserved() as out:
        for recording in record_all(file, overrides, limit, training, Console(stderr=True)):
            print(recording.folder, file=out, flush=True)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="A recording: runs/NAME/recordings/...")],
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="The attack and its options; commas sweep.")
    ] = None,
) -> None:
    """Attack a recording: the guess is the one that the attack would have made live, to the last bit."""
    from cutlayer.commands.record import replay_all

    print(replay_all(recording, given or [], _command(), Console(stderr=True))[1])


Plugins = Annotated[
    # A shell leaves the ~ behind an equals sign to us.
    Path | None,
    typer.Option(callback=lambda path: path and at_home(path), help="A folder with plug-ins of your own."),
]


@app.command("list")
def list_plugins(plugins: Plugins = None) -> None:
    """Show every plug-in and every key of an experiment, a line each; exits with 1 where a file cannot be read."""
    from cutlayer.commands.explain import keys, listing

    console = Console()
    tables, wrong = listing(plugins)
    for table in (*tables, keys()):
        console.print(table)
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def explain(
    attack: Annotated[str, typer.Argument(help="An attack or a defense; `cutlayer list` shows them.")],
    plugins: Plugins = None,
) -> None:
    """Explain an attack or a defense: threat model, paper and options in plain words."""
    from cutlayer.commands.explain import explanation

    Console().print(explanation(attack, plugins), crop=False)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run folder, such as runs/digits.")]) -> None:
    """Write a run's report again from its records."""
    from cutlayer.experiment import ExperimentError
    from cutlayer.layout import RunFolder
    from cutlayer.report import write_report

    cells = RunFolder(run).cells
    if not cells.is_dir():
        raise ExperimentError(f"{run} is not a run folder: it has no {cells.name}/")
    print(write_report(run))


def main() -> None:
    """The `cutlayer` command: 0 done, 1 a failed cell or as --fail-on asks, 2 a configuration that cannot be run."""
    words = sys.argv[1:] or ["--help"]
    try:
        if "--help" not in words:
            import_torch(words[0])
        # Without standalone mode an exit code is returned, and an interruption is one of them or an Abort.
        code = app(words, standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except SystemExit as end:
        if end.code:
            raise
        # By code of the user's own, or what that calls: nothing here ends so, and 0 would mean that all is done.
        raise RuntimeError("sys.exit was called before the command had done its work") from end
    except Exception as error:
        from cutlayer.commands.complaint import one_line

        line = one_line(error)
        if line is None:
            raise
        print(f"cutlayer: {line}", file=sys.stderr)
        code = 2
    if code == INTERRUPTED:
        print(interruption(words[0]), file=sys.stderr)
    sys.exit(code)


def _command() -> str:
    return shlex.join(["cutlayer", *sys.argv[1:]])
