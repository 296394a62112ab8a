"""The metrics that tables show: their labels, units and directions, and how many decimals are worth printing."""

from __future__ import annotations

from typing import Any

from ablations.data.base import Data


def shown_metrics(
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
        {
            "name": "memorisation/train",
            "label": "Memorisation rate",
            "unit": "share",
            "direction": "none",
            "decimals": 2,
        },
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
