"""Small results folders, value by value.

A cell of `crossed` reads mean − step, mean, mean + step at its three seeds; so its standard deviation is the step, and
the 95 % half-width 4.302653 · step/√3 = 2.484138 · step.
"""

import itertools
import json

import pandas as pd

from analysis.answers import read
from tests.analysis.folders import write_curves

NLL, FID, IS = "nll/test", "fid/train/digits-cnn", "is/digits-cnn"
STEPS = {NLL: 0.02, FID: 1.0, IS: 0.1}
NLL_INFO = {"label": "NLL", "unit": "bits/dim", "direction": "min", "decimals": 2, "decides": "likelihood"}
FID_INFO = {"label": "FID", "direction": "min", "decimals": 1, "decides": "samples", "scale": "log", "relevant": 0.05}
METRICS = {
    NLL: NLL_INFO | {"relevant": 0.01},
    FID: FID_INFO,
    IS: {"label": "IS", "direction": "max", "decimals": 2},
    "rfid/digits-cnn": {"label": "R-FID", "direction": "min", "decimals": 1, "part": "autoencoder"},
    "psnr/test": {"label": "PSNR", "unit": "dB", "direction": "max", "decimals": 1, "part": "autoencoder"},
}
BASE = {"parameterization": "epsilon", "variance": "beta", "objective": "simple", "schedule": "linear"}
BASE |= {"horizon": "100", "schedule.rescale": "true", "timesteps": "uniform", "sampler": "ancestral"}
BASE |= {"sampler.steps": "null", "evaluation.horizon": "null", "training.steps": "4000", "training.batch": "128"}


def folder_of(folder, axes, cells, **more):
    """A results folder. `axes`: name → (label, level → (label, settings)); `cells`: levels → metric → value per seed;
    `rows`: (cell, seed) → what its row has besides."""
    rows, ids = [], {}
    n = max(len(values) for metrics in cells.values() for values in metrics.values())
    for levels, metrics in cells.items():
        cell = "-".join(levels) or "cell"
        ids[cell] = dict(zip(axes, levels, strict=True))
        settings = {k: v for (_, of), level in zip(axes.values(), levels, strict=True) for k, v in of[level][1].items()}
        for seed in range(n):
            row = {"cell_id": cell, "training_id": cell, "seed": seed, "status": "finished", "reason": ""}
            row |= {f"axis.{axis}": level for axis, level in ids[cell].items()} | BASE | settings
            row |= {name: values[seed] for name, values in metrics.items() if len(values) > seed}
            rows.append(row | more.get("rows", {}).get((cell, seed), {}))
    measured = [name for name in METRICS if any(name in metrics for metrics in cells.values())]
    head = {
        "name": "small",
        "question": "Which is better?",
        "layout": "general",
        "data": "digits",
        "seeds": list(range(n)),
        "horizon": 100,
        "axes": [
            {"name": name, "label": label, "levels": [{"name": n, "label": text} for n, (text, _) in levels.items()]}
            for name, (label, levels) in axes.items()
        ],
        "metrics": [{"name": name} | METRICS[name] for name in measured],
        "cells": ids,
        "command": "python -m ablations.run grid=small",
    }
    folder.mkdir(parents=True)
    told = head | {key: value for key, value in more.items() if key != "rows"}
    (folder / "grid.json").write_text(json.dumps(told), encoding="utf-8")
    pd.DataFrame(rows).fillna("").to_csv(folder / "runs.csv", index=False)
    write_curves(folder, [])
    return folder


def named(**levels):
    """An axis called Cell without settings: name → label."""
    return {"cell": ("Cell", {name: (label, {}) for name, label in levels.items()})}


def small(folder, cells, **more):
    """The analysis of cells of one axis: label → metric → value per seed."""
    axes = named(**{label: label for label in cells})
    return read(folder_of(folder, axes, {(label,): metrics for label, metrics in cells.items()}, **more))


def crossed(folder, axes, means, left_out=(), **more):
    """The analysis of all combinations of levels, whose means grow by 0.1 from cell to cell."""
    combinations = [at for at in itertools.product(*(levels for _, levels in axes.values())) if at not in left_out]
    cells = {
        at: {m: [mean + 0.1 * k + (s - 1) * STEPS.get(m, 0.01) for s in range(3)] for m, mean in means.items()}
        for k, at in enumerate(combinations)
    }
    return read(folder_of(folder, axes, cells, **more))


def choices(label, name, *values, **labels):
    """An axis whose levels are the values of a choice."""
    return label, {value: (labels.get(value, value), {name: value}) for value in values}
