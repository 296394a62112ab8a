"""grid.json of `results/<grid>/`: what the analysis needs to know beside the frames, and which metrics it shows."""

from __future__ import annotations

from typing import Any

from ablations.data import Data
from ablations.grids.grid import Grid
from ablations.metrics.sample_quality import cautions
from ablations.results.records import Planned
from ablations.stages.journal import Result
from diffusion_core.encodings import GreyLevels

DENSITY = "Gaussian density"


def metrics_of(
    data: Data, extractor: str | None, *, continuous: bool = False, ode: bool = False
) -> list[dict[str, Any]]:
    """The metrics that tables show, in order, with their direction; NLL also as some cell's evaluation asks for it."""
    bits = {"unit": "bits/dim", "direction": "min", "decimals": 2}
    nlls = [{"name": "nll/test", "label": "NLL"} | bits]
    nlls += [{"name": "nll_continuous/test", "label": "NLL, continuous time"} | bits] if continuous else []
    nlls += [{"name": "nll_ode/test", "label": "NLL, ODE"} | bits] if ode else []
    if extractor is None:
        distance = {"name": "energy_distance/test", "label": "Energy distance", "direction": "min", "decimals": 4}
        return [*nlls, distance]
    return [
        *nlls,
        {"name": f"fid/train/{extractor}", "label": "FID", "direction": "min", "decimals": 1},
        {"name": f"is/{extractor}", "label": "IS", "direction": "max", "decimals": 2},
        {"name": "copies/train", "label": "Copies", "unit": "share", "direction": "none", "decimals": 2},
    ]


COLUMNS: dict[str, dict[str, Any]] = {
    "nll/test_L0": {"label": "L₀", "unit": "bits/dim", "direction": "none", "decimals": 2},
    "nll/test_Lt": {"label": "L₁ to L_{T−1}", "unit": "bits/dim", "direction": "none", "decimals": 2},
    "nll/test_LT": {"label": "L_T", "unit": "bits/dim", "direction": "none"},
    "noise/beta_max": {"label": "max β", "direction": "none", "decimals": 3},
    "rfid/train/{extractor}": {"label": "rFID", "direction": "min", "decimals": 1},
    "psnr/test": {"label": "PSNR", "unit": "dB", "direction": "max", "decimals": 1},
    "nll/test_reconstruction": {"label": "E −log P(x|z)", "unit": "bits/dim", "direction": "none", "decimals": 2},
    "cost/total_flops": {"label": "Training FLOPs", "direction": "none"},
    "cost/autoencoder_flops": {"label": "of it autoencoder", "direction": "none"},
    "cost/sample_flops": {"label": "FLOPs per sample", "direction": "none"},
    "cost/train_seconds": {"label": "Training", "unit": "s", "direction": "none", "decimals": 0},
    "cost/autoencoder_seconds": {"label": "Autoencoder", "unit": "s", "direction": "none", "decimals": 0},
    "bound_variance/test": {"label": "Variance of the estimate", "unit": "(bits/dim)²", "direction": "min"},
}
"""Metrics that a grid may show besides, by `columns` in its file."""


def decoders(data: Data, planned: list[Planned]) -> str:
    """The decoder of L_0, in pixels and in latents."""
    names = dict.fromkeys(
        "Gaussian over grey-level bins" if data.encoding.grey_levels and not item.cell.space.encoded else DENSITY
        for item in planned
    )
    return ", of codes a ".join(names) if len(names) > 1 else "".join(names)


def bins_of(data: Data, planned: list[Planned]) -> list[str]:
    """What tells the bounds of pixels and of latents apart beside where they diffuse, where anything does."""
    places = {item.cell.space.encoded for item in planned}
    if len(places) < 2 or not isinstance(data.encoding, GreyLevels) or data.encoding.width == 1:
        return []
    return [
        f"P(x|z) takes a grey level whole, and pixels are dequantised to {data.encoding.width} values of 8 bits each, "
        "which their diffusion has to code as well: both bound the same probability, the pixels' less tightly."
    ]


def head_of(
    grid: Grid, planned: list[Planned], data: Data, floor: Result | None, sets: int, provenance: dict[str, Any]
) -> dict[str, Any]:
    """grid.json: what the analysis needs to know beside the frames."""
    cell = planned[0].cell
    extractor = cell.data.extractor
    n = len(data.images["test"])
    floors = dict(floor.metrics) if floor else {}
    plans = [item.cell.evaluation for item in planned]
    asked = metrics_of(
        data, extractor, continuous=any(plan.continuous for plan in plans), ode=any(plan.ode for plan in plans)
    )
    judged = any(plan.quality for plan in plans)
    metrics = [metric for metric in asked if judged or metric["name"].startswith("nll")]
    metrics += [{"name": name.format(extractor=extractor)} | COLUMNS[name] for name in grid.file.columns]
    codes = [{"label": label, "value": value} for label, value in data.codes.items()]
    warned = cautions(extractor, n) if extractor and judged else []
    held_out = f"held-out {'images' if len(data.shape) == 3 else 'points'}, n = {n}"
    return {
        "name": grid.name,
        "question": grid.file.question,
        "layout": grid.file.layout,
        "data": planned[0].point.levels.get("data", cell.parameters()["data"]),
        "axes": [
            {
                "name": axis.name,
                "label": axis.title,
                "levels": [{"name": level.name, "label": level.title} for level in axis.levels],
            }
            for axis in grid.file.axes
        ],
        "baseline": grid.file.baseline,
        "metrics": metrics,
        "floors": {name: {"label": held_out, "value": value} for name, value in floors.items()},
        "baselines": {metric["name"]: codes for metric in asked if metric["name"].startswith("nll")},
        "decoder": decoders(data, planned),
        "extractor": extractor,
        "extractor_accuracy": float(floor.facts["accuracy"]) if floor and "accuracy" in floor.facts else None,
        "quality_n": n,
        "quality_sets": sets,
        "seeds": grid.seeds,
        "horizon": cell.horizon,
        "footnotes": [*grid.file.footnotes, *bins_of(data, planned), *warned],
        "expects": [claim.model_dump() for claim in grid.file.expects],
        "cells": {p.cell_id: p.point.levels for p in planned},
        **provenance,
    }
