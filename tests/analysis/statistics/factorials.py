"""Synthetic factorials as tidy frames."""

import itertools

import numpy as np
import pandas as pd

A, B, K, D = ["a1", "a2", "a3"], ["b1", "b2", "b3", "b4"], ["c1", "c2", "c3"], ["d1", "d2"]


def own(levels):
    """Every cell has its own training."""
    return " ".join(levels.values())


def grid(factors, seeds=3, training=own, without=(), y=None):
    """A row per cell and seed; `without` holds cells (their levels) or (seed, *levels)."""
    rows = []
    for seed in range(seeds):
        for levels in itertools.product(*factors.values()):
            if levels in without or (seed, *levels) in without:
                continue
            named = dict(zip(factors, levels, strict=True))
            rows.append(named | {"seed": seed, "training_id": training(named)})
    frame = pd.DataFrame(rows)
    rng = np.random.default_rng(len(frame))
    return frame.assign(y=rng.normal(size=len(frame)) if y is None else y)


def partly_shared(cell):
    """b1 and b2 share a training, b3 and b4 have one each."""
    return cell["a"] + {"b1": "shared", "b2": "shared"}.get(cell["b"], cell["b"])


def fraction():
    """Axes of 54 cells, how trainings are shared, and 27 cells that are not run: the others can tell 26 terms apart.

    b1 and b2 share a training under d1 alone.
    """
    factors = {"a": A, "b": B[:3], "c": K, "d": D}
    cells = list(itertools.product(*factors.values()))
    kept = set(np.random.default_rng(5).permutation(54)[:27].tolist())

    def training(cell):
        shared = cell["d"] == "d1" and cell["b"] != "b3"
        return "".join("*" if shared and name == "b" else level for name, level in cell.items())

    return factors, training, {cell for i, cell in enumerate(cells) if i not in kept}
