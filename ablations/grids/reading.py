"""The files of `configs/grid/`, read and checked."""

from __future__ import annotations

import math
import re

from pydantic import BaseModel, ValidationError

from ablations.grids.file import AxisSpec, ClaimSpec, GridFile, LevelSpec, PrimarySpec, listed
from ablations.metrics.registry import column_names, directed
from ablations.settings import grammar
from ablations.settings.arguments import of_command
from ablations.settings.plugins.folders import choice_file
from ablations.settings.registry import complaint, key_complaint
from ablations.settings.request import LONGEST
from analysis.errors import InputError, unknown
from analysis.schema import LAYOUTS

PARTS: dict[str, type[BaseModel]] = {
    "levels": LevelSpec,
    "axes": AxisSpec,
    "expects": ClaimSpec,
    "primary": PrimarySpec,
}
"""The model of the items of each list in a grid file, the innermost first."""


def read(name: str) -> GridFile:
    """The grid file with a name; InputError where it contradicts itself."""
    where = choice_file("grid", name)
    try:
        file = GridFile.model_validate(grammar.load("grid", name))
    except ValidationError as error:
        raise InputError(f"{where}: {_in_words(error)}") from error
    if file.seeds != "auto" and file.seeds < 1:
        raise InputError(f"{where}: seeds must be at least 1, or auto, got {file.seeds}")
    if file.layout not in LAYOUTS:
        raise unknown(f"layout of {where}", file.layout, LAYOUTS)
    _check_axes(where, file.axes)
    every = math.prod(len(axis.levels) for axis in file.axes)
    if file.fraction is not None and file.fraction > every:
        raise InputError(f"{where}: fraction={file.fraction} is more than the {every} cells that its axes make")
    for key in (*file.set, *(key for axis in file.axes for level in axis.levels for key in level.set)):
        if of_command(key):
            raise InputError(f"{where}: {key} is no setting of a cell: give it on the command line")
    _check_levels(where, file)
    for claim in file.expects:
        if claim.metric not in directed():
            raise unknown(f"metric that a claim of {where} can be of", claim.metric, directed())
        # A change that starts where it ends is no more than that.
        others = [claim.than, *([claim.since] if claim.since else [])]
        if any(other.items() <= claim.better.items() for other in others):
            raise InputError(f"{where}: expects compares {claim.better} with itself: {claim.claim!r}")
    for metric in (*file.relevant, *file.scale):
        if metric not in directed():
            raise unknown(f"metric with a relevant difference or a scale in {where}", metric, directed())
    for metric in file.scale.keys() - file.relevant.keys():
        raise InputError(f"{where} declares a scale of {metric}: give the difference that matters on it, relevant, too")
    _check_primary(where, file)
    for column in file.columns:
        if column not in column_names():
            raise unknown(f"column of {where}", column, column_names())
    _check_kept(where, file)
    return file


def _check_axes(where: str, axes: list[AxisSpec]) -> None:
    """InputError unless each axis has levels, and a name of its own that MLflow and a table's column can have."""
    names = [axis.name for axis in axes]
    for axis in axes:
        # A column with a slash is a metric's.
        if re.fullmatch(r"\w([\w.: -]*[\w.:-])?", axis.name) is None or len(axis.name) > LONGEST:
            allowed = "letters, digits and '_', with '-', '.', ':' and spaces after the first"
            raise InputError(f"{where}: an axis is named by at most {LONGEST} {allowed}, got {axis.name!r}")
        if names.count(axis.name) > 1:
            raise InputError(f"{where}: the axis {axis.name!r} is given twice: give it once, with all of its levels")
        if not axis.levels:
            raise InputError(f"{where}: the axis {axis.name!r} has no levels: give it some, or leave it out")
        levels = [level.name for level in axis.levels]
        if twice := next((level for level in levels if levels.count(level) > 1), None):
            raise InputError(f"{where}: the axis {axis.name!r} has the level {twice!r} twice: give it once")


def _check_levels(where: str, file: GridFile) -> None:
    """InputError where some part of a file names an axis or a level that the axes do not have."""
    levels = {axis.name: [level.name for level in axis.levels] for axis in file.axes}
    left_out = [(axis, level) for rule in file.leave_out for axis, allowed in rule.items() for level in listed(allowed)]
    parts = {
        "baseline": list(file.baseline.items()),
        "primary": [pair for comparison in file.primary for pair in comparison.levels],
        "expects": [pair for claim in file.expects for pair in claim.levels],
        "leave_out": left_out,
    }
    for part, named in parts.items():
        for axis, level in named:
            if axis not in levels:
                raise InputError(f"{where}: {part}: {unknown('axis', axis, levels)}")
            if level not in levels[axis]:
                raise InputError(f"{where}: {part}: {unknown(f'level of {axis}', level, levels[axis])}")


def _check_kept(where: str, file: GridFile) -> None:
    """InputError where the baseline, or a cell that is declared or claimed to be compared, is left out."""
    sides = [side for pair in file.primary for both in pair.meant.sides(file.baseline) for side in both]
    claimed = [cell for claim in file.expects for cell in (claim.better, claim.than, claim.since)]
    for part, cells in {"baseline": [file.baseline], "primary": sides, "expects": claimed}.items():
        for cell in cells:
            if any(all(cell.get(axis) in listed(of) for axis, of in rule.items()) for rule in file.leave_out):
                raise InputError(f"{where}: {part} names {cell}, which leave_out leaves out")


def _in_words(error: ValidationError) -> str:
    """An error in words: its place in the file, what is wrong there, and which keys there are."""
    if words := key_complaint(error, "a grid", GridFile, PARTS):
        return words
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("int", "float", "str"))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{place}: {message}" if place else message
    return f"{place} {complaint(error)}, got {first['input']!r}"


def _check_primary(where: str, file: GridFile) -> None:
    """InputError where a comparison is not between two cells, or is declared twice."""
    seen: set[frozenset[tuple[tuple[str, str], ...]]] = set()
    for pair in file.primary:
        compared = f"{where}: the primary comparison of {pair.compare} to {pair.to or 'the baseline'}"
        if twice := pair.at.keys() & (pair.compare.keys() | pair.to.keys()):
            raise InputError(f"{compared} is at levels of {', '.join(sorted(twice))}, which it compares")
        for sides in pair.meant.sides(file.baseline):
            # Of an axis that neither names, each level is meant.
            if lacking := [axis.name for axis in file.axes if (axis.name in sides[0]) != (axis.name in sides[1])]:
                raise InputError(f"{compared} names no level of {', '.join(lacking)}, and neither does the baseline")
            cells = [tuple(sorted(levels.items())) for levels in sides]
            if cells[0] == cells[1]:
                raise InputError(f"{compared} compares a cell with itself")
            if frozenset(cells) in seen:
                raise InputError(f"{compared} is declared twice")
            seen.add(frozenset(cells))
