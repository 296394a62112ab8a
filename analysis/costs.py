"""The costs of cells as columns: FLOPs and seconds of training, seconds of a sample, and the work of all workers.

FLOPs are 3 × forward pass × images seen, unless the runs state them; in latents they include the autoencoder's, and
those of a training that guides the cell's samples. They are the same on every machine, but leave out all work beside
the network; seconds include that work, and also what else the machine did.

A check for hidden differences: cells that declare one difference may differ in the weight of each t as well.

    c(t) = w(t),  or w(t) p(t),  relative to its mean over t

w is the weight of ‖ε − ε̂‖²/D in a cell's objective. p is the density of its training times; it counts unless the loss
is divided by it (curve `expected_weight`). c is relative to its mean, since Adam divides a constant factor out of every
step. An axis over objectives, training times, schedules, T or training declares that it changes c. Under any other
axis, a change of more than 1 % at some t is a second difference between its cells, and the table says so.
"""

from __future__ import annotations

import math
import re
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.grid_json import Axis
from analysis.labels import two_digits
from analysis.results import Results
from analysis.schema import AMOUNTS, AUTOENCODER, WEIGHT

TRAINING = ["cost/train_seconds", "cost/autoencoder_seconds", "cost/guide_seconds"]
"""The seconds of a diffusion, of its autoencoder, and of the training that guides its samples."""
PARTS = ["cost/train_flops", "cost/autoencoder_flops"]
OTHERS = ["parameters", "sample_seconds", "peak_memory_bytes", "total_flops", "flops_per_image"]
SHARED_BY = {"cost/autoencoder_seconds": AUTOENCODER, "cost/guide_seconds": "seed"}
"""Column of seconds → the column that identifies the training they are of, where this is not the diffusion's own."""
DECLARED = ("objective", "timesteps", "schedule", "horizon", "training")
"""The choices that are expected to change the weight of t, and so declare it."""
SAME = 0.01
"""The share below which weights count as equal, if they differ by less at every t."""


def costs_of(results: Results) -> pd.DataFrame:
    """The mean costs of each cell over its finished seeds, by cell_id: parameters, flops, train_seconds, sample_seconds
    (per sample) and memory (bytes); nan where unknown."""
    own = results.finished.set_index("cell_id")
    cost = own.reindex(columns=[*TRAINING, *PARTS, *(f"cost/{name}" for name in OTHERS)])
    cost = cost.where(cost > 0)
    seen = own.reindex(columns=list(AMOUNTS)).apply(pd.to_numeric).prod(axis=1, skipna=False)
    flops = cost["cost/total_flops"].fillna(cost[PARTS].sum(axis=1, min_count=1))
    drawn = (results.meta.quality_n or 0) * (results.meta.quality_sets or 1) or 1
    frame = pd.DataFrame(
        {
            "parameters": cost["cost/parameters"],
            "flops": flops.fillna(3 * cost["cost/flops_per_image"] * seen),
            "train_seconds": cost[TRAINING].sum(axis=1, min_count=1),
            "sample_seconds": cost["cost/sample_seconds"] / drawn,
            "memory": cost["cost/peak_memory_bytes"],
        }
    )
    return frame.groupby(level=0).mean().reindex(results.cell_ids)


def work_seconds(runs: pd.DataFrame) -> float:
    """The total seconds that workers spent on these runs. A stage that several runs share counts once."""
    columns = [str(name) for name in runs if re.fullmatch(r"cost/\w+_seconds", str(name))]
    parts = (runs[["seed", SHARED_BY.get(name, "training_id"), name]].drop_duplicates()[name] for name in columns)
    return float(sum(part.sum() for part in parts))


def seed_seconds(results: Results) -> float:
    """The seconds that workers spent on a seed of all cells, 0 where they are not known."""
    return work_seconds(results.runs) / len(results.meta.seeds)


def changed_along(results: Results, axis: Axis) -> set[str]:
    """The choices that differ between cells of a grid with the same level on every axis but this one."""
    others, varied = [f"axis.{other.name}" for other in results.meta.axes if other is not axis], results.varied
    if not others:
        return set(varied)
    several = results.runs[[*others, *varied]].drop_duplicates().groupby(others)[varied].nunique() > 1
    return set(several.columns[several.any()])


def weight_notes(results: Results) -> dict[str, str]:
    """Axis → a footnote, for each axis that changes the weight of t without declaring it."""
    notes, weights = {}, _weights(results)
    for axis in results.meta.axes:
        if any(name.split(".")[0] in DECLARED for name in changed_along(results, axis)):
            continue
        others = {cell: levels | {axis.name: ""} for cell in weights if (levels := results.levels(cell))}
        pairs = [(a, b) for a, b in combinations(weights, 2) if others[a] == others[b]]
        ratios = [_difference(weights[a], weights[b]) for a, b in pairs]
        factor, t = max(ratios, key=lambda ratio: ratio[0], default=(1.0, 0))
        if factor > 1 + SAME:
            factor_text = f"{two_digits(100 * (factor - 1))} %" if factor < 1.995 else f"×{two_digits(factor)}"
            none = f"some have none at t = {t}, where others have some"
            how = none if math.isinf(factor) else f"by up to {factor_text}, at t = {t}"
            text = f"Cells that differ in {axis.label} differ in the effective weight of each t too"
            notes[axis.name] = f"{text} ({how}): see figures/weights."
    return notes


def _weights(results: Results) -> dict[str, pd.Series]:
    """The weight c(t) of each finished cell that has one, by its first seed: it is a formula, or learned."""
    points = results.points(WEIGHT).drop_duplicates(["cell_id", "x"]).set_index("x")
    own = points[points["cell_id"].isin(results.finished["cell_id"])].assign(y=points["y"].where(points["y"] >= 0))
    return {str(cell): weight for cell, weight in own.groupby("cell_id", sort=False)["y"] if (weight > 0).any()}


def _difference(a: pd.Series, b: pd.Series) -> tuple[float, int]:
    """The largest ratio between two weights of one T and its t; 1 where none can be told. Means are over the t at which
    both are known."""
    if not a.index.equals(b.index):
        return 1.0, 0
    both = a.notna() & b.notna() & ~((a == 0) & (b == 0))
    x, y = a[both].to_numpy(), b[both].to_numpy()
    if not (x.sum() > 0 and y.sum() > 0):
        return 1.0, 0
    with np.errstate(divide="ignore"):
        logs = np.abs(np.log(x / x.mean()) - np.log(y / y.mean()))
    worst = int(logs.argmax())
    return float(np.exp(logs[worst])), int(a[both].index[worst])
