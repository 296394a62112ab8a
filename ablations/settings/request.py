"""The request of a command, a grid (`Request`) or a search (`SearchRequest`), and the names that results may have."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt

from ablations.settings.evaluation import SEEDS
from ablations.settings.grammar import Range, load
from analysis.errors import InputError
from analysis.places import COMMITTED

MOST_SEEDS = 10_000
"""More seeds than anybody can train; an interval from so many is a fiftieth as wide as one from four."""

Seed = Annotated[int, Ge(0), Lt(SEEDS)]


@dataclass(frozen=True)
class Common(ABC):
    """The fields of every request, each set by the key of its name (`arguments.py` says which by another).

    `settings` maps each key of a cell, or axis of a grid, to its values in order; `launcher_fields` are the launcher's
    settings, `configs` is the user's own folder of files.
    """

    seeds: Annotated[int, Ge(1), Le(MOST_SEEDS)] | Literal["auto"] | None = None
    first_seed: Seed = 0
    name: str | None = None
    dry_run: bool = False
    device: str = "auto"
    launcher: str = "local"
    launcher_fields: dict[str, Any] = field(default_factory=dict)
    results: str = "results"
    journal: str | None = None
    configs: str | None = None
    tracking_uri: str | None = None
    settings: dict[str, list[Any]] = field(default_factory=dict)
    command: str = ""

    @property
    @abstractmethod
    def title(self) -> str:
        """The name of its folder of results."""

    @property
    def folder(self) -> Path:
        return Path(self.results) / self.title


@dataclass(frozen=True)
class Request(Common):
    """A request of `ablations.run`: a grid, or one cell.

    With `seeds` auto, seeds are added where they decide, `most` of them at most. Its `question` replaces the grid's.
    """

    grid: str | None = None
    most: Annotated[int, Ge(0), Le(MOST_SEEDS)] | None = None
    question: str | None = None

    @property
    def title(self) -> str:
        """The name that was given, or the grid's, or that of the axes: schedule-objective."""
        axes = [key for key, values in self.settings.items() if len(values) > 1]
        alone = "custom" if self.settings else "baseline"
        return self.name or _flat(self.grid or "") or "-".join(axes) or alone


@dataclass(frozen=True)
class SearchRequest(Common):
    """A request of `ablations.search`; None where the study's file decides. Parameters are drawn from `ranges`."""

    seeds: Annotated[int, Ge(1), Le(MOST_SEEDS)] | None = None
    study: str | None = None
    trials: Annotated[int, Ge(1)] | None = None
    confirm: Annotated[int, Ge(2), Le(MOST_SEEDS)] | None = None
    storage: str | None = None
    objective: list[str] | None = None
    sampler: str | None = None
    pruner: str | None = None
    startup: Annotated[int, Ge(0)] | None = None
    seed: Seed | None = None
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.name or f"search-{_flat(self.study or 'custom')}"


def _flat(option: str) -> str:
    """The name of a file in a subfolder of its group, mine/first, as the name of one folder, because results lie beside
    each other."""
    return option.replace("/", "-")


def check_device(device: str) -> None:
    """InputError unless `device` is auto, cpu, cuda or cuda:N."""
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        hint = ": did you mean cuda?" if "gpu" in device.lower() else ""
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}{hint}")


OWN = rf"{COMMITTED}$|(mlflow|optuna)\.db"
"""Files of the suite, and of SQLite for it, in a folder of results; the names of all others begin with a dot."""
LONGEST = 100


NOTHING = "nothing is searched: give study=NAME, or a range, schedule.beta_T='interval(0.005,0.05)'"


def check(request: Common) -> None:
    """InputError unless results can have a folder with its title, and its other words make sense."""
    check_results(Path(request.results))
    check_device(request.device)
    check_store(request.tracking_uri or "sqlite:")
    check_store(getattr(request, "storage", None) or "sqlite:", "storage")
    title = request.title
    if "," in str(getattr(request, "grid", "")):
        raise InputError(f"grid takes one name, got {title}: run them one after the other")
    for group in ("grid", "study"):
        if option := getattr(request, group, None):
            load(group, option)
    # Some file systems do not tell capitals apart.
    if re.fullmatch(rf"(?i)(?!{OWN})\w[\w.-]{{,{LONGEST - 1}}}", title) is None:
        raise InputError(
            f"name must be at most {LONGEST} letters, digits, '_', '-' and '.', the first no '.', and nothing that the "
            f"suite itself keeps in a results folder, got {title!r}: give another name=…"
        )


def check_store(uri: str, key: str = "tracking.uri") -> None:
    """InputError where an address is clearly none of a store."""
    schemes = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
    if uri.partition(":")[0].partition("+")[0] not in schemes:
        from analysis.places import without_password

        forms = "give sqlite:///PATH, http://HOST:PORT, or a database's URL"
        raise InputError(f"{key}={without_password(uri)} is no store: {forms}")


def check_results(results: Path) -> None:
    """InputError for a file, and for the folder of committed results, which only `evidence.promote` writes to."""
    if results.exists() and not results.is_dir():
        raise InputError(f"results={results} is no folder: give one, or one to be made")
    if results.resolve().name == COMMITTED:
        raise InputError(
            f"{results} is where committed results are: give results={results.parent}, where your own are, and promote "
            "a finished run by `python -m evidence.promote grid=NAME`"
        )
