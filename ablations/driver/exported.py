"""A schedule to keep: one that a search found, by its own parameters, or one that a cell learned, by knots of its γ."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ablations.driver.trained_cells import cell_in, find, trained
from ablations.engine.journal import journal_of
from ablations.results.csv_text import rows_of
from ablations.results.folder import read_grid_json
from ablations.settings.registry import describe
from ablations.stages.samples import Guided
from analysis.errors import InputError, unknown
from analysis.places import COMMITTED, holds_results, trials_of
from analysis.schema import SEARCH, TRIAL
from analysis.shell import folder_name
from diffusion_core.diffusion import Diffusion

KNOTS = 101
DIGITS = 6


def searched(given: dict[str, Any], results: Path) -> tuple[str, dict[str, Any]]:
    """The origin and the fields of the schedule of a search's winner, in one's own results or else in committed ones;
    InputError where the winner has none, or the schedule was not searched."""
    own = folder_name("search", given["search"])
    folder = next(filter(holds_results, (results / own, results / COMMITTED / own)), results / own)
    head = (read_grid_json(folder) or {}).get(SEARCH)
    if not isinstance(head, dict):
        raise InputError(f"{folder} holds no search: python -m ablations.search study=schedule makes one")
    names = {winner["level"]: winner for winner in head["winners"]}
    level = given["winner"] or (next(iter(names)) if len(names) == 1 else "")
    if level not in names:
        raise unknown("winner", level, names)
    winner = names[level]
    rows = {row[TRIAL]: row for row in rows_of(trials_of(folder, head["name"]), (TRIAL, "schedule"))}
    cell = cell_in(rows[str(winner["trial"])])
    if cell.schedule.learned:
        raise InputError(f"the winner's schedule={rows[str(winner['trial'])]['schedule']} is learned: take cell=ID")
    values = ", ".join(f"{name} {value:.4g}" for name, value in winner["values"].items())
    where = f"found by {head['name']} on {head['data']} at T={cell.horizon}, trial {winner['trial']} ({values})"
    return where, describe(cell.schedule)


def learned(given: dict[str, Any], results: Path) -> tuple[str, dict[str, Any]]:
    """The origin and the fields of the schedule that a cell learned; InputError where it has none, or has not
    finished."""
    row = find(results, given["cell"], given["seed"])
    cell, who = cell_in(row), f"cell {row['cell_id']} at seed {row['seed']}"
    if not cell.schedule.learned:
        advice = "take a cell with schedule=learned or learned_linear"
        raise InputError(f"{who} has schedule={row['schedule']}, which learns nothing: {advice}")
    if row["status"] != "finished" or cell.horizon == 0:
        raise InputError(f"{who} is {row['status']} with horizon={cell.horizon}: take a finished one with a chain")
    model = trained(cell, row, journal_of(results, given["journal"]), torch.device("cpu"))
    model = model.model if isinstance(model, Guided) else model
    assert isinstance(model, Diffusion), "a schedule is learned by a chain of steps"
    knots = knots_of(model)
    if not all(a < b for a, b in pairwise(knots)):
        raise InputError(f"the schedule of {who} is flat somewhere to {DIGITS} digits, and no schedule may be")
    where = f"learned in grid {row['grid']}, cell {row['cell_id']}, seed {row['seed']}, on {row['data']}"
    return f"{where} at T={cell.horizon}", {"name": "saved", "knots": knots}


def knots_of(diffusion: Diffusion) -> list[float]:
    """γ at `KNOTS` evenly spaced u, rounded."""
    u = torch.arange(KNOTS, dtype=torch.float64) / (KNOTS - 1)
    with torch.no_grad():
        gamma = diffusion.gamma(1 + u * (diffusion.choices.horizon - 1))
    return [float(f"{value:.{DIGITS}g}") for value in gamma.tolist()]
