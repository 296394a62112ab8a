"""A file of `configs/grid/`: a question, its axes with their levels, and what papers claim; read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ablations.metrics.metric import MEASURED
from ablations.metrics.registry import directed_metrics
from ablations.settings import grammar
from ablations.settings.grammar import choice_file
from ablations.settings.registry import complaint
from ablations.settings.request import LONGEST
from analysis.errors import InputError, unknown
from analysis.labels import cell_name
from analysis.schema import LAYOUTS, Primary


def _text(given: object) -> object:
    """A number, true or false as the text that names its level."""
    return str(given) if isinstance(given, (bool, int, float)) else given


LevelName = Annotated[str, BeforeValidator(_text)]
Levels = dict[str, LevelName]
Difference = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
"""The least distance at which two scores count as different, or a score as a paper gives it."""


class Part(BaseModel):
    """A part of a grid file, without any key of another name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(Part):
    """An axis or a level: its name in commands, and the label that pages have for it."""

    name: LevelName
    label: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name


class LevelSpec(Named):
    """A value of an axis, and the keys that it sets."""

    set: dict[str, Any] = {}


class AxisSpec(Named):
    """An axis of a grid: a key of the cell that varies, or a name of its own whose levels set several keys.

    A file may give a level by its name alone. One that does not say what it sets sets its axis's key to its name.
    """

    # A table's column and MLflow can have such names; a column with a slash is a metric's.
    name: Annotated[str, Field(pattern=r"^\w([\w.: -]*[\w.:-])?$", max_length=LONGEST)]
    levels: Annotated[list[LevelSpec], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def spelt_out(cls, given: Any) -> Any:
        """The axis with every level as a mapping, and the typed value that it sets."""
        if not isinstance(given, dict) or not isinstance(given.get("levels"), list):
            return given
        levels = [level if isinstance(level, dict | LevelSpec) else {"name": level} for level in given["levels"]]
        own = given.get("name")
        return given | {
            "levels": [
                level | {"set": level.get("set") or {own: level.get("name")}} if isinstance(level, dict) else level
                for level in levels
            ]
        }

    @property
    def keys(self) -> set[str]:
        """The keys that its levels set."""
        return {key for level in self.levels for key in level.set}


class ClaimSpec(Part):
    """A paper's finding that the grid puts to the test, in the fields of `analysis.grid_json.Expectation`."""

    claim: str
    source: str
    metric: str
    better: Levels
    than: Levels
    within: Difference | None = None
    since: Levels = {}
    published: tuple[Difference, Difference] | None = None

    @property
    def cells(self) -> list[Levels]:
        return [self.better, self.than, self.since]


class PrimarySpec(Part):
    """A comparison that the grid is run for, in the fields of `analysis.schema.Primary`."""

    compare: Levels
    to: Levels = {}
    at: dict[str, LevelName | list[LevelName]] = {}

    @property
    def meant(self) -> Primary:
        """The comparison as grid.json has it."""
        return Primary(dict(self.compare), dict(self.to), {axis: tuple(listed(of)) for axis, of in self.at.items()})


class GridFile(Part):
    """The fields of a file of `configs/grid/`. Where it lists `cells`, those crossings alone are run, each written as
    the names of its levels in the order of the axes."""

    question: str
    axes: list[AxisSpec]
    set: dict[str, Any] = {}
    leave_out: list[dict[str, LevelName | list[LevelName]]] = []
    cells: list[list[LevelName]] = []
    baseline: Levels = {}
    primary: list[PrimarySpec] = []
    relevant: dict[str, Difference] = {}
    scale: dict[str, Literal["linear", "log"]] = {}
    seeds: Annotated[int, Field(ge=1, strict=True)] | Literal["auto"] = 5
    layout: str = "general"
    footnotes: list[str] = []
    columns: list[str] = []
    expects: list[ClaimSpec] = []

    def cell_name(self, levels: Mapping[str, str]) -> str:
        """The name of the cell at these levels, as reports have it."""
        titles = {(axis.name, level.name): level.title for axis in self.axes for level in axis.levels}
        axes = [axis for axis in self.axes if axis.name in levels]
        return cell_name((axis.title, titles.get((axis.name, levels[axis.name]), levels[axis.name])) for axis in axes)

    def leaves_out(self, cell: Levels) -> bool:
        """True where a rule leaves a crossing, or all that have these levels, out."""
        return any(all(cell.get(axis) in listed(of) for axis, of in rule.items()) for rule in self.leave_out)

    def sides(self, pairs: Iterable[PrimarySpec] | None = None) -> list[tuple[Levels, Levels]]:
        """The pairs of cells that declared comparisons, by default all, compare."""
        return [both for pair in (self.primary if pairs is None else pairs) for both in pair.meant.sides(self.baseline)]


def listed(given: str | list[str]) -> list[str]:
    """The levels that a rule names of an axis, one or several, as a list."""
    return [given] if isinstance(given, str) else given


def read(name: str) -> GridFile:
    """The grid file with a name; InputError where it contradicts itself."""
    content = grammar.load("grid", name)
    where = choice_file("grid", name)
    try:
        file = GridFile.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}: {complaint(error)}") from error
    _check_names(where, file)
    for problem, there in _contradictions(file).items():
        if there:
            raise InputError(f"{where}: {problem}")
    return file


def _check_names(where: str, file: GridFile) -> None:
    """InputError where a file names an axis, a level, a metric, a column or a layout that there is not."""
    levels = {axis.name: [level.name for level in axis.levels] for axis in file.axes}
    cells = [dict(zip(levels, cell, strict=False)) for cell in file.cells]
    rules = [*file.leave_out, *(pair.at for pair in file.primary)]
    at = [{axis: level} for rule in rules for axis, of in rule.items() for level in listed(of)]
    compared = [cell for pair in file.primary for cell in (pair.compare, pair.to)]
    claimed = [cell for claim in file.expects for cell in claim.cells]
    for axis, level in (named for cell in (file.baseline, *cells, *at, *compared, *claimed) for named in cell.items()):
        if axis not in levels:
            raise unknown(f"axis of {where}", axis, levels)
        if level not in levels[axis]:
            raise unknown(f"level of {axis} in {where}", level, levels[axis])
    metrics = [*(claim.metric for claim in file.expects), *file.relevant, *file.scale]
    columns = [column.name for column in MEASURED]
    named = [("metric", name, directed_metrics()) for name in metrics] + [
        ("column", name, columns) for name in file.columns
    ]
    for kind, name, allowed in [*named, ("layout", file.layout, LAYOUTS)]:
        if name not in allowed:
            raise unknown(f"{kind} of {where}", name, allowed)


def _contradictions(file: GridFile) -> dict[str, bool]:
    """What a file can say that has no meaning → True where this one does."""
    names = [axis.name for axis in file.axes]
    levels = [(axis.name, level.name) for axis in file.axes for level in axis.levels]
    compared = [cell for pair in file.sides() for cell in pair]
    claimed = [claim.better | other for claim in file.expects for other in claim.cells]
    return {
        "two axes have one name": len(set(names)) < len(names),
        "an axis has a level twice": len(set(levels)) < len(levels),
        "each of cells names one level of each axis": any(len(cell) != len(names) for cell in file.cells),
        "primary compares cells that do not have the same axes": any(a.keys() != b.keys() for a, b in file.sides()),
        "baseline, primary or expects names a cell that leave_out leaves out": any(
            map(file.leaves_out, [file.baseline, *compared, *claimed])
        ),
    }
