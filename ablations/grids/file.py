"""The contents of a file of `configs/grid/`: a question, its axes with their levels, and what papers claim.

Nothing here imports torch, so that errors about names come at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ablations.settings.bounds import MOST_VALUES
from analysis.labels import cell_name
from analysis.primary import Primary


def _text(given: object) -> object:
    """A number, true or false as the text that names its level."""
    return str(given) if isinstance(given, (bool, int, float)) else given


LevelName = Annotated[str, BeforeValidator(_text)]
Difference = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
"""The least distance at which two scores count as different, or a score as a paper gives it."""


class LevelSpec(BaseModel):
    """A value of an axis; a file may give its name alone. `set` is what it sets, where that is more than the axis's own
    key."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: LevelName
    label: str = ""
    set: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def named(cls, given: object) -> object:
        """`linear` is {name: linear}."""
        return {"name": given} if isinstance(given, (str, int, float)) else given

    @property
    def title(self) -> str:
        return self.label or self.name


class AxisSpec(BaseModel):
    """An axis of a grid: a key of the cell that varies, or a name of its own whose levels set several keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    label: str = ""
    levels: list[LevelSpec]

    @model_validator(mode="before")
    @classmethod
    def typed(cls, given: object) -> object:
        """Give a level that is named by a number, true or false its typed value, because its name is text."""
        if not isinstance(given, dict) or not isinstance(given.get("levels"), list):
            return given
        return given | {"levels": [_typed(given.get("name"), level) for level in given["levels"]]}

    @property
    def title(self) -> str:
        return self.label or self.name

    def title_of(self, name: str) -> str:
        """The title of a level; for a level that the axis does not have, its name."""
        return next((level.title for level in self.levels if level.name == name), name)

    @property
    def keys(self) -> set[str]:
        """The keys that its levels set."""
        return {key for level in self.levels for key in (level.set or {self.name: None})}


def _typed(axis: object, level: object) -> object:
    """A level as a file gives it, with the value that it sets where its name is no text."""
    fields = level if isinstance(level, dict) else {"name": level}
    name = fields.get("name")
    return fields | {"set": fields.get("set") or {axis: name}} if isinstance(name, (bool, int, float)) else level


class ClaimSpec(BaseModel):
    """A paper's finding that the grid puts to the test, in the fields of `analysis.grid_json.Expectation`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    claim: str
    source: str
    metric: str
    better: dict[str, LevelName]
    than: dict[str, LevelName]
    within: Difference | None = None
    since: dict[str, LevelName] = {}
    published: tuple[Difference, Difference] | None = None

    @property
    def levels(self) -> list[tuple[str, str]]:
        """Every (axis, level) that it names."""
        return [named for part in (self.better, self.than, self.since) for named in part.items()]


class PrimarySpec(BaseModel):
    """A comparison that the grid is run for, in the fields of `analysis.primary.Primary`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    compare: dict[str, LevelName]
    to: dict[str, LevelName] = {}
    at: dict[str, LevelName | list[LevelName]] = {}

    @property
    def meant(self) -> Primary:
        """The comparison as grid.json has it."""
        return Primary(dict(self.compare), dict(self.to), {axis: tuple(listed(of)) for axis, of in self.at.items()})

    @property
    def levels(self) -> list[tuple[str, str]]:
        """Every (axis, level) that it names."""
        both = [(axis, level) for axis, levels in self.at.items() for level in listed(levels)]
        return [*self.compare.items(), *self.to.items(), *both]


class GridFile(BaseModel):
    """The fields of a file of `configs/grid/`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    question: str
    axes: list[AxisSpec]
    set: dict[str, Any] = {}
    leave_out: list[dict[str, LevelName | list[LevelName]]] = []
    fraction: int | None = Field(default=None, ge=2, le=MOST_VALUES)
    baseline: dict[str, LevelName] = {}
    primary: list[PrimarySpec] = []
    relevant: dict[str, Difference] = {}
    scale: dict[str, Literal["linear", "log"]] = {}
    seeds: int | Literal["auto"] = 5
    layout: str = "general"
    footnotes: list[str] = []
    columns: list[str] = []
    expects: list[ClaimSpec] = []
    deck: bool = False

    def cell_name(self, levels: Mapping[str, str]) -> str:
        """The name of the cell at these levels, as reports have it."""
        axes = [axis for axis in self.axes if axis.name in levels]
        return cell_name((axis.title, axis.title_of(levels[axis.name])) for axis in axes)

    @field_validator("seeds", mode="before")
    @classmethod
    def counted(cls, given: object) -> object:
        """Refuse true as a number of seeds."""
        if isinstance(given, bool):
            raise ValueError(f"must be a whole number or auto, got {given}")
        return given


def listed(given: str | list[str]) -> list[str]:
    """The levels that a rule names of an axis, one or several, as a list."""
    return [given] if isinstance(given, str) else given
