"""A run folder with made records, for the tests of what is written from records."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CLASSES = [str(digit) for digit in range(10)]
WORDS = {
    "unsplit": "The server never sees the client's layers. It guesses an input and a copy of those layers "
    "together, until the copy sends the activations that the client sent.",
    "label_inference": "The server compares the gradient it is sent with those that each label would have caused in a "
    "network of its own.",
}
ENVIRONMENT = {
    "python": "3.11.9",
    "torch": "2.13.0",
    "platform": "Linux",
    "cpu": "x86_64",
    "threads": 2,
    "device": "cpu",
}


def made_pictures(count: int = 10, side: int = 28) -> np.ndarray:
    """Float32 [count, 1, side, side] in [0, 1]: rings of different sizes."""
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    rings = [np.exp(-((np.hypot(x, y) - 0.08 - 0.03 * i) ** 2) / 0.002) for i in range(count)]
    return np.stack(rings)[:, None].astype(np.float32)


def score(goal: str, metric: str, value: float, blind: float, best: float | None, decides: bool) -> dict[str, Any]:
    gain = None if best is None else (value - blind) / (best - blind)
    verdict = None if gain is None else "leak" if gain >= 0.25 else "partial leak" if gain >= 0.1 else "no leak"
    return {"goal": goal, "metric": metric, "value": value, "blind": blind, "best": best, "advantage": gain,
            "guess": "", "decides": decides, "verdict": verdict if decides else None}  # fmt: skip


def made_record(attack: str, cut: Any, seed: int, strength: float, **changes: Any) -> dict[str, Any]:
    """A finished cell whose attack gets ``strength`` (0 to 1) of what there is to get."""
    inverts = attack == "unsplit"
    protocol = "vanilla" if inverts else "u_shaped"
    noise = np.random.default_rng([seed, int(100 * abs(strength))])
    counts = np.rint(noise.dirichlet(np.ones(10), 10) * 6 * (1 - strength) + np.eye(10) * 10 * strength).astype(int)
    seconds = float(12 + 3 * seed + 10 * strength)
    curves = {"matching_loss": [10 ** (-i / 25) for i in range(100)]}
    epochs = [{"epoch": e, "loss": 1.9 * 0.6**e + 0.05, "accuracy": 1 - 0.7 * 0.55**e} for e in range(1, 11)]
    inversion = [
        score("inputs", "ssim", 0.22 + 0.78 * strength, 0.22, 1.0, True),
        score("inputs", "mse", 0.078 * (1.2 - strength), 0.078, 0.0, False),
        score("inputs", "psnr", 11 + 9 * strength, 11.1, None, False),
        score("model", "accuracy", 0.1 + 0.88 * strength, 0.1, 1.0, True),
        score("model", "agreement", 0.1 + 0.86 * strength, 0.1, 1.0, False),
    ]
    return {
        "status": "done",
        "reason": "",
        "cell": {"protocol": protocol, "dataset": "digits", "model": "unsplit_mnist", "cut": str(cut), "attack": attack,
                 "defenses": [], "seed": seed, "clients": 1, "when": "after", "steps": "quick", "pixels": "lossless"},
        "utility": 0.97 + 0.005 * seed,
        "training": epochs,
        "scores": inversion if inverts else [score("labels", "accuracy", 0.12 + 0.88 * strength, 0.12, 1.0, True)],
        "verdict": "leak" if strength >= 0.25 else "no leak",
        "thresholds": {"leak": 0.25, "partial": 0.1},
        "threat": {"seat": "server", "goals": ["inputs", "model"] if inverts else ["labels"], "tampers": False,
                   "declared": ["peer_architecture"] if inverts else ["peer_architecture", "class_prior"],
                   "offered": ["own_part", "peer_architecture", "class_prior"], "used": {"peer_architecture": 2},
                   "plain": WORDS[attack], "paper": "Erdogan, Kupcu, Cicek: UnSplit (WPES 2022)"},
        "isolated": inverts,
        "bytes_up": 5_890_000, "bytes_down": 5_880_000, "bytes_per_sample": 9216.0 if inverts else 4608.0,
        "client_parameters": 208 if str(cut)[0] == "1" else 3424, "parameters": 44426,
        "client_flops": {"1": 230400, "3": 420000, "5": 643000}[str(cut)[0]], "flops": 1_050_000,
        "attack_seconds": seconds, "seconds": seconds + 4,
        "attack": {"options": {"weight": 0.1}, "published_steps": 200000, "steps": 10000, "fraction": 0.05,
                   "notes": {"clone updates": 100}, "curves": curves if inverts else {}},
        "pictures": None,
        "confusion": None if inverts else {"labels": CLASSES, "counts": counts.tolist()},
        "features": None,
        "code": {"version": "0.1.0", "commit": "4f2c9e1d7a", "dirty": False},
        "environment": ENVIRONMENT,
        "experiment": {"seed": seed, "dataset": "digits", "model": "unsplit_mnist", "protocol": protocol,
                       "cut": str(cut), "attack": attack, "offers": ["peer_architecture"],
                       "options": {attack: {"weight": 0.1}}},
        "started": f"2026-11-20T2{seed}:00:00+00:00",
        **changes,
    }  # fmt: skip


def save(run: Path, record: dict[str, Any], truth: np.ndarray | None = None, strength: float = 0.5) -> None:
    """Lay a record down as a run does, with pictures where there is a ``truth``."""
    cell = record["cell"]
    folder = run / "cells" / f"{len(list(run.glob('cells/*'))):03d}-{cell['attack'].replace('/', '_')}"
    folder.mkdir(parents=True)
    if truth is not None:
        grain = np.random.default_rng(cell["seed"]).random(truth.shape, np.float32)
        blind = np.broadcast_to(truth.mean(axis=0, keepdims=True), truth.shape)
        guess = strength * truth + (1 - strength) * (0.5 * grain + 0.5 * blind)
        tensors = {"truth": truth, "guess": guess.astype(np.float32), "blind": np.ascontiguousarray(blind)}
        save_file(tensors, folder / "pictures.safetensors")
        ssim = [round(0.2 + 0.75 * strength - 0.01 * i, 3) for i in range(len(truth))]
        record["pictures"] = {"file": "pictures.safetensors", "rows": [], "labels": CLASSES[: len(truth)], "ssim": ssim,
                              "blind_ssim": [0.22] * len(truth), "mse": [0.04] * len(truth)}  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def made_run(run: Path, seeds: Iterable[int] = (1,), truth: np.ndarray | None = None) -> Path:
    """A run of two attacks at three cuts, with a cell that failed and one that does not apply."""
    truth = made_pictures() if truth is None else truth
    for seed in seeds:
        for cut, strength in ((1, 0.62), (3, 0.18), (5, 0.0)):
            strength = max(strength + 0.04 * (seed - 1), 0.0) if cut != 5 else -0.03 * seed
            save(run, made_record("unsplit", cut, seed, strength), truth, max(strength, 0.02))
            if cut != 5:
                save(run, made_record("label_inference", f"{cut}:10", seed, 1.0 if cut == 1 else 0.3))
    failed = made_record("label_inference", "5:10", 1, 0.0)
    save(run, failed | {"status": "failed", "reason": "the gradient was not finite at step 118", "scores": []})
    outside = made_record("label_inference", "1:10", 1, 0.0)
    outside["cell"] |= {"protocol": "vanilla", "cut": "1"}
    save(
        run,
        outside
        | {
            "status": "not applicable",
            "reason": "in vanilla the server has the labels",
            "scores": [],
            "experiment": outside["experiment"] | outside["cell"],
        },
    )
    return run
