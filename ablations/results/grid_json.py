"""grid.json of `results/<grid>/`: everything that the analysis needs beside the tables of numbers."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.grids.file import GridFile
from ablations.metrics.fid import cautions
from ablations.metrics.metric import SCALE, MetricInfo
from ablations.metrics.registry import column_of, is_default, shown_metrics
from ablations.metrics.scoring import set_size
from ablations.settings.evaluation import LIKELIHOODS
from ablations.settings.registry import parameters
from ablations.stages.stage import Run
from diffusion_core.encodings import GreyLevels


def decoder(data: Data, runs: list[Run]) -> str:
    """The decoder of L_0, in pixels and in latents."""
    names = {True: "Gaussian over grey-level bins", False: "Gaussian density"}
    in_bins = (bool(data.encoding.grey_levels) and not item.cell.space.encoded for item in runs)
    return ", of codes a ".join(dict.fromkeys(names[own] for own in in_bins))


def bins_of(data: Data, runs: list[Run]) -> list[str]:
    """A footnote on the bounds of pixels and of latents, where they differ in more than the space."""
    spaces = {item.cell.space.encoded for item in runs}
    if len(spaces) < 2 or not isinstance(data.encoding, GreyLevels) or data.encoding.width == 1:
        return []
    return [
        f"P(x|z) takes a grey level whole, and pixels are dequantised to {data.encoding.width} values of 8 bits each, "
        "which their diffusion has to code as well: both bound the same probability, the pixels' less tightly."
    ]


def metrics_of(file: GridFile, runs: list[Run], n: int) -> list[MetricInfo]:
    """The metrics that tables show: those that cells or claims ask for, then the columns that the grid's file names.

    `n` is the number of generated images or points of a cell and seed that are judged.
    """
    extractor = runs[0].cell.data.extractor
    plans = [item.cell.evaluation for item in runs]
    asking = [name for name in LIKELIHOODS if any(getattr(plan, name) for plan in plans)]
    asking += ["dropout"] if any(item.cell.scored_unlabelled for item in runs) else []
    shown = shown_metrics(
        extractor,
        likelihoods=asking,
        asked=[name for plan in plans for name in plan.metrics],
        claimed=[claim.metric for claim in file.expects if is_default(claim.metric, extractor)],
        reference=plans[0].reference,
        n=n,
    )
    tuned = [SCALE] if any(item.cell.guidance.scale == "auto" for item in runs) else []
    shown += [column_of(name, extractor) for name in dict.fromkeys([*tuned, *file.columns])]
    # A grid's file may declare a scale.
    return [replace(it, scale=file.scale.get(it.kind, it.scale)) if it.sign else it for it in shown]


def head_of(
    name: str, file: GridFile, runs: list[Run], data: Data, floor: Result | None, provenance: dict[str, Any]
) -> dict[str, Any]:
    """The content of the grid.json of a grid with this name and file, with where it comes from."""
    cell = runs[0].cell
    extractor = cell.data.extractor
    n = set_size(cell, "test")
    sets = max(item.sets for item in runs) or cell.evaluation.drawn_sets
    kind = "images" if len(data.shape) == 3 else "points"
    judged = any(item.cell.evaluation.quality for item in runs)
    metrics = metrics_of(file, runs, n * sets if judged else 0)
    codes = [{"label": label, "value": value} for label, value in data.codes.items()]
    scores = floor.metrics if floor else {}
    warned = [*bins_of(data, runs), *(cautions(extractor, n) if extractor and judged else [])]
    if judged and floor and not scores:
        warned.append(f"No floor is shown: no held-out split has n = {n}, and what fewer score is another value.")
    return {
        "name": name,
        "question": file.question,
        "layout": file.layout,
        "data": runs[0].levels.get("data", parameters(cell)["data"]),
        "shape": list(data.shape),
        "trained_on": len(data.images["train"]),
        "axes": [
            {
                "name": axis.name,
                "label": axis.title,
                "levels": [{"name": x.name, "label": x.title} for x in axis.levels],
            }
            for axis in file.axes
        ],
        "baseline": file.baseline,
        "primary": [asdict(pair.meant) for pair in file.primary],
        "relevant": file.relevant,
        "metrics": [metric.shown(counts=n * sets) for metric in metrics],
        "floors": {name: {"label": f"held-out {kind}, n = {n}", "value": value} for name, value in scores.items()},
        "baselines": {metric.name: codes for metric in metrics if metric.is_likelihood},
        "decoder": decoder(data, runs),
        "extractor": extractor,
        "extractor_accuracy": float(floor.metadata["accuracy"]) if floor and "accuracy" in floor.metadata else None,
        "quality_n": n,
        "quality_sets": sets,
        "seeds": sorted({item.cell.seed for item in runs}),
        "horizon": cell.horizon,
        "rungs": max(item.cell.evaluation.rungs for item in runs),
        "footnotes": [*file.footnotes, *warned],
        "expects": [claim.model_dump() for claim in file.expects],
        "cells": {p.cell_id: p.levels for p in runs},
        "stages": list(dict.fromkeys(stage.id for item in runs for stage in item.stages)),
        **provenance,
    }
