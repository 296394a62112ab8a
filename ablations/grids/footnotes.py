"""Sentences about a grid that its file does not contain: its question, the equal terms of schedules, what was left
out."""

from __future__ import annotations

from collections.abc import Sequence

from ablations.grids.file import AxisSpec, ClaimSpec, GridFile, PrimarySpec
from ablations.grids.fractional import model_matrix
from ablations.metrics.registry import MEASURED_KINDS, directed, is_default
from ablations.settings.cell import Cell
from analysis.labels import listed, within

EQUAL_TERMS = {
    "time_input": ("log_snr", "the network is told the log-SNR instead of t"),
    "first_step": ("beta_1", "σ_1² is β_1"),
}
"""Settings of every cell in a grid that compares schedules, which otherwise differ in the meaning of t and of their
first step."""


def equal_terms(varied: set[str], given: set[str]) -> dict[str, tuple[str, str]]:
    """The settings of `EQUAL_TERMS` that apply in a grid which varies some keys, while others are given."""
    compares = any(key.split(".")[0] == "schedule" for key in varied)
    return {key: term for key, term in EQUAL_TERMS.items() if compares and key not in varied | given}


def terms_footnote(terms: list[str]) -> list[str]:
    """A footnote that says what these keys of `EQUAL_TERMS` mean for the cells; none for none."""
    if not terms:
        return []
    settings = [f"{key}={EQUAL_TERMS[key][0]}" for key in terms]
    meanings = " and ".join(EQUAL_TERMS[key][1] for key in terms)
    return [f"Because schedules are compared, {meanings} in every cell ({', '.join(settings)})."]


def left(file: GridFile, crossings: list[dict[str, str]]) -> list[PrimarySpec]:
    """The declared comparisons for which some cells were asked for."""
    return [pair for pair in file.primary if len(_lost(file, pair, crossings)) < len(pair.meant.sides(file.baseline))]


def primary_footnote(file: GridFile, crossings: list[dict[str, str]]) -> list[str]:
    """A footnote on the declared comparisons whose cells were not asked for."""
    lost = [(pair, at) for pair in file.primary for at in _lost(file, pair, crossings)]
    if not lost:
        return []
    places: dict[str, list[str]] = {}
    for pair, at in lost:
        ends = f"{file.cell_name(pair.compare)} against {file.cell_name(pair.to) if pair.to else 'the baseline'}"
        places.setdefault(ends, []).append(file.cell_name(at) if at else "")
    named = "; ".join(f"{pair} at {', '.join(at)}" if any(at) else pair for pair, at in places.items())
    every = sum(len(pair.meant.sides(file.baseline)) for pair in file.primary)
    count = f"{len(lost)} of {every}"
    about = f"Declared, and not compared, since their cells were not asked for ({count})"
    return [f"{about}." if len(lost) == every else f"{about}: {named}."]


def _lost(file: GridFile, pair: PrimarySpec, crossings: list[dict[str, str]]) -> list[dict[str, str]]:
    """The levels of declared comparisons whose cells were not asked for: the levels that both cells share."""
    return [
        {axis: sides[0][axis] for axis in pair.at}
        for sides in pair.meant.sides(file.baseline)
        if not all(any(side.items() <= crossing.items() for crossing in crossings) for side in sides)
    ]


def claims_note(file: GridFile, tested: list[ClaimSpec]) -> list[str]:
    """A sentence on the papers' claims about levels that were not asked for."""
    lost = [claim.claim for claim in file.expects if claim not in tested]
    count = f"{len(lost)} of {len(file.expects)}"
    about = f"Papers' claims that are not tested, since their levels were not asked for ({count})"
    named = "" if len(lost) == len(file.expects) else f": {'; '.join(lost)}"
    return [f"{about}{named}."] if lost else []


def unmeasured_note(claims: list[ClaimSpec], cells: list[Cell]) -> list[str]:
    """A sentence on the papers' claims of metrics of samples that none of the cells measures."""
    lost = [claim for claim in claims if not any(measures(cell, claim.metric) for cell in cells)]
    labels = list(dict.fromkeys(directed()[claim.metric].label for claim in lost))
    why = f"{listed(labels)} {'is' if len(labels) == 1 else 'are'} not measured here"
    return [f"Papers' claims that are not tested, since {why} ({len(lost)} of {len(claims)})."] if lost else []


def measures(cell: Cell, metric: str) -> bool:
    """True where a cell has such a metric of samples; True for metrics of other kinds."""
    if metric in MEASURED_KINDS:
        return True
    judged = is_default(metric, cell.data.extractor) or metric in cell.evaluation.metrics
    return judged and "test" in cell.evaluation.quality


def fraction_footnote(n: int, crossings: list[dict[str, str]]) -> list[str]:
    """A footnote that n of the crossings are run; none where all are."""
    if n == len(crossings):
        return []
    effects = "main effects and two-way interactions"
    short = "" if n >= model_matrix(crossings).shape[1] else f", too few to tell all {effects} apart"
    return [f"{n} of {len(crossings)} crossings, a D-optimal choice for {effects} (fraction={n}){short}."]


def words(levels: dict[str, str]) -> str:
    """Levels as a command line has them."""
    return " ".join(f"{axis}={level}" for axis, level in levels.items())


def question_of(file: GridFile, axes: Sequence[AxisSpec]) -> str:
    """The question of a file whose axes are left so; made from the axes' words where the file asks none, where some of
    its levels are missing, or where there are further axes."""
    varied = [axis for axis in axes if len(axis.levels) > 1]
    if not file.question:
        if not varied:
            return "What does the baseline score?"
        return f"What {'does' if len(varied) == 1 else 'do'} {listed([within(axis.title) for axis in varied])} change?"
    compared = _compared(file)
    originals = {axis.name: axis for axis in file.axes}
    changed = [axis for axis in axes if axis.name in originals and _names(axis) != _names(originals[axis.name])]
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
    """The axes that the question is about: those of declared comparisons, or all where none is declared."""
    sides = [sides for pair in file.primary for sides in pair.meant.sides(file.baseline)]
    along = {axis for first, second in sides for axis in first if first[axis] != second.get(axis)}
    return along or {axis.name for axis in file.axes}
