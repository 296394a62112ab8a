"""A grid: a question, axes with levels, and the cells at their crossings.

A file of `configs/grid/` gives the question, what all cells share (`set`), and the axes; a level sets one key or
several. The command line adds to it: a key that is an axis picks or replaces its levels, commas make a new axis,
anything else holds for all cells, a field of a choice that the grid varies for those that have it. How settings become
a cell is in `settings/layers.py` and `settings/making.py`.

Where schedules are compared, all cells are put on the same footing unless told otherwise (`EQUAL_TERMS`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ablations.grids.crossing import axes_of, every_crossing
from ablations.grids.file import AxisSpec, ClaimSpec, GridFile, PrimarySpec, read
from ablations.metrics.registry import MEASURED_KINDS, is_default
from ablations.settings.budget import TooDear
from ablations.settings.cell import Cell
from ablations.settings.layers import Layer
from ablations.settings.making import continuous_refusal, make_cell, refusal
from ablations.settings.published import overrides
from ablations.settings.request import Request
from analysis.errors import InputError
from analysis.labels import listed, mid_sentence

MOST = 12  # seeds up to which is gone where they are added by looks, unless told otherwise
SEEDS = (3, 5, 8, 12, 20, 32, 50, 80)
"""The numbers of seeds at which looks are taken, up to the most that is allowed: each about 1.6 times the one
before."""

EQUAL_TERMS = {
    "time_input": ("log_snr", "the network is told the log-SNR instead of t"),
    "first_step": ("beta_1", "σ_1² is β_1"),
}
"""Settings of every cell in a grid that compares schedules, which otherwise differ in the meaning of t and of their
first step."""


@dataclass(frozen=True)
class Point:
    """A crossing of levels (axis → level's name) and its cell, at the grid's first seed; with the reason, if it makes
    no sense or is over its budget."""

    levels: dict[str, str]
    cell: Cell
    refusal: str | None = None


@dataclass(frozen=True)
class Grid:
    """A question with all its cells, and the seeds that they may have: all of them, unless there are looks in between.
    `notes` say which parts of the file fall away because their cells were not asked for."""

    name: str
    file: GridFile
    points: list[Point]
    seeds: list[int]
    looks: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()

    def at_seeds(self) -> list[Point]:
        """Each point at each seed, seed by seed, so that a grid which is cut short has whole seeds."""
        return [replace(point, cell=replace(point.cell, seed=seed)) for seed in self.seeds for point in self.points]


def make(request: Request) -> Grid:
    """The grid that a request asks for; InputError where its words have no meaning together, or no cell makes sense."""
    file = read(request.grid) if request.grid else GridFile(question="", axes=[], seeds=1)
    axes = axes_of(file, request)
    seeds = request.seeds or file.seeds
    if seeds != "auto" and request.most is not None:
        raise InputError("seeds.max says how far seeds=auto goes: give both, or seeds=N alone")
    looks = looks_of(MOST if request.most is None else request.most) if seeds == "auto" else None
    count = int(seeds) if looks is None else looks[-1]
    varied = {key for axis in axes for key in axis.keys}
    common = {key: values[0] for key, values in request.settings.items() if key not in {a.name for a in axes}}
    _refuse_varied(common, axes, request.grid)
    terms = equal_terms(varied, {*file.set, *common})
    fixed = {key: value for key, (value, _) in terms.items()} | file.set
    points = [_point(levels, layers, request) for levels, layers in every_crossing(axes, file, fixed, common)]
    if not points:
        raise InputError("these choices leave no cell: the grid leaves out every combination that was asked for")
    points = _judged(_alike(points, varied))
    crossings = [point.levels for point in points]
    primary, not_compared = available_comparisons(file, crossings)
    claims, not_tested = available_claims(file, crossings, [point.cell for point in points])
    update = {
        "axes": axes,
        "expects": claims,
        "primary": primary,
        "question": request.question or file.question or _question(axes),
        "footnotes": [*file.footnotes, *terms_footnote(list(terms)), *not_compared],
    }
    every = list(range(request.first_seed, request.first_seed + count))
    notes = (*not_compared, *not_tested)
    settings = fixed | common
    if settings.get("network") == "published":
        notes = (*overrides(str(settings.get("network.path", "")), settings, varied), *notes)
    return Grid(request.title, file.model_copy(update=update), points, every, looks, notes)


def _question(axes: list[AxisSpec]) -> str:
    titles = [mid_sentence(axis.title) for axis in axes]
    if not titles:
        return "What does the baseline score?"
    return f"What {'does' if len(titles) == 1 else 'do'} {listed(titles)} change?"


def _refuse_varied(common: Layer, axes: list[AxisSpec], grid: str | None) -> None:
    """InputError where an axis varies what is set for all cells."""
    for key in common:
        owner = next((axis for axis in axes if key in axis.keys), None)
        if owner is not None:
            raise InputError(
                f"{key} is varied by the axis {owner.name!r} of grid={grid}: pick its levels with "
                f"{owner.name}={','.join(level.name for level in owner.levels)}"
            )


def _point(levels: dict[str, str], layers: list[Layer], request: Request) -> Point:
    """The point of a crossing whose cell has these layers of settings; with a note if it is over its budget. An
    InputError names the crossing, if a file asks for it."""
    try:
        return Point(levels, make_cell(layers, request.first_seed))
    except TooDear as error:
        return Point(levels, error.cell, str(error))
    except InputError as error:
        if not request.grid:
            raise
        raise InputError(f"{error} (at {words(levels)} of grid={request.grid})") from error


def _judged(points: list[Point]) -> list[Point]:
    """Each point with the reason if its cell makes no sense; InputError where no cell makes sense."""
    judged = [replace(point, refusal=point.refusal or refusal(point.cell)) for point in points]
    if all(point.refusal for point in judged):
        raise InputError(judged[0].refusal if len(judged) == 1 else f"no cell makes sense: {judged[0].refusal}")
    return judged


def _alike(points: list[Point], varied: set[str]) -> list[Point]:
    """The points, of which all that can be are scored in continuous time if one is, and whose trainings keep snapshots
    if one does: what one choice suggests is for all, and cells of any averages share a training."""
    draws = max(point.cell.evaluation.continuous for point in points)
    snapshots = max(point.cell.training.snapshots for point in points)

    def alike(cell: Cell) -> Cell:
        if "training.snapshots" not in varied:
            cell = replace(cell, training=replace(cell.training, snapshots=snapshots))
        asked = replace(cell, evaluation=replace(cell.evaluation, continuous=draws))
        return cell if "evaluation.continuous" in varied or continuous_refusal(asked) else asked

    return [replace(point, cell=alike(point.cell)) for point in points]


def looks_of(most: int = MOST) -> tuple[int, ...]:
    """The looks up to so many seeds, ascending; InputError where they are fewer than the first look takes."""
    if most < SEEDS[0]:
        raise InputError(f"seeds.max={most}: the first look takes {SEEDS[0]} seeds, got {most} at most")
    return (*(n for n in SEEDS if n < most), most)


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


def available_comparisons(file: GridFile, crossings: list[dict[str, str]]) -> tuple[list[PrimarySpec], list[str]]:
    """The declared comparisons for which some cells were asked for, and a footnote on those whose cells were not."""
    possible = [
        [all(any(side.items() <= cell.items() for cell in crossings) for side in both) for both in file.sides([pair])]
        for pair in file.primary
    ]
    lost, every = sum(each.count(False) for each in possible), sum(map(len, possible))
    note = f"Declared, and not compared, since their cells were not asked for: {lost} of {every}."
    kept = [pair for pair, each in zip(file.primary, possible, strict=True) if any(each)]
    return kept, [note] if lost else []


def available_claims(
    file: GridFile, crossings: list[dict[str, str]], cells: list[Cell]
) -> tuple[list[ClaimSpec], list[str]]:
    """The papers' claims whose levels were asked for, and notes on those that are not tested."""
    levels = {level for crossing in crossings for level in crossing.items()}
    named = [{pair for cell in claim.cells for pair in cell.items()} for claim in file.expects]
    claims = [claim for claim, of_claim in zip(file.expects, named, strict=True) if of_claim <= levels]
    unmeasured = [claim for claim in claims if not any(has_metric(cell, claim.metric) for cell in cells)]
    reasons = {
        "their levels were not asked for": len(file.expects) - len(claims),
        "their metric is not measured here": len(unmeasured),
    }
    about = "Papers' claims that are not tested, since"
    return claims, [f"{about} {why}: {n} of {len(file.expects)}." for why, n in reasons.items() if n]


def has_metric(cell: Cell, metric: str) -> bool:
    """True where a cell has such a metric of samples; True for metrics of other kinds."""
    if metric in MEASURED_KINDS:
        return True
    judged = is_default(metric, cell.data.extractor) or metric in cell.evaluation.metrics
    return judged and "test" in cell.evaluation.quality


def words(levels: dict[str, str]) -> str:
    return " ".join(f"{axis}={level}" for axis, level in levels.items())
