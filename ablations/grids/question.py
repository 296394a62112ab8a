"""The question of a grid: as it is asked on the command line, as its file asks it, or in the words of its axes."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.grids.file import AxisSpec, GridFile
from analysis.format.notation import listed


def question_of(file: GridFile, axes: Sequence[AxisSpec]) -> str:
    """The question of a file whose axes are left so; in their words where it asks none, or about levels that are not
    all there, or in addition to others."""
    varied = [axis for axis in axes if len(axis.levels) > 1]
    if not file.question:
        if not varied:
            return "What does the baseline score?"
        return f"What {'does' if len(varied) == 1 else 'do'} {' and '.join(axis.name for axis in varied)} change?"
    compared = _compared(file)
    given = {axis.name: axis for axis in file.axes}
    changed = [axis for axis in axes if axis.name in given and _names(axis) != _names(given[axis.name])]
    if not any(axis.name in compared or len(axis.levels) == 1 for axis in changed):
        return file.question
    fixed = [axis for axis in changed if len(axis.levels) == 1]
    where = f" ({'; '.join(f'{axis.title}: {axis.levels[0].title}' for axis in fixed)})" if fixed else ""
    if not varied:
        return f"What does one cell score{where}?"
    about = [axis for axis in varied if axis.name in compared] or varied
    conditions = [axis.title for axis in varied if axis not in about]
    depends = f", and does that depend on {listed(conditions)}" if conditions else ""
    which = " and ".join(f"which level of {axis.title}" for axis in about)
    verb = "is" if len(about) == 1 else "are"
    word = "best" if any(len(axis.levels) > 2 for axis in about) else "better"
    return f"W{which[1:]} {verb} {word}{depends}{where}?"


def _names(axis: AxisSpec) -> set[str]:
    return {level.name for level in axis.levels}


def _compared(file: GridFile) -> set[str]:
    """The axes that the question is about: those along which declared comparisons go, or all where none is declared."""
    sides = [sides for pair in file.primary for sides in pair.meant.sides(file.baseline)]
    along = {axis for first, second in sides for axis in first if first[axis] != second.get(axis)}
    return along or {axis.name for axis in file.axes}
