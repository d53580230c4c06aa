"""What UnSplit's options buy on MNIST: MSE, SSIM and clone accuracy against seconds, beside the published setting.

Needs the data: CUTLAYER_DATA names a folder with MNIST in it; without it nothing is measured. A victim is trained once
for each seed and kept under ``--out``, where the table is left as curve.json, and a drawing of each metric. Seconds are
the attack's own for ten images, one thread. The seeds are those that options were tuned on: never a paper table's.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from cutlayer import scene
from cutlayer.audit import run_cell
from cutlayer.experiment import make
from cutlayer.reproduction.plot import lines
from cutlayer.reproduction.statistic import Interval, interval

FAST = {"order": "joint", "input_learning_rate": 3e-3, "bounds": "unit"}
SETS: Mapping[str, Mapping[str, Any]] = {
    "published": {},
    "joint": {"order": "joint"},
    "joint, rates": {"order": "joint", "input_learning_rate": 3e-3},
    "joint, bounds": {"order": "joint", "bounds": "unit"},
    "joint, rates, bounds": FAST,
    "joint, rates, bounds, 4 restarts": {**FAST, "restarts": 4},
}
ROUNDS = (5, 10, 25, 50, 100, 200)
METRICS = {"mse": "inputs", "ssim": "inputs", "ssim_stretched": "inputs", "accuracy": "model"}


def cell(data: str, out: Path, cut: int, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    """Seconds and scores of one attacked cell."""
    experiment = make(
        {
            "dataset": "mnist",
            "data_dir": data,
            "model": "unsplit_mnist",
            "protocol": "vanilla",
            "cut": str(cut),
            "attack": "unsplit",
            "options": {"unsplit": dict(options)},
            "steps": "paper",
            "seed": seed,
            "device": "cpu",
            "precision": "fp32",
            "threads": 1,
            "isolate": False,
        }
    )
    (settled,) = scene.settle(experiment)
    record = run_cell(settled, out, lambda what, done, total: None).record
    scores = {(score.goal, score.metric): score.value for score in record.scores}
    found = {metric: scores[goal, metric] for metric, goal in METRICS.items()}
    return {"seconds": record.attack_seconds or 0.0, **{name: value or 0.0 for name, value in found.items()}}


def write(points: Sequence[Mapping[str, Any]], out: Path) -> None:
    """curve.json, and one SVG for each metric: a panel for each cut, a line for each option set."""
    (out / "curve.json").write_text(json.dumps(points, indent=1))
    for metric in METRICS:
        panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
        for point in points:
            mean = interval(each[metric] for each in point["seeds"])
            if mean:
                panel = panels.setdefault(f"cut {point['cut']}", {})
                panel.setdefault(point["set"], []).append((point["seconds"], mean))
        (out / f"{metric}.svg").write_bytes(lines(panels, "seconds for ten images", metric, log=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each cut, option set and number of rounds: means over the seeds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cuts", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--seeds", type=int, nargs="*", default=[101, 102, 103])
    parser.add_argument("--rounds", type=int, nargs="*", default=ROUNDS)
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--out", type=Path, default=Path("runs/unsplit_curve"))
    options = parser.parse_args(arguments)
    data = os.environ.get("CUTLAYER_DATA")
    if not data:
        print("unsplit_curve: CUTLAYER_DATA names no data, so nothing is measured")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    points: list[dict[str, Any]] = []
    print(f"unsplit_curve: means over seeds {', '.join(map(str, options.seeds))}")
    for cut in options.cuts:
        for name in options.sets:
            for rounds in options.rounds:
                chosen = {**SETS[name], "rounds": rounds}
                found = [cell(data, options.out, cut, seed, chosen) for seed in options.seeds]
                mean = {key: fmean(one[key] for one in found) for key in found[0]}
                points.append({"cut": cut, "set": name, "rounds": rounds, **mean, "seeds": found})
                values = "  ".join(f"{key} {value:.3f}" for key, value in mean.items())
                print(f"  cut {cut}  {name:32} {rounds:4} rounds  {values}", flush=True)
                write(points, options.out)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
