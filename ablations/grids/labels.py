"""Labels of axes that a command adds, and of levels that it adds to a file's axis: a grid's file has its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ablations.grids.file import AxisSpec, LevelSpec
from analysis.labels import begun

AXES = {"parameterization": "Target", "horizon": "T"}
LEVELS = {
    ("parameterization", "mu"): "μ̃",
    ("parameterization", "epsilon"): "ε",
    ("parameterization", "x0"): "x₀",
    ("variance", "beta"): "β",
    ("variance", "beta_tilde"): "β̃",
}
ABBREVIATIONS = {"kl": "KL", "ema": "EMA", "snr": "SNR", "ode": "ODE"}


def labelled_axis(key: str, values: Collection[Any], taken: Collection[str]) -> AxisSpec:
    """The axis of a cell's key, by the first label that no other axis has taken: of space.kl_weight, KL weight, then
    Space KL weight."""
    field = key.rpartition(".")[2]
    labels = (AXES.get(key), _in_words(field) if "_" in field else None, _in_words(key), key)
    label = next(label for label in labels if label and label not in taken)
    return AxisSpec(name=key, label=label, levels=[labelled_level(key, str(value)) for value in values])


def labelled_level(key: str, name: str) -> LevelSpec:
    """The level of a cell's key that has this value."""
    return LevelSpec(name=name, label=LEVELS.get((key, name), name.lower() if name in ("True", "False") else ""))


def _in_words(key: str) -> str:
    words = key.replace(".", "_").split("_")
    return begun(" ".join(ABBREVIATIONS.get(word, word) for word in words))
