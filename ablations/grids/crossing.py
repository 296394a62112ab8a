"""Axes and their crossings: the levels that a request keeps or adds, and the layers of settings of each cell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ablations.grids.file import AxisSpec, GridFile, LevelSpec
from ablations.settings.cell import AXES, PLAIN
from ablations.settings.layers import Layer, choices_first
from ablations.settings.registry import fields_of
from ablations.settings.request import Request
from analysis.errors import unknown
from analysis.labels import sentence_start

TITLES = {"parameterization": "Target", "horizon": "T"}
LABELS = {"mu": "μ̃", "epsilon": "ε", "x0": "x₀", "beta": "β", "beta_tilde": "β̃", "True": "true", "False": "false"}
ABBREVIATIONS = {"kl": "KL", "ema": "EMA", "snr": "SNR", "ode": "ODE"}


def axes_of(file: GridFile, request: Request) -> list[AxisSpec]:
    """The file's axes with the levels that the request keeps, then those that the request adds."""
    axes = []
    for axis in file.axes:
        values = request.settings.get(axis.name)
        axes.append(axis if values is None else axis.model_copy(update={"levels": _picked(axis, values)}))
    named = {axis.name for axis in file.axes}
    for key, values in request.settings.items():
        if key not in named and len(values) > 1:
            label = next(title for title in _titles(key) if title not in {axis.title for axis in axes})
            axes.append(AxisSpec(name=key, label=label, levels=[_level(key, value) for value in values]))
    return axes


def _titles(key: str) -> tuple[str, ...]:
    """The titles that an axis which a command adds may have: of space.kl_weight, KL weight, or else Space KL weight."""
    words = [ABBREVIATIONS.get(word, word) for word in key.replace(".", "_").split("_")]
    short = words[1:] if "." in key and len(words) > 2 else words
    return TITLES.get(key, sentence_start(" ".join(short))), sentence_start(" ".join(words)), key


def _level(key: str, value: Any) -> LevelSpec:
    return LevelSpec(name=str(value), label=LABELS.get(str(value), ""), set={key: value})


def _picked(axis: AxisSpec, values: list[Any]) -> list[LevelSpec]:
    """The levels of an axis that these values name, and others that its key can have."""
    levels = {level.name: level for level in axis.levels}
    # Levels that set an axis's own key by other names are all that it has.
    renamed = any(axis.name in level.set and str(level.set[axis.name]) != level.name for level in axis.levels)
    free = not renamed and (axis.name in AXES or axis.name in PLAIN or "." in axis.name)
    picked = []
    for value in values:
        # A level may be called true.
        name = str(value).lower() if isinstance(value, bool) and str(value).lower() in levels else str(value)
        if name not in levels and not free:
            raise unknown(f"level of {axis.name}", name, levels)
        picked.append(levels.get(name) or _level(axis.name, value))
    return picked


def every_crossing(
    axes: list[AxisSpec], file: GridFile, fixed: Layer, common: Layer
) -> Iterator[tuple[dict[str, str], list[Layer]]]:
    """Each crossing that the file does not leave out: its levels by axis, and the layers of its cell's settings.
    `fixed` settings are the file's, `common` ones the request's."""
    values: dict[str, set[str]] = {}
    for key, value in (entry for axis in axes for level in axis.levels for entry in level.set.items()):
        values.setdefault(key, set()).add(str(value))
    for levels in itertools.product(*(axis.levels for axis in axes)):
        names = {axis.name: level.name for axis, level in zip(axes, levels, strict=True)}
        if file.leaves_out(names) or not _among(names, file):
            continue
        varied = {key: value for level in levels for key, value in level.set.items()}
        layers = [fixed, common, varied]
        own = {key: value for key, value in common.items() if _takes(key, layers, values)}
        yield names, [fixed, *choices_first(own, varied)]


def _among(names: dict[str, str], file: GridFile) -> bool:
    """True where the file lists no cells, or this one, or where some level is not the file's."""
    of_file = all(names[axis.name] in {level.name for level in axis.levels} for axis in file.axes)
    return not file.cells or not of_file or [names[axis.name] for axis in file.axes] in file.cells


def _takes(key: str, layers: list[Layer], varied: Mapping[str, set[str]]) -> bool:
    """True where a setting for all cells applies to a cell of these layers; `varied` are the values that levels set.
    It does not apply where it is a field of a choice that the grid varies, and only other levels have that field."""
    group, _, field = key.partition(".")
    if not field or group not in varied:
        return True
    *before, here = [str(layer[group]) for layer in ({group: AXES[group]}, *layers) if group in layer]
    values = varied[group] | set(before[-1:])
    having = {value for value in values if field in fields_of(group, value)}
    return not having or here in having or here not in values
