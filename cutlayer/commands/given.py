"""What is typed behind a command: an experiment file, and what is changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def file_and_overrides(texts: Sequence[str] | None, **defaults: str) -> tuple[Path | None, list[str]]:
    """The file among ``texts``, and the overrides; without a file completed by ``defaults`` that none of them names."""
    # Half of the commands need nothing that takes seconds to import.
    from cutlayer.experiment import ExperimentError

    texts = texts or ()
    files = [text for text in texts if "=" not in text]
    if len(files) > 1 or any(not file.endswith(".toml") for file in files):
        wrong = next((file for file in files if not file.endswith(".toml")), files[-1])
        raise ExperimentError(f"{wrong!r} is neither key=value nor the one experiment file (FILE.toml)")
    overrides = [text for text in texts if "=" in text]
    if files:
        return Path(files[0]), overrides
    named = {text.partition("=")[0] for text in overrides}
    return None, [*overrides, *(f"{key}={value}" for key, value in defaults.items() if key not in named)]
