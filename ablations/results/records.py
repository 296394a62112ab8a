"""Records of cells from the journal: one per cell and seed, and so a row of `runs.csv`.

A row names its origin: the code of its stages, NUMERICS, and the digest of its data. The last two are part of the ids
by which stages are found, and so are known of any result; the code was written down by a stage, and may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ablations.engine.journal import Curves, Failure, Journal, Result
from ablations.settings.registry import parameters
from ablations.stages.stage import FINISHED_AT, Run, Stage, needed_by
from analysis.schema import (
    FIRST_RESULT,
    MACHINE,
    NUMERICS,
    RUNG,
    RUNG_SECONDS,
    SEVERAL,
    TRACEBACK,
    VERSIONS,
)

NOT_RUN = "not run yet"

Results = list[tuple[Stage, Result]]


@dataclass(frozen=True)
class Record:
    """A cell's outcome: status and reason, and the metrics, curves and metadata of its stages. `unmeasured` has a line
    for each additional metric or rung that could not be computed: the cell and its other numbers stand without it."""

    run: Run
    status: str
    reason: str
    metrics: dict[str, float]
    curves: Curves
    metadata: dict[str, str]
    unmeasured: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """The columns of runs.csv before the metrics; those in `optional` only where they are not empty."""
        run, parts = self.run, self.run.parts
        optional = {
            "notes": self.metadata.get("notes", ""),
            TRACEBACK: self.metadata.get(TRACEBACK, ""),
            "autoencoder_id": (parts.autoencoder if parts else None) or "",
            # The kind of metrics in which the cell cannot be compared.
            "not_comparable": "" if run.cell.space.likelihood else "nll",
        }
        return {
            "cell_id": run.cell_id,
            "training_id": parts.training if parts else "",
            "seed": run.cell.seed,
            "status": self.status,
            "reason": self.reason,
            **{name: self.metadata.get(name, "") for name in VERSIONS},
            **{name: text for name, text in optional.items() if text},
            **{f"axis.{axis}": level for axis, level in run.levels.items()},
            **parameters(run.cell),
        }


def record(run: Run, journal: Journal) -> Record:
    """The record of a cell, from the results of its stages in the journal."""
    if run.refusal is not None:
        return Record(run, "incompatible", run.refusal, {}, {}, {})
    done: Results = []
    for stage in (stage for stage in run.stages if not stage.optional):
        result = journal.result(stage.id)
        done += [] if result is None else [(stage, result)]
        if result is None or result.status != "finished":
            curves, metadata = curves_of(done) | rung_curves(run, journal), metadata_of(done, run.digest)
            if result is not None:
                reason = f"guide: {result.reason}" if stage.kind == "guide" else result.reason
                return Record(run, result.status, reason, {}, curves, metadata)
            failure = failure_of(stage, run.stages, journal)
            return Record(run, failure.status, failure.message, {}, curves, metadata | {TRACEBACK: failure.traceback})
    return finished(run, done, journal)


def failure_of(stage: Stage, stages: Sequence[Stage], journal: Journal) -> Failure:
    """The reason why a stage has no result: the first failure among the stages that lead to it, itself last; else among
    those that follow, one of which may have found it damaged."""
    lacking = (needed for needed in (*needed_by(stage, stages), *stages) if journal.result(needed.id) is None)
    failures = (failure for needed in lacking if (failure := journal.failure(needed.id)) is not None)
    return next(failures, Failure("stopped", NOT_RUN))


def finished(run: Run, done: Results, journal: Journal) -> Record:
    """The record of a finished cell, with rungs and metrics that were asked for by name as far as these exist."""
    asked = [(stage, journal.result(stage.id)) for stage in run.stages if stage.optional]
    more = [(stage, result) for stage, result in asked if result is not None]
    unmade = [stage for stage, result in asked if not (result or stage.trains)]
    lost = [(stage, failure_of(stage, needed_by(stage, run.stages), journal)) for stage in unmade]
    metrics = {name: value for stage, result in done for name, value in own_metrics(stage, result.metrics).items()}
    metrics["cost/total_flops"] = sum(metrics.get(f"cost/{of}_flops", 0.0) for of in ("train", "autoencoder", "guide"))
    curves = {name.replace("bound_per_t/test", "bound_per_t"): curve for name, curve in curves_of(done).items()}
    curves |= rung_curves(run, journal)
    for stage, result in more:
        if stage.fills:
            metrics, curves = metrics | result.metrics, curves | result.curves
        elif seconds := result.metrics.get(RUNG_SECONDS):
            metrics[RUNG_SECONDS] = metrics.get(RUNG_SECONDS, 0.0) + seconds
    reasons = ((stage.fills or stage.doing, why.message) for stage, why in lost if why.kind != "stopped")
    unmeasured = tuple(f"{what} was not measured: {message}" for what, message in reasons)
    metadata = metadata_of([*done, *more], run.digest, unmeasured)
    return Record(run, "finished", "", metrics, curves, metadata, unmeasured)


def curves_of(done: Results) -> Curves:
    """The curves of these stages that belong to the cell."""
    own = (result.curves.items() for stage, result in done if stage.kind not in ("autoencoder", "guide"))
    return {name: curve for curves in own for name, curve in curves}


def rung_curves(run: Run, journal: Journal) -> Curves:
    """A curve of each metric over the rungs at which a cell's training was scored, even if it failed afterwards."""
    points: dict[str, dict[float, float]] = {}
    for stage in (stage for stage in run.stages if stage.rung and not stage.trains):
        result = journal.result(stage.id)
        for name, value in result.metrics.items() if result and result.status == "finished" else ():
            if not name.startswith("cost/"):
                points.setdefault(f"{RUNG}{name}", {})[stage.rung] = value
    return {name: (list(ys), list(ys.values())) for name, ys in sorted(points.items())}


def own_metrics(stage: Stage, metrics: dict[str, float]) -> dict[str, float]:
    """The metrics of a stage that belong to the cell: of a guide, and an autoencoder (a row itself), its costs."""
    if stage.kind == "guide":
        costs = ("cost/train_seconds", "cost/train_flops")
        return {name.replace("train", "guide"): value for name, value in metrics.items() if name in costs}
    return {name: value for name, value in metrics.items() if stage.kind != "autoencoder" or name.startswith("cost/")}


def metadata_of(done: Results, digest: str, remarks: Sequence[str] = ()) -> dict[str, str]:
    """The metadata of stages: the last word of each name, but all notes and machines; the versions that made them, and
    when the first of them was finished, unknown where one does not say. A training for a rung has no other say."""
    if not done:
        return {}
    heard = [result.metadata for stage, result in done if not (stage.trains and stage.optional)]
    codes, times = ([result.metadata.get(name, "") for _, result in done] for name in ("code", FINISHED_AT))
    return {name: text for own in heard for name, text in own.items()} | {
        "notes": "\n".join(unique([line for own in heard for line in own.get("notes", "").splitlines()] + [*remarks])),
        MACHINE: SEVERAL.join(unique(kind for own in heard for kind in own.get(MACHINE, "").split(SEVERAL))),
        "code": SEVERAL.join(unique(code or "unknown" for code in codes)) if any(codes) else "",
        "numerics": str(NUMERICS),
        "data_digest": digest,
        FIRST_RESULT: min(times),
    }


def unique(texts: Iterable[str]) -> list[str]:
    """Every text once, in order, without empty ones."""
    return list(dict.fromkeys(filter(None, texts)))
