"""What is known of a metric where its file is older than the keys that say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIKELIHOOD = "likelihood"
"""What a metric decides that is of each held-out image, and of no sample."""

FORMER: Mapping[str, Mapping[str, Any]] = {
    "nll/": {"decides": LIKELIHOOD, "relevant": 0.01},
    "nll/test_": {},
    "nll/test_reconstruction": {"part": "autoencoder"},
    "nll/test_entropy": {"part": "autoencoder"},
    "nll_continuous/": {"part": "diffusion"},
    "nll_ode/": {"part": "diffusion"},
    "bound_variance/": {"part": "diffusion", "scale": "log"},
    "noise/": {"part": "diffusion"},
    "fid/": {"decides": "samples", "scale": "log", "relevant": 0.05, "least": 0.0},
    "energy_distance/": {"decides": "samples", "least": 0.0},
    "rfid/": {"part": "autoencoder", "scale": "log", "least": 0.0},
    "psnr/": {"part": "autoencoder"},
    "cost/train_": {"part": "diffusion"},
    "cost/autoencoder_": {"part": "autoencoder"},
}
"""How a name begins → what is known of the metric where its file is older than these keys; the longest beginning
counts."""


def described(given: Any) -> Any:
    """A metric's entry of a file, completed where it is older than its keys."""
    if not isinstance(given, dict):
        return given
    known = max((start for start in FORMER if str(given.get("name")).startswith(start)), key=len, default="")
    return {**FORMER.get(known, {}), **given}
