"""What a file of `configs/grid/` holds: a question, its axes with their levels, and what papers lead one to expect.

Nothing here imports torch: what makes no sense is refused before (`settings/beforehand.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablations.settings import grammar
from ablations.settings.arguments import Request
from ablations.settings.layers import choices_first


class LevelSpec(BaseModel):
    """A value of an axis, of which a file may give the name alone; `set` says what it sets where that is more than the
    axis's own key."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    label: str = ""
    set: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def named(cls, given: object) -> object:
        """`linear` is {name: linear}."""
        return {"name": str(given)} if isinstance(given, (str, int, float)) else given

    @property
    def title(self) -> str:
        return self.label or self.name


class AxisSpec(BaseModel):
    """What varies: a key of the cell, or a name of its own whose levels set several keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    label: str = ""
    levels: list[LevelSpec]

    @property
    def title(self) -> str:
        return self.label or self.name

    @property
    def keys(self) -> set[str]:
        """The keys that its levels set."""
        return {key for level in self.levels for key in (level.set or {self.name: None})}


class ClaimSpec(BaseModel):
    """A paper's finding that the grid puts to the test, in the fields of `analysis.read.meta.Expectation`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    claim: str
    source: str
    metric: str
    better: dict[str, str]
    than: dict[str, str]
    within: float | None = Field(default=None, gt=0)
    since: dict[str, str] = {}

    @property
    def levels(self) -> list[tuple[str, str]]:
        """Every (axis, level) that it names."""
        return [named for part in (self.better, self.than, self.since) for named in part.items()]


class PrimarySpec(BaseModel):
    """A comparison that the grid is run for: the cell at some levels with the cell at others.

    Of an axis that one of them does not name, it has the baseline's level.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    compare: dict[str, str]
    to: dict[str, str] = {}

    @property
    def levels(self) -> list[tuple[str, str]]:
        """Every (axis, level) that it names."""
        return [*self.compare.items(), *self.to.items()]


class GridFile(BaseModel):
    """What a file of `configs/grid/` may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    question: str
    axes: list[AxisSpec]
    set: dict[str, Any] = {}
    leave_out: list[dict[str, str | list[str]]] = []
    fraction: int | None = Field(default=None, ge=2)
    baseline: dict[str, str] = {}
    primary: list[PrimarySpec] = []
    relevant: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]] = {}
    seeds: int | Literal["auto"] = 5
    layout: str = "general"
    footnotes: list[str] = []
    columns: list[str] = []
    expects: list[ClaimSpec] = []
    deck: bool = False


def listed(given: str | list[str]) -> list[str]:
    """What a rule gives of an axis: a level, or any of several."""
    return [given] if isinstance(given, str) else given


def shared_and_levels(request: Request) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The layers of settings that all cells share, and those of each level; of a file that says what has no meaning
    none, which `reading.read` explains."""
    said = grammar.load("grid", request.grid) if request.grid else {"question": "", "axes": []}
    try:
        file = GridFile.model_validate(said)
    except ValidationError:
        return [], []
    names = {axis.name for axis in file.axes}
    common = {key: values[0] for key, values in request.settings.items() if len(values) == 1 and key not in names}
    levels = [level.set or {axis.name: level.name} for axis in file.axes for level in axis.levels]
    levels += [{key: value} for key, values in request.settings.items() if key not in common for value in values]
    return [file.set, *choices_first(common)], levels
