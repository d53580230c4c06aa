"""Scikit-learn's digits without scikit-learn, whose import takes every process of the tests seconds."""

from __future__ import annotations

import functools
from importlib.metadata import distribution

import numpy as np
import torch
from torch import Tensor


@functools.cache
def handwriting() -> tuple[Tensor, Tensor]:
    """Images [1797, 1, 8, 8] in [0, 1], and labels [1797]: what ``load_digits`` gives, in its order."""
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    numbers = torch.from_numpy(np.loadtxt(str(file), delimiter=","))
    return numbers[:, :-1].float().view(-1, 1, 8, 8) / 16, numbers[:, -1].long()
