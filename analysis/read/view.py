"""A grid as of its round: the part of its files that pages show, so that they say the same when drawn again.

    round of whole trainings    the runs of its first seeds
    round of first rungs        of these, the scores of each training at its first rung: nll/val ← rung/nll/val

No verdict is due in a preliminary round, so everything that only verdicts need is left out: looks, claims, later rungs.
At a rung nothing is known per held-out image. Samples, costs and curves are left out there as well: they are of the
end, or would differ when pages are drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.grid_json import Meta, ShownMetric
from analysis.schema import NOTES, RUNG, SCORED, STATUSES, TRACEBACK, UNSCORED

STEPS = "training.steps"
KEYS = ["cell_id", "seed"]
NO_SCORE = "it has no rung, or none yet"
"""The reason why a run has no values in a round of rungs."""
_ONGOING = (STATUSES[0], "interrupted")
"""The states of runs that may be scored yet; the others have a reason of their own."""

Load = Callable[[], pd.DataFrame]


@dataclass(frozen=True)
class Basis:
    """The basis of a round's pages: the number of `planned` seeds, or with `looks` the most there may be. In a round of
    rungs, `steps` are the fewest and the most that trainings had taken, and `of_steps` those of whole trainings."""

    planned: int
    looks: bool = False
    steps: tuple[int, int] | None = None
    of_steps: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class View:
    """A grid as of its round; without rounds, all of it, and no `basis`."""

    meta: Meta
    runs: pd.DataFrame
    load_curves: Load
    basis: Basis | None = None


def of_round(meta: Meta) -> Meta:
    """The grid's description, limited to the seeds of its round."""
    now = meta.round
    if now is None:
        return meta
    seeds = meta.seeds[: now.seeds]
    if now.preliminary:
        return replace(meta, seeds=seeds, auto=None, expects=(), rungs=0)
    # The looks as they stood at the seeds of this round.
    stopped = {cell: min(n, now.seeds) for cell, n in meta.auto.stopped.items()} if meta.auto else {}
    return replace(meta, seeds=seeds, auto=meta.auto and replace(meta.auto, stopped=stopped))


def as_of_round(meta: Meta, runs: pd.DataFrame, load_curves: Load) -> View:
    """The view of a grid, from all that its files hold."""
    if meta.round is None:
        return View(meta, runs, load_curves)
    shown = of_round(meta)
    basis = Basis(len(meta.seeds)) if meta.auto is None else Basis(meta.auto.looks[-1], looks=True)
    own = _filled(runs[runs["seed"].isin(shown.seeds)].reset_index(drop=True))
    if not meta.at_rungs:
        return View(shown, own, load_curves, basis)
    curves = load_curves()
    scores = _scores(curves)
    scored = _at_rungs(own, scores)
    counted = scored[scored["status"] == SCORED]
    taken = [scores.first[key] for key in zip(counted["cell_id"], counted["seed"], strict=True)]
    whole = [int(steps) for steps in counted[STEPS] if steps] if STEPS in counted else []
    basis = replace(basis, steps=_ends(taken), of_steps=_ends(whole))
    columns = [str(name) for name in scored if "/" in str(name)]
    return View(_judged_at_rungs(shown, columns), scored, lambda: curves[:0], basis)


def _filled(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, without the metrics that no run has."""
    return runs.drop(columns=[name for name in runs if "/" in str(name) and runs[name].isna().all()])


def _ends(steps: list[int]) -> tuple[int, int] | None:
    return (min(steps), max(steps)) if steps else None


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of trainings at their first rungs, a row per (cell_id, seed) and a column per metric; and the step of
    the `first` rung of each."""

    values: pd.DataFrame
    first: dict[tuple[str, int], int]


def _scores(curves: pd.DataFrame) -> Scores:
    """The scores at the smallest step at which a training has any."""
    points = curves[curves["curve"].str.startswith(RUNG)]
    first = points.groupby(KEYS)["x"].min()
    here = points[points["x"] == points.groupby(KEYS)["x"].transform("min")]
    here = here[np.isfinite(here["y"])].assign(metric=here["curve"].str.removeprefix(RUNG))
    values = here.pivot_table(index=KEYS, columns="metric", values="y", aggfunc="last")
    steps = zip(first.index.to_list(), first.tolist(), strict=True)
    return Scores(values, {(str(cell), int(seed)): int(x) for (cell, seed), x in steps})


def _at_rungs(runs: pd.DataFrame, scores: Scores) -> pd.DataFrame:
    """The runs with their scores at the first rung as metrics, and with their status at that time."""
    rest = runs.drop(columns=[name for name in runs if "/" in str(name)])
    keys = pd.MultiIndex.from_frame(rest[KEYS])
    values = scores.values.reindex(keys).reset_index(drop=True)
    own = values.notna().any(axis="columns").to_numpy()
    ongoing = rest["status"].isin(_ONGOING).to_numpy() & ~own
    rest["status"] = np.where(own, SCORED, np.where(ongoing, UNSCORED, rest["status"]))
    rest["reason"] = np.where(own, "", np.where(ongoing, NO_SCORE, rest["reason"]))
    rest[TRACEBACK] = np.where(own | ongoing, "", rest[TRACEBACK])
    rest[NOTES] = ""
    return _filled(pd.concat([rest, values], axis="columns"))


def _judged_at_rungs(meta: Meta, columns: list[str]) -> Meta:
    """The grid's description, with metrics as known at rungs: the bound on validation images, and one generated set."""
    metrics = [_at_rung(metric, columns, meta.quality_sets or 1) for metric in meta.metrics]
    renamed = {old.name: new.name for old, new in zip(meta.metrics, metrics, strict=True)}
    return replace(
        meta,
        metrics=tuple({metric.name: metric for metric in metrics}.values()),
        baselines={renamed.get(name, name): values for name, values in meta.baselines.items()},
        quality_sets=1,
    )


def _at_rung(metric: ShownMetric, columns: list[str], sets: int) -> ShownMetric:
    """The metric that stands for `metric` at a rung. Over a single generated set, counts come in larger steps."""
    scaled = replace(metric, resolution=metric.resolution * sets)
    on_validation = metric.name.replace("/test", "/val")
    if metric.name in columns or on_validation not in columns:
        return scaled
    return replace(scaled, name=on_validation, label=f"{metric.label} (validation)")
