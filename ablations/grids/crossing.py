"""Axes and their crossings: the levels that a request keeps or adds, and the layers of settings of each cell."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ablations.grids.file import AxisSpec, GridFile, LevelSpec, listed
from ablations.grids.labels import labelled_axis, labelled_level
from ablations.settings.cell import AXES, PLAIN
from ablations.settings.layers import choices_first
from ablations.settings.registry import fields_of
from ablations.settings.request import Request
from analysis.errors import InputError, unknown


def crossed(
    axes: list[AxisSpec], file: GridFile, request: Request, fixed: dict[str, Any], common: dict[str, Any]
) -> Iterator[tuple[dict[str, str], list[dict[str, Any]]]]:
    """Each crossing that the file does not leave out: its levels by axis, and the layers of its cell's settings.
    `fixed` settings are the file's, `common` ones the request's; InputError where a field varies that some level
    lacks."""
    levelled = _values(axes)
    for levels in itertools.product(*(axis.levels for axis in axes)):
        names = {axis.name: level.name for axis, level in zip(axes, levels, strict=True)}
        # Of a list of levels in a rule, any is enough.
        if any(all(names[axis] in listed(of) for axis, of in rule.items()) for rule in file.leave_out):
            continue
        varied: dict[str, Any] = {}
        for axis, level in zip(axes, levels, strict=True):
            varied |= level.set or {axis.name: _value(level, axis, request)}
        layers = [fixed, common, varied]
        own = {key: value for key, value in common.items() if _takes(key, layers, levelled)}
        _refuse_foreign(varied, layers, levelled)
        yield names, [fixed, *choices_first(own, varied)]


def axes_of(file: GridFile, request: Request) -> list[AxisSpec]:
    """The file's axes with the levels that the request keeps, then those that the request adds."""
    axes = []
    for axis in file.axes:
        values = request.settings.get(axis.name)
        axes.append(axis if values is None else axis.model_copy(update={"levels": _picked(axis, values)}))
    named = {axis.name for axis in file.axes}
    for key, values in request.settings.items():
        if key not in named and len(values) > 1:
            axes.append(labelled_axis(key, values, {axis.title for axis in axes}))
    return axes


def _picked(axis: AxisSpec, values: list[Any]) -> list[LevelSpec]:
    levels = {level.name: level for level in axis.levels}
    free = axis.name in AXES or axis.name in PLAIN or "." in axis.name
    # Levels that set an axis's own key by other names are all that it has.
    free = free and not any(axis.name in level.set and str(level.set[axis.name]) != level.name for level in axis.levels)
    names = [_named(value, levels) for value in values]
    for name in names:
        if name not in levels and not free:
            raise unknown(f"level of {axis.name}", name, levels)
    return [levels.get(name) or labelled_level(axis.name, name) for name in names]


def _named(value: Any, levels: Collection[str]) -> str:
    """The name of the level that a value of the command line stands for; `true` may be a level's name."""
    written = str(value).lower() if isinstance(value, bool) else ""
    return written if written in levels else str(value)


def _value(level: LevelSpec, axis: AxisSpec, request: Request) -> Any:
    """A level's value with its type, which is lost in its name."""
    for value in request.settings.get(axis.name, []):
        if str(value) == level.name:
            return value
    return level.name


def _takes(key: str, layers: list[dict[str, Any]], levelled: Mapping[str, set[str]]) -> bool:
    """True where a setting for all cells applies to a cell of these layers; `levelled` are the values that levels set.
    It does not apply where it is a field of a choice that the grid varies, and only other levels have that field."""
    group, _, field = key.partition(".")
    if not field or group not in levelled:
        return True
    values = levelled[group] | {_chosen(group, layers[:-1])}
    having = {value for value in values if field in fields_of(group, value)}
    here = _chosen(group, layers)
    return not having or here in having or here not in values


def _refuse_foreign(varied: dict[str, Any], layers: list[dict[str, Any]], levelled: Mapping[str, set[str]]) -> None:
    """InputError where a varied field belongs only to other levels of a choice that varies too."""
    for key in varied:
        group, _, field = key.partition(".")
        if field and group in varied and not _takes(key, layers, levelled):
            having = {value for value in levelled[group] if field in fields_of(group, value)}
            raise InputError(
                f"{key} varies, and {group}={varied[group]} has no such field: give {key} one value, which holds for "
                f"{group}={' and '.join(sorted(having))} only, or compare them in a grid whose levels set both"
            )


def _values(axes: list[AxisSpec]) -> dict[str, set[str]]:
    """The values that levels set, by the key that they set."""
    values: dict[str, set[str]] = {}
    for layer in (level.set or {axis.name: level.name} for axis in axes for level in axis.levels):
        for key, value in layer.items():
            values.setdefault(key, set()).add(str(value))
    return values


def _chosen(group: str, layers: list[dict[str, Any]]) -> str:
    return next((str(layer[group]) for layer in reversed(layers) if group in layer), AXES[group])
