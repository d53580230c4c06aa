"""Frames guided by coverage against the codec, the checks of the wire and the parties behind them, with atheris.

`python scripts/fuzz_frames.py [CORPUS] [-runs=N ...]`: libFuzzer's own options; a frame that crashes is left behind.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))
FUZZED = [f"cutlayer.{name}" for name in ("codec", "wire", "compression", "duplex", "protocol", "handover")]
with atheris.instrument_imports(include=[*FUZZED, "cutlayer.deploying.durable"]):
    from tests.fuzzing import BOUND, Ground, mutated


def main() -> None:
    """Start from the seeds of the ground, and let coverage decide what is worth keeping."""
    ground = Ground(Path(tempfile.mkdtemp(prefix="fuzz-")))
    own = Path(tempfile.mkdtemp(prefix="fuzz-seeds-"))
    for number, seed in enumerate(ground.seeds):
        (own / str(number)).write_bytes(seed)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        draw = random.Random(seed)
        changed = mutated(data, draw) if draw.random() < 0.7 else atheris.Mutate(data, size)
        return bytes(changed[:size])

    options = [*sys.argv, str(own)] if len(sys.argv) > 1 else [sys.argv[0], str(own)]
    atheris.Setup([*options, f"-max_len={BOUND}"], lambda data: ground.feed(data) and None, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
