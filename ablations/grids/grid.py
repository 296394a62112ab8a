"""A grid: a question, axes with levels, and the cells at their crossings.

A file of `configs/grid/` gives the question, what all cells share (`set`), and the axes; a level sets one key or
several. The command line adds to it: a key that is an axis picks or replaces its levels, commas make a new axis,
anything else holds for all cells, a field of a choice that the grid varies for those that have it. How settings become
a cell is in `settings/layers.py` and `settings/making.py`.

Where schedules are compared, all cells are put on the same footing unless told otherwise (`EQUAL_TERMS`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ablations.grids.file import AxisSpec, ClaimSpec, GridFile, LevelSpec, listed
from ablations.grids.fractional import d_optimal, model_matrix
from ablations.grids.reading import read
from ablations.metrics.registry import MEASURED_KINDS, metric_of, refuse_foreign
from ablations.settings.arguments import Request
from ablations.settings.bounds import MOST_VALUES
from ablations.settings.budget import TooDear
from ablations.settings.cell import AXES, PLAIN, Cell
from ablations.settings.layers import choices_first
from ablations.settings.making import make_cell
from ablations.settings.registry import fields_of
from ablations.settings.rules import continuous_refusal, refusal
from analysis.format.errors import InputError, unknown
from analysis.statistics.looks import MOST, Looks, plan_of

MOST_CELLS, MOST_RUNS = MOST_VALUES, 200_000
"""The most cells and runs, beyond which planning alone takes hours: it takes half a minute for ten thousand cells."""

EQUAL_TERMS = {
    "time_input": ("log_snr", "the network is told the log-SNR instead of t"),
    "first_step": ("beta_1", "σ_1² is β_1"),
}
"""Settings of every cell in a grid that compares schedules, which differ in what t and their first step mean."""


@dataclass(frozen=True)
class Point:
    """A crossing of levels (axis → level's name) and its cell, at the grid's first seed; one that makes no sense, or is
    over its budget, says why."""

    levels: dict[str, str]
    cell: Cell
    refusal: str | None = None


@dataclass(frozen=True)
class Grid:
    """A question with all its cells, and the seeds that they may have: all of them, unless it is looked in between."""

    name: str
    file: GridFile
    points: list[Point]
    seeds: list[int]
    looks: Looks | None = None

    def at_seeds(self) -> list[Point]:
        """Each point at each seed, seed by seed, so that a grid which is cut short has whole seeds."""
        return [replace(point, cell=replace(point.cell, seed=seed)) for seed in self.seeds for point in self.points]


def make(request: Request) -> Grid:
    """The grid that a request asks for; InputError where its words have no meaning together, or no cell makes sense."""
    file = read(request.grid) if request.grid else GridFile(question="", axes=[], seeds=1)
    axes = _axes(file, request)
    varied = {key for axis in axes for key in axis.keys}
    common = {key: values[0] for key, values in request.settings.items() if key not in {a.name for a in axes}}
    for key in common:
        if key in varied:
            owner = next(axis for axis in axes if key in axis.keys)
            raise InputError(
                f"{key} is varied by the axis {owner.name!r} of grid={request.grid}: pick its levels with "
                f"{owner.name}={','.join(level.name for level in owner.levels)}"
            )
    terms = equal_terms(varied, {*file.set, *common})
    fixed = {key: value for key, (value, _) in terms.items()} | file.set
    levelled = _values(axes)
    _refuse_too_many("cells", [len(axis.levels) for axis in axes], MOST_CELLS)
    points = []
    for levels in itertools.product(*(axis.levels for axis in axes)):
        names = {axis.name: level.name for axis, level in zip(axes, levels, strict=True)}
        if any(_covers(rule, names) for rule in file.leave_out):
            continue
        varied_here: dict[str, Any] = {}
        for axis, level in zip(axes, levels, strict=True):
            varied_here |= level.set or {axis.name: _value(level, axis, request)}
        here = {key: value for key, value in common.items() if _takes(key, [fixed, common, varied_here], levelled)}
        _refuse_foreign(varied_here, [fixed, common, varied_here], levelled)
        try:
            points.append(Point(names, make_cell([fixed, *choices_first(here, varied_here)], request.first_seed)))
        except TooDear as error:
            points.append(Point(names, error.cell, str(error)))
    crossings = [point.levels for point in points]
    if request.fraction is not None and request.fraction > len(points):
        raise InputError(
            f"fraction={request.fraction} runs so many of a grid's cells, and these choices make {len(points)}"
        )
    points = _fraction(points, request.fraction or file.fraction, file.baseline)
    if not points:
        raise InputError("these choices leave no cell: the grid leaves out every combination that was asked for")
    if "evaluation.continuous" not in varied:
        points = _one_yardstick(points)
    _refuse_foreign_metrics(file, request.grid, points[0].cell)
    seeds = request.seeds or ("auto" if request.auto else file.seeds)
    looks = _looks(request, seeds)
    count = seeds if looks is None else looks.most
    update = {
        "axes": axes,
        "expects": [claim for claim in file.expects if _can_be_tested(claim, axes)],
        "question": file.question or _question(axes),
        "footnotes": [
            *file.footnotes,
            *terms_footnote(list(terms)),
            *_fraction_footnote(len(points), crossings),
            *_primary_footnote(file, [point.levels for point in points]),
        ],
    }
    _refuse_too_many("runs", [len(points), int(count)], MOST_RUNS)
    points = _judged(points)
    every = range(request.first_seed, request.first_seed + int(count))
    return Grid(request.title, file.model_copy(update=update), points, list(every), looks)


def _judged(points: list[Point]) -> list[Point]:
    """Each point with why its cell makes no sense, if it makes none; InputError where that is so of all."""
    judged = [replace(point, refusal=point.refusal or refusal(point.cell)) for point in points]
    if all(point.refusal for point in judged):
        raise InputError(judged[0].refusal if len(judged) == 1 else f"no cell makes sense: {judged[0].refusal}")
    return judged


def _refuse_too_many(what: str, factors: list[int], most: int) -> None:
    """InputError where a product is of more than a command can plan in a while."""
    if (number := math.prod(factors)) > most:
        product = " × ".join(map(str, factors))
        raise InputError(
            f"a grid has at most {most} {what}, and these choices make {product} = {number}: leave some out, or give "
            "each part a grid and a name of its own"
        )


def _looks(request: Request, seeds: int | str) -> Looks | None:
    """The looks at seeds that are added where they decide; InputError where they are not, and it is said how far."""
    if seeds == "auto":
        return looks_of(MOST if request.most is None else request.most)
    if request.most is not None:
        raise InputError("seeds.max says how far seeds=auto goes: give both, or seeds=N alone")
    return None


def _refuse_foreign_metrics(file: GridFile, name: str | None, cell: Cell) -> None:
    """InputError where a smallest difference that matters is of a metric that cells of such data never have."""
    for metric in file.relevant.keys() - MEASURED_KINDS:
        try:
            refuse_foreign(metric_of(metric), metric, cell.data.extractor)
        except InputError as error:
            raise InputError(f"grid={name} says which difference of {metric} is relevant: {error}") from error


def _primary_footnote(file: GridFile, cells: list[dict[str, str]]) -> list[str]:
    """A footnote on the declared comparisons whose cells were not asked for."""
    lost = [pair for pair in file.primary if not all(_is_there(file, side, cells) for side in (pair.compare, pair.to))]
    if not lost:
        return []
    named = "; ".join(f"{words(pair.compare)} against {words(pair.to) or 'the baseline'}" for pair in lost)
    count = f"{len(lost)} of {len(file.primary)}"
    return [f"Declared, and not compared, since their cells were not asked for ({count}): {named}."]


def _is_there(file: GridFile, levels: dict[str, str], crossings: list[dict[str, str]]) -> bool:
    return any((file.baseline | levels).items() <= crossing.items() for crossing in crossings)


def looks_of(most: int) -> Looks:
    """The looks of `seeds=auto`; InputError where it may not even take the first."""
    try:
        return plan_of(most)
    except ValueError as error:
        raise InputError(f"seeds.max={most}: {error}") from error


def _takes(key: str, layers: list[dict[str, Any]], levelled: Mapping[str, set[str]]) -> bool:
    """True where a setting for all cells holds for a cell of these layers; levels set these values of choices.

    It does not hold where it is a field of a choice that the grid varies, and only other levels have that field.
    """
    group, _, field = key.partition(".")
    if not field or group not in levelled:
        return True
    values = levelled[group] | {_chosen(group, layers[:-1])}
    having = {value for value in values if field in fields_of(group, value)}
    here = _chosen(group, layers)
    return not having or here in having or here not in values


def _refuse_foreign(varied: dict[str, Any], layers: list[dict[str, Any]], levelled: Mapping[str, set[str]]) -> None:
    """InputError where a field that varies belongs to other levels of a choice that varies too."""
    for key in varied:
        group, _, field = key.partition(".")
        if field and group in varied and not _takes(key, layers, levelled):
            having = {value for value in levelled[group] if field in fields_of(group, value)}
            raise InputError(
                f"{key} varies, and {group}={varied[group]} has no such field: give {key} one value, which holds for "
                f"{group}={' and '.join(sorted(having))} only, or compare them in a grid whose levels set both"
            )


def _values(axes: list[AxisSpec]) -> dict[str, set[str]]:
    """The values that levels set, by what they set."""
    values: dict[str, set[str]] = {}
    for layer in (layer for axis in axes for layer in _settings(axis)):
        for key, value in layer.items():
            values.setdefault(key, set()).add(str(value))
    return values


def _chosen(group: str, layers: list[dict[str, Any]]) -> str:
    """The value of a choice in these layers."""
    return next((str(layer[group]) for layer in reversed(layers) if group in layer), AXES[group])


def _settings(axis: AxisSpec) -> list[dict[str, Any]]:
    """The settings of each level of an axis."""
    return [level.set or {axis.name: level.name} for level in axis.levels]


def _covers(rule: dict[str, str | list[str]], names: dict[str, str]) -> bool:
    """True where a crossing of levels has all that a rule names; of a list, any level is enough."""
    return all(names[axis] in listed(allowed) for axis, allowed in rule.items())


def _fraction(points: list[Point], n: int | None, baseline: dict[str, str]) -> list[Point]:
    """n of the points, the baseline (or the first) among them, that tell effects best; all where there are no more."""
    if n is None or n >= len(points):
        return points
    crossings = [point.levels for point in points]
    keep = next((i for i, levels in enumerate(crossings) if baseline and baseline.items() <= levels.items()), 0)
    return [points[i] for i in d_optimal(crossings, n, keep)]


def _fraction_footnote(n: int, crossings: list[dict[str, str]]) -> list[str]:
    if n == len(crossings):
        return []
    effects = "main effects and two-way interactions"
    short = "" if n >= model_matrix(crossings).shape[1] else f", too few to tell all {effects} apart"
    return [f"{n} of {len(crossings)} crossings, a D-optimal choice for {effects} (fraction={n}){short}."]


def _one_yardstick(points: list[Point]) -> list[Point]:
    """Every cell that can be is scored in continuous time if one of them is: what a choice suggests is for all."""
    draws = max(point.cell.evaluation.continuous for point in points)

    def scored(point: Point) -> Point:
        cell = point.cell
        asked = replace(cell, evaluation=replace(cell.evaluation, continuous=draws))
        return point if continuous_refusal(asked) else replace(point, cell=asked)

    return [scored(point) for point in points]


def equal_terms(varied: set[str], given: set[str]) -> dict[str, tuple[str, str]]:
    """Those of `EQUAL_TERMS` that hold in a grid which varies these keys and is given those."""
    compares = any(key.split(".")[0] == "schedule" for key in varied)
    return {key: term for key, term in EQUAL_TERMS.items() if compares and key not in varied | given}


def terms_footnote(terms: list[str]) -> list[str]:
    """A footnote that says what these keys of `EQUAL_TERMS` mean for the cells; none for none."""
    if not terms:
        return []
    words = " and ".join(EQUAL_TERMS[key][1] for key in terms)
    return [f"Because schedules are compared, {words} in every cell ({', '.join(_setting(key) for key in terms)})."]


def _setting(key: str) -> str:
    return f"{key}={EQUAL_TERMS[key][0]}"


def _can_be_tested(claim: ClaimSpec, axes: list[AxisSpec]) -> bool:
    """True where every level that it names is among those that are asked for."""
    levels = {(axis.name, level.name) for axis in axes for level in axis.levels}
    return levels.issuperset(claim.levels)


def words(levels: dict[str, str]) -> str:
    """Levels as a command line has them."""
    return " ".join(f"{axis}={level}" for axis, level in levels.items())


def _axes(file: GridFile, request: Request) -> list[AxisSpec]:
    """The file's axes with the levels that the request keeps, then those that the request adds."""
    axes = []
    for axis in file.axes:
        values = request.settings.get(axis.name)
        axes.append(axis if values is None else axis.model_copy(update={"levels": _picked(axis, values)}))
    named = {axis.name for axis in file.axes}
    for key, values in request.settings.items():
        if key not in named and len(values) > 1:
            axes.append(AxisSpec(name=key, levels=[LevelSpec(name=str(value)) for value in values]))
    return axes


def _picked(axis: AxisSpec, values: list[Any]) -> list[LevelSpec]:
    levels = {level.name: level for level in axis.levels}
    free = axis.name in AXES or axis.name in PLAIN or "." in axis.name
    # Levels that set an axis's own key by other names are all that it has.
    free = free and not any(axis.name in level.set and str(level.set[axis.name]) != level.name for level in axis.levels)
    for value in values:
        if str(value) not in levels and not free:
            raise unknown(f"level of {axis.name}", str(value), levels)
    return [levels.get(str(value), LevelSpec(name=str(value))) for value in values]


def _value(level: LevelSpec, axis: AxisSpec, request: Request) -> Any:
    """A level's value with its type, which its name has lost."""
    for value in request.settings.get(axis.name, []):
        if str(value) == level.name:
            return value
    return level.name


def _question(axes: list[AxisSpec]) -> str:
    if not axes:
        return "What does the baseline score?"
    return f"What {'does' if len(axes) == 1 else 'do'} {' and '.join(axis.name for axis in axes)} change?"
