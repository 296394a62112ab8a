"""Records of cells from the journal: one per cell and seed, and so a row of `runs.csv`.

A row names its origin: the code of its stages, NUMERICS, and the digest of its data. The last two are part of the ids
by which stages are found, and so are known of any result; the code was written down by a stage, and may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.engine.journal import Curves, Failure, Journal, Result
from ablations.grids.grid import Planned
from ablations.settings.evaluation import HeldOut
from ablations.settings.identity import parameters
from ablations.stages.branch import BranchStage, ticks_of
from ablations.stages.stage import FINISHED_AT, OnTheWay, Stage
from analysis.schema import (
    FIRST_RESULT,
    MACHINE,
    NOTES,
    NUMERICS,
    RUNG,
    RUNG_SECONDS,
    SET_SPREAD,
    SETS,
    SEVERAL,
    TRACEBACK,
    VERSIONS,
)

NOT_RUN = "not run yet"
"""The reason of a cell that has not been run yet."""


@dataclass(frozen=True)
class Record:
    """A cell's outcome: status and reason, and the metrics, curves and metadata of its stages. `unmeasured` has a line
    for each additional metric or rung that could not be computed: the cell and its other numbers stand without it."""

    planned: Planned
    status: str
    reason: str
    metrics: dict[str, float]
    curves: dict[str, tuple[list[float], list[float]]]
    metadata: dict[str, str]
    unmeasured: tuple[str, ...] = ()

    @property
    def not_comparable(self) -> str:
        """The kind of metrics in which the cell cannot be compared; "" where it can in all."""
        return "" if self.planned.cell.space.likelihood else "nll"

    def row(self) -> dict[str, Any]:
        """The columns of runs.csv before the metrics; those in `optional` only where they are not empty."""
        planned, parts = self.planned, self.planned.parts
        optional = {
            NOTES: self.metadata.get("notes", ""),
            TRACEBACK: self.metadata.get(TRACEBACK, ""),
            "autoencoder_id": (parts.autoencoder if parts else None) or "",
            "not_comparable": self.not_comparable,
        }
        return {
            "cell_id": planned.cell_id,
            "training_id": parts.training if parts else "",
            "seed": planned.cell.seed,
            "status": self.status,
            "reason": self.reason,
            **{name: self.metadata.get(name, "") for name in VERSIONS},
            **{name: text for name, text in optional.items() if text},
            **{f"axis.{axis}": level for axis, level in planned.levels.items()},
            **parameters(planned.cell),
        }


def record(planned: Planned, journal: Journal) -> Record:
    """The record of a cell, from the results of its stages in the journal."""
    if planned.refusal is not None:
        return Record(planned, "incompatible", planned.refusal, {}, {}, {})
    metrics: dict[str, float] = {}
    drawn: dict[HeldOut, list[Part]] = {}
    curves: dict[str, tuple[list[float], list[float]]] = {}
    metadata: dict[str, str] = {}
    made: list[dict[str, str]] = []
    for stage in planned.stages:
        if stage.besides:
            continue
        result = journal.result(stage.id)
        if result is None:
            failure = journal.failure(stage.id) or Failure("stopped", NOT_RUN)
            failed = {TRACEBACK: failure.traceback} if failure.traceback else {}
            on_the_way = rung_curves(planned, journal)
            return Record(planned, failure.status, failure.message, {}, curves | on_the_way, metadata | failed)
        if stage.kind not in ("autoencoder", "guide"):
            curves |= {name: (xs, ys) for name, (xs, ys) in result.curves.items()}
        if stage.drawn and stage.held_out:
            drawn.setdefault(stage.held_out, []).append((stage.drawn, result.metrics))
        else:
            metrics |= own_metrics(stage, result.metrics)
        made.append(result.metadata)
        metadata = joined(metadata, result.metadata) | versions(made, planned.digest)
        if result.status != "finished":
            reason = f"guide: {result.reason}" if stage.kind == "guide" else result.reason
            return Record(planned, result.status, reason, {}, curves | rung_curves(planned, journal), metadata)
    for parts in drawn.values():
        metrics |= of_all(parts)
    if planned.cell.evaluation.sets == "auto" and "test" in drawn:
        metrics[SETS] = float(sum(sets for sets, _ in drawn["test"]))
    metrics |= total_flops(metrics)
    curves = {name.replace("bound_per_t/test", "bound_per_t"): xy for name, xy in curves.items()}
    return with_besides(Record(planned, "finished", "", metrics, curves, metadata), made, journal)


def with_besides(finished: Record, made: list[dict[str, str]], journal: Journal) -> Record:
    """A finished cell with its additional results as far as they exist: metrics, a curve of each metric over rungs, and
    their total cost; `made` is the metadata of each stage that made the cell."""
    asked = [stage for stage in finished.planned.stages if stage.besides]
    if not asked:
        return finished
    results = [(stage, result) for stage in asked if (result := journal.result(stage.id)) is not None]
    metrics, over_classes = _judged_besides(finished.planned, results)
    unmeasured = _unmeasured(asked, journal)
    metadata = finished.metadata
    for stage, result in results:
        metadata = metadata if stage.kind == "branch" else joined(metadata, result.metadata)
    origins = versions([*made, *(result.metadata for _, result in results)], finished.planned.digest)
    return replace(
        finished,
        metrics=finished.metrics | _rung_seconds(finished, results) | metrics,
        curves=finished.curves | rung_curves(finished.planned, journal) | over_classes,
        metadata=joined(metadata, {"notes": "\n".join(unmeasured)}) | origins,
        unmeasured=unmeasured,
    )


def _unmeasured(asked: Sequence[Stage], journal: Journal) -> tuple[str, ...]:
    """A line for each of these stages that failed."""
    failures = ((stage, journal.failure(stage.id)) for stage in asked if journal.result(stage.id) is None)
    return tuple(
        f"{stage.measures} was not measured: {failure.message}"
        for stage, failure in failures
        if failure is not None and failure.kind != "stopped"
    )


def _rung_seconds(finished: Record, results: Sequence[tuple[Stage, Result]]) -> dict[str, float]:
    """The seconds of all rungs: of scoring, and of trainings for them alone, each step counted once."""
    seconds, counted = [], ticks_of(finished.curves)
    for stage, result in results:
        if isinstance(stage, BranchStage):
            seconds.append(stage.seconds_of(result, counted))
            counted |= ticks_of(result.curves)
        elif not stage.fills and RUNG_SECONDS in result.metrics:
            seconds.append(result.metrics[RUNG_SECONDS])
    return {RUNG_SECONDS: sum(seconds, finished.metrics.get(RUNG_SECONDS, 0.0))} if seconds else {}


def _judged_besides(
    planned: Planned, results: Sequence[tuple[Stage, Result]]
) -> tuple[dict[str, float], dict[str, tuple[list[float], list[float]]]]:
    """The metrics that were asked for by name, over all sets, and their curves over classes."""
    sets = {stage.id: stage.drawn for stage in planned.stages}
    judged: dict[str, list[Part]] = {}
    over_classes: list[tuple[int, Curves]] = []
    for stage, result in results:
        if stage.fills:
            judged.setdefault(stage.fills, []).append((sets[stage.needs[-1]], result.metrics))
            over_classes.append((sets[stage.needs[-1]], result.curves))
    metrics: dict[str, float] = {}
    for column, parts in judged.items():
        # Of fewer sets than the others, a value would be another one.
        whole = sum(stage.fills == column for stage in planned.stages)
        metrics |= of_all(parts) if len(parts) == whole else {}
    return metrics, _of_all_sets(over_classes)


def _of_all_sets(parts: list[tuple[int, Curves]]) -> Curves:
    """Curves over classes for all sets, from those of parts with so many sets each."""
    points: dict[str, list[Part]] = {}
    for sets, curves in parts:
        for name, (classes, values) in curves.items():
            points.setdefault(name, []).append((sets, dict(zip(map(str, classes), values, strict=True))))
    joint = {name: of_all(its) for name, its in points.items()}
    return {name: (list(map(float, values)), list(values.values())) for name, values in joint.items()}


def rung_curves(planned: Planned, journal: Journal) -> dict[str, tuple[list[float], list[float]]]:
    """A curve of each metric over the rungs at which a cell's training was scored, even if it failed afterwards."""
    points: dict[str, dict[float, float]] = {}
    for stage in planned.stages:
        if not isinstance(stage, OnTheWay):
            continue
        result = journal.result(stage.id)
        metrics = {} if result is None else result.metrics
        for name in (name for name in metrics if not name.startswith("cost/")):
            points.setdefault(f"{RUNG}{name}", {})[stage.step] = metrics[name]
    return {name: (list(ys), list(ys.values())) for name, ys in sorted(points.items())}


def own_metrics(stage: Stage, metrics: dict[str, float]) -> dict[str, float]:
    """The metrics of a stage that belong to the cell: for an autoencoder, which has a row of its own, its costs, and
    for the training of a guide its cost."""
    if stage.kind == "guide":
        parts = {"cost/train_seconds": "cost/guide_seconds", "cost/train_flops": "cost/guide_flops"}
        return {parts[name]: value for name, value in metrics.items() if name in parts}
    return {name: value for name, value in metrics.items() if stage.kind != "autoencoder" or name.startswith("cost/")}


def total_flops(metrics: dict[str, float]) -> dict[str, float]:
    """Operations of all training: of the diffusion, its autoencoder and its guide."""
    parts = ("train", "autoencoder", "guide")
    return {"cost/total_flops": sum(metrics.get(f"cost/{part}_flops", 0.0) for part in parts)}


def joined(metadata: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """The metadata of two stages: later words replace earlier ones with the same name; notes and machines are
    joined."""
    notes = [line for part in (metadata, more) for line in part.get("notes", "").splitlines() if line]
    kinds = [kind for part in (metadata, more) for kind in part.get(MACHINE, "").split(SEVERAL) if kind]
    both = {"notes": "\n".join(dict.fromkeys(notes)), MACHINE: SEVERAL.join(dict.fromkeys(kinds))}
    return metadata | more | {name: text for name, text in both.items() if text}


def versions(made: list[dict[str, str]], digest: str) -> dict[str, str]:
    """The versions that made a row, from the metadata of its stages, and when the first of these was finished; unknown
    where one does not say."""
    codes = [of.get("code", "") for of in made]
    named = dict.fromkeys(code or "unknown" for code in codes) if any(codes) else {}
    first = min(of.get(FINISHED_AT, "") for of in made)
    return {"code": SEVERAL.join(named), "numerics": str(NUMERICS), "data_digest": digest, FIRST_RESULT: first}


Part = tuple[int, dict[str, float]]  # the number of sets that a stage drew, and its numbers for them by column


def of_all(parts: Sequence[Part]) -> dict[str, float]:
    """The columns of all parts, as of one stage that drew and judged all sets; what some part lacks is left out.

    mean m of k sets       Σ k_i m_i / k
    deviation s of k       (k − 1) s² = Σ (k_i − 1) s_i² + k_i (m_i − m)²
    seconds                added
    """
    if len(parts) == 1:
        return dict(parts[0][1])
    common = [name for name in parts[0][1] if all(name in metrics for _, metrics in parts)]
    return {name: _joined(parts, name) for name in common}


def _joined(parts: Sequence[Part], name: str) -> float:
    if name.endswith("_seconds"):
        return sum(metrics[name] for _, metrics in parts)
    if not name.endswith(SET_SPREAD):
        return _mean(parts, name)
    of = name.removesuffix(SET_SPREAD)
    mean = _mean(parts, of)
    squares = sum((k - 1) * metrics[name] ** 2 + k * (metrics[of] - mean) ** 2 for k, metrics in parts)
    return math.sqrt(squares / (sum(k for k, _ in parts) - 1))


def _mean(parts: Sequence[Part], name: str) -> float:
    return sum(k * metrics[name] for k, metrics in parts) / sum(k for k, _ in parts)
