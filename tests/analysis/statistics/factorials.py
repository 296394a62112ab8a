"""Synthetic factorials as tidy frames."""

import itertools

import numpy as np
import pandas as pd

A, B, K, D = ["a1", "a2", "a3"], ["b1", "b2", "b3", "b4"], ["c1", "c2", "c3"], ["d1", "d2"]


def grid(factors, seeds=3, without=(), y=None):
    """A row per cell and seed; `without` holds cells (their levels) or (seed, *levels)."""
    rows = []
    for seed in range(seeds):
        for levels in itertools.product(*factors.values()):
            if levels in without or (seed, *levels) in without:
                continue
            rows.append(dict(zip(factors, levels, strict=True)) | {"seed": seed})
    frame = pd.DataFrame(rows)
    rng = np.random.default_rng(len(frame))
    return frame.assign(y=rng.normal(size=len(frame)) if y is None else y)


def fraction():
    """Axes of 54 cells, and 27 cells that are not run: the others can tell 26 terms apart."""
    factors = {"a": A, "b": B[:3], "c": K, "d": D}
    cells = list(itertools.product(*factors.values()))
    kept = set(np.random.default_rng(5).permutation(54)[:27].tolist())
    return factors, {cell for i, cell in enumerate(cells) if i not in kept}
