"""What a grid's file and a results folder share, in a module that does not import pandas: the names of files, columns
and layouts; and the comparisons that a grid declares, as pairs of its cells, with the rows within which they are.

    {compare: {variance: learned}, at: {steps: ["5", "10"]}}        learned with the baseline's β, at 5 steps and at 10

Here `variance` is compared and `steps` are not: cells with equally many steps form a row, a question of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TypeVar

FIXED = ("cell_id", "training_id", "seed", "status", "reason")
"""The columns that every runs.csv has."""
TRACEBACK, NOTES = "traceback", "notes"
"""The traceback of a failed run, whose reason is only its message; and notes that a reader of a finished run needs, one
per line. Most sources have neither, and no such columns."""
AUTOENCODER, NOT_COMPARABLE = "autoencoder_id", "not_comparable"
LATENT = (AUTOENCODER, NOT_COMPARABLE)
"""The autoencoder of a run's images ("" in pixels), and the kinds of metrics in which the run cannot be compared.
Sources without latents have no such columns."""
PRECISION, MACHINE, FIRST_RESULT = "precision", "machine", "first_result"
VERSIONS = ("code", "numerics", "data_digest", PRECISION, MACHINE, FIRST_RESULT)
"""The columns on the origin of a row: the code that trained and scored it, its NUMERICS, the digest of its data, the
precision of its network, which `training.precision=auto` leaves to the machine, and the kind of machine; and the time
in UTC at which the first of its stages finished; "" where unknown."""
NUMERICS = 6
"""Raised whenever a change alters numbers at equal seed, so that old results are never taken for new ones; CHANGELOG.md
says what each changed."""
METADATA = (*FIXED, TRACEBACK, NOTES, *LATENT, *VERSIONS)
"""The columns that are neither choices nor metrics."""
LIKELIHOOD = "likelihood"
"""The purpose of a metric of held-out images, as opposed to one of samples."""
AMOUNTS = ("training.steps", "training.batch")
"""The choices that are amounts: whole numbers."""
MOST_SETS = 16
"""The most generated sets of a cell and seed that are worth their time; `evaluation.sets=auto` draws so many."""
BY_SET = "sets/"
"""The prefix of curves that are a metric of each generated set, over its number from 1: sets/fid/train/digits-cnn."""
SEVERAL = ", "
"""The separator between codes of a run that one version trained and another scored, and between kinds of metrics."""
RUNG = "rung/"
"""The prefix of curves that are metrics of a training midway, over its steps: rung/nll/val for nll/val."""
RUNG_SECONDS = "cost/rung_seconds"
"""The seconds spent on scoring a training at all of its rungs."""
OVER_STEPS = ("train/", "schedule/", "timesteps/", "clip/", RUNG)
"""The prefixes of the names of curves over training steps."""
UNCOMPARED = "not comparable"
"""The text in the place of a value that cannot be compared."""
STATUSES = ("finished", "diverged", "incompatible", "pruned", "interrupted", "failed")

HELD_OUT = "held-out"
"""The sheet of samples/ that holds data: images or points from no training set."""
AT = "-at-"
"""The part of the name of a sheet that stands before the training step it was drawn at, if not the last."""
NEAREST = "-nearest"
"""The end of the name of a sheet with the training image nearest to each image of the sheet without this end."""
CURVES = ("cell_id", "seed", "curve", "x", "y")
CURVES_FILE = "curves.parquet"
"""The file of curves, and its columns."""
LOG_SNR, WEIGHT = "log_snr", "expected_weight"
FORMULA_CURVES = (LOG_SNR, WEIGHT)
"""The curves that follow from a cell's choices, unless it learns them: the log-SNR and the weight of each t."""
BOUND = "bound_per_t"
"""The curve of what each t adds to the bound."""
DECLARATIONS = "declarations"
"""The key of grid.json for the declarations and their times."""
SEARCH, TRIAL, TRIALS = "search", "trial", "trials.csv"
"""The key of grid.json for a search; the column of its trials' numbers; and their table. Of searches that an earlier
version confirmed in their own folder, trials are rows of runs.csv, where this column is "" for cells."""

PAPERS = ("ddpm_table_1", "ddpm_table_2", "improved_ddpm_1", "improved_ddpm_2", "vdm", "ldm", "analytic_dpm")
LAYOUTS = ("general", *PAPERS)
"""The layouts of tables (`tables`), as a grid's file gives them; most are papers'."""


Levels = Mapping[str, str]
"""Axis → level's name."""
Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True)
class Primary:
    """A comparison that the grid is run for, as its file declares it: the cell at some levels with the cell at others.

    Both are `at` further levels; where an axis has several levels there, at each in turn. On axes that are named
    nowhere, both have the baseline's level; if the baseline has none either, they are compared at each level.
    """

    compare: dict[str, str]
    to: dict[str, str] = field(default_factory=dict)
    at: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def sides(self, baseline: Levels) -> list[tuple[dict[str, str], dict[str, str]]]:
        """The named levels of the first cell and of the second, for each combination of levels in `at`."""
        named = [[(axis, level) for level in levels] for axis, levels in self.at.items()]
        common = [dict(baseline) | dict(levels) for levels in product(*named)]
        return [(levels | self.compare, levels | self.to) for levels in common]

    def pairs(self, baseline: Levels, cells: Mapping[Id, Levels]) -> list[tuple[Id, Id]]:
        """The pairs of existing cells that the comparison is about."""
        return [
            (a, b)
            for first, second in self.sides(baseline)
            for a, of_a in cells.items()
            if first.items() <= of_a.items()
            for b, of_b in cells.items()
            if second.items() <= of_b.items() and _besides(of_a, first) == _besides(of_b, second)
        ]


def _besides(levels: Levels, named: Collection[str]) -> dict[str, str]:
    return {axis: level for axis, level in levels.items() if axis not in named}


def declared(primary: Sequence[Primary], baseline: Levels, cells: Mapping[Id, Levels]) -> list[tuple[Id, Id]]:
    """The primary comparisons of existing cells or, if there are none, each cell with the baseline (with the one of its
    row, if the baseline does not name all axes)."""
    rows = [axis for axis in _axes(cells) if axis not in baseline] if baseline else []
    return [pair for each in primary for pair in each.pairs(baseline, cells)] or with_base(cells, baseline, rows)


def row_axes(pairs: Sequence[tuple[Id, Id]], cells: Mapping[Id, Levels]) -> tuple[str, ...]:
    """The axes on which the two cells of every comparison agree, and on which comparisons have several levels."""
    met = {axis: {(cells[a].get(axis), cells[b].get(axis)) for a, b in pairs} for axis in _axes(cells)}
    return tuple(axis for axis, levels in met.items() if len(levels) > 1 and all(a == b for a, b in levels))


def _axes(cells: Mapping[Id, Levels]) -> list[str]:
    return list(dict.fromkeys(axis for levels in cells.values() for axis in levels))


def with_base(cells: Mapping[Id, Levels], baseline: Levels, rows: Sequence[str]) -> list[tuple[Id, Id]]:
    """Each other cell of a row with the row's cell at the baseline's levels, or with its first cell if there is none.
    Without `rows`, all cells are one row."""
    row_of = {cell: tuple(levels.get(axis) for axis in rows) for cell, levels in cells.items()}
    wanted, bases = _besides(baseline, rows), dict[tuple[str | None, ...], Id]()
    for cell in (*(cell for cell in cells if _besides(cells[cell], rows) == wanted), *cells):
        bases.setdefault(row_of[cell], cell)
    return [(cell, bases[row]) for cell, row in row_of.items() if cell != bases[row]]
