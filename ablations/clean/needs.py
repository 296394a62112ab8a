"""Which stages the grids and searches of a results folder need: those that the same command would look for again.

    runs.csv   a row per cell and seed ─▶ the cell ─▶ its stages, with the metrics, rungs and sets that it may be
               a row per trial         ─▶             asked for besides, at all seeds that its looks may come to

A row is understood where the cell that is made of it has the row's id here. One that is not is of an earlier version,
of a class that is not at hand, or of data that have changed: what its command has left here is then not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from ablations.metrics.extractors import is_at_hand
from ablations.metrics.judging import extractor_identity
from ablations.metrics.registry import metric_of, names
from ablations.settings.cell import Cell
from ablations.settings.evaluation import MOST_SETS, Evaluation
from ablations.settings.identity import cell_id, content_hash
from ablations.settings.making import cell_of
from ablations.settings.registry import describe
from ablations.settings.rules import refusal
from ablations.stages.fit import fit_of
from ablations.stages.floor import floor_content
from ablations.stages.graph import stages_of
from ablations.stages.metric import metric_content
from ablations.stages.samples import more_sets
from analysis.format.csv_files import read_csv
from analysis.format.errors import InputError
from analysis.format.files import read_json
from analysis.format.folders import is_committed
from analysis.format.names import AUTOENCODER, SEARCH, TRIAL
from diffusion_core.precision import Precision

RUNGS = 16
"""So many halvings of a training are more than it has reports."""

Row = dict[str, str]


@dataclass(frozen=True)
class Needs:
    """The stages that a results folder needs by their ids; `unknown` says why there may be more of them, "" if not."""

    folder: Path
    stages: frozenset[str]
    unknown: str = ""


@dataclass
class Read:
    """What is worked out once for many rows: digests of data, identities of extractors, metrics, floors.

    `present` are the stages that have their result here. What cells may be asked for besides takes far longer to list
    than what they are, and is left out unless it is to be the `whole`.
    """

    present: frozenset[str]
    whole: bool = True
    digests: dict[object, str] = field(default_factory=dict)
    extractors: dict[object, str | None] = field(default_factory=dict)
    floors: dict[object, set[str]] = field(default_factory=dict)

    def digest(self, cell: Cell, told: str) -> str:
        """The digest of a cell's data, which are read where no row has told it."""
        if told:
            return told
        if cell.data not in self.digests:
            self.digests[cell.data] = cell.data.load().digest
        return self.digests[cell.data]

    def extractor(self, cell: Cell) -> str | None:
        """The identity of what judges a cell's samples; None where nothing is judged. InputError if it is not there."""
        name, weights = key = (cell.data.extractor, cell.evaluation.weights)
        if key not in self.extractors:
            if name is not None and not is_at_hand(name, weights):
                raise InputError(f"the weights of {name} are not here, and nothing is fetched to clean")
            try:
                self.extractors[key] = extractor_identity(cell)
            except ValueError as error:
                raise InputError(str(error)) from error
        return self.extractors[key]

    def floor(self, digest: str, extractor: str | None) -> set[str]:
        """The stages of what real images score, in any metric."""
        key = (digest, extractor)
        if key not in self.floors:
            content = floor_content(digest, extractor)
            more = [content | {"metric": described} for described in self.metrics]
            self.floors[key] = {content_hash(one) for one in (content, *more)}
        return self.floors[key]

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """Every metric of samples, as its stages know it."""
        return [describe(metric_of(name)) for name in names()]


def needs_of(folder: Path, read: Read) -> Needs:
    """What a results folder needs.

    A committed one of which nothing was run here is no riddle where it is not understood.
    """
    found: set[str] = set()
    riddles = []
    try:
        for rows, seeds in _cells(folder):
            told = {row.get(name, "") for row in rows for name in ("training_id", AUTOENCODER)} - {""}
            try:
                found |= told | _stages(rows, seeds, told, read)
            except (InputError, ValueError) as error:
                found |= told
                riddles.append(f"cell {rows[0]['cell_id']}: {error}")
    except (InputError, KeyError, TypeError, ValueError) as error:
        return Needs(folder, frozenset(found), f"it cannot be read ({error})")
    here = not is_committed(folder) or not read.present.isdisjoint(found)
    return Needs(folder, frozenset(found), riddles[0] if riddles and here else "")


def _cells(folder: Path) -> Iterator[tuple[list[Row], list[int]]]:
    """The rows of each cell, with the seeds that it may come to have; those of a trial are all of its search's."""
    head = _head(folder / "grid.json")
    if head is None:
        return
    seeds, looks = [int(seed) for seed in head["seeds"]], head.get("auto")
    most = range(seeds[0], seeds[0] + int(looks["most"])) if looks else ()
    searched = [int(seed) for seed in head[SEARCH]["seeds"]] if SEARCH in head else []
    cells: dict[str, list[Row]] = {}
    for row in _rows(folder / "runs.csv", ("cell_id", "seed", "status", "training_id")):
        if row["status"] != "incompatible" and row["cell_id"]:
            cells.setdefault(row["cell_id"], []).append(row)
    for rows in cells.values():
        tried = searched if any(row.get(TRIAL) for row in rows) else []
        yield rows, sorted({*(int(row["seed"]) for row in rows), *most, *tried})


def _head(path: Path) -> dict[str, Any] | None:
    head = read_json(path)
    if head is not None and not isinstance(head, dict):
        raise InputError(f"{path} describes no results")
    return head


def _rows(path: Path, needed: tuple[str, ...]) -> list[Row]:
    table = read_csv(path, needed)
    return [{str(key): str(value) for key, value in row.items()} for row in table.to_dict("records")]


def _stages(rows: list[Row], seeds: list[int], told: set[str], read: Read) -> set[str]:
    """The stages of the cell of these rows at these seeds; InputError where they are not understood."""
    row = rows[0]
    parameters = {key: value for key, value in row.items() if "/" not in key and not key.startswith("axis.")}
    cell = cell_of(parameters, seeds[0])
    digest = read.digest(cell, row.get("data_digest", ""))
    extractor = read.extractor(cell) if cell.evaluation.quality else None
    precisions: list[Precision] = list(get_args(Precision))
    known = [one for one in precisions if cell_id(cell, digest, one, extractor) == row["cell_id"]]
    if not known:
        raise InputError("it is of an earlier version, or its data are not what they were")
    # By this id a fit is looked for when samples are drawn.
    found = {fit_of(cell, row["training_id"]) or "" for row in rows if cell.horizon and row.get("training_id")} - {""}
    if refusal(cell) is not None:
        return found
    found |= read.floor(digest, extractor)
    # Results that came from another kind of device may be in the midst of being made here.
    trained = bool(told) and told <= read.present
    for precision in known if trained or not read.whole else precisions:
        for seed in seeds:
            found |= set(_all_of(replace(cell, seed=seed), digest, precision, extractor, read))
    return found


def _all_of(cell: Cell, digest: str, precision: Precision, extractor: str | None, read: Read) -> Iterator[str]:
    """The ids of all that a cell is made of and, of the whole, of all that it may be asked for besides."""
    stages = stages_of(at_all_rungs(cell) if read.whole else cell, digest, precision, extractor)
    stages += more_sets(stages, extractor, MOST_SETS) if cell.evaluation.sets == "auto" else []
    for stage in stages:
        yield stage.id
        if stage.drawn and read.whole:
            yield from (content_hash(metric_content(stage.id, described)) for described in read.metrics)


def at_all_rungs(cell: Cell) -> Cell:
    """The same cell, scored on its way wherever it can be, which is no part of what it is."""
    judged = "test" in cell.evaluation.quality and cell.data.extractor is not None
    plan: Evaluation = replace(cell.evaluation, rungs=RUNGS, judged_rungs=RUNGS if judged else 0)
    return replace(cell, evaluation=plan)
