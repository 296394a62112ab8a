"""Small results folders, value by value.

A cell of `crossed` reads mean − step, mean, mean + step at its three seeds; so its standard deviation is the step, and
the 95 % half-width 4.302653 · step/√3 = 2.484138 · step.
"""

import functools
import itertools
import operator

from analysis.answers import read
from tests.analysis.folders import axis_of, make_folder

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


def folder_of(folder, axes, cells, rows=None, **meta):
    """A results folder. `axes`: name → (label, level → (label, settings)); `cells`: levels → metric → value per seed;
    `rows`: (cell, seed) → what its row has besides."""
    settings = {}
    for levels in cells:
        of = [own[level][1] for (_, own), level in zip(axes.values(), levels, strict=True)]
        settings["-".join(levels)] = functools.reduce(operator.or_, of, BASE)
    n = max(len(values) for metrics in cells.values() for values in metrics.values())
    values = {
        levels: {seed: {name: of[seed] for name, of in metrics.items() if seed < len(of)} for seed in range(n)}
        for levels, metrics in cells.items()
    }
    told = {"name": "small", "horizon": 100, "baseline": {}, "command": "python -m ablations.run grid=small"}
    told["axes"] = [
        axis_of(name, label, {n: text for n, (text, _) in of.items()}) for name, (label, of) in axes.items()
    ]
    told["cells"] = {"-".join(levels): dict(zip(axes, levels, strict=True)) for levels in cells}
    return make_folder(
        folder,
        values,
        metrics={name: info for name, info in METRICS.items() if any(name in metrics for metrics in cells.values())},
        change=lambda row: row | settings[row["cell_id"]] | (rows or {}).get((row["cell_id"], row["seed"]), {}),
        **told | meta,
    )


def small(folder, cells, **more):
    """The analysis of cells of one axis: label → metric → value per seed."""
    axes = {"cell": ("Cell", {label: (label, {}) for label in cells})}
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
