"""`python -m ablations.export cell=ID name=NAME`: keep a schedule that was learned, as schedule=saved/NAME; or with
`search=NAME` one that a search found.

Of a search the parameters are kept, under the schedule's own name, so that the cell is the one that was tried. Of a
learned schedule, γ of the averaged learner is kept, which evaluation uses, at evenly spaced u = (t − 1)/(T − 1). Either
lies in a file of the user's own folder, `configs/schedule/saved/NAME.yaml` by default: any command line and grid can
then name it, at any horizon.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from ablations.driver.trained_cells import cell_in, find, trained
from ablations.engine.journal import journal_of
from ablations.results.csv_text import rows_of
from ablations.results.folder import read_grid_json
from ablations.settings import grammar
from ablations.settings.exits import exit_code
from ablations.settings.grammar import DEFAULT
from ablations.settings.registry import describe
from ablations.stages.samples import Guided
from analysis.errors import InputError, line, unknown
from analysis.files import write_text
from analysis.folders import COMMITTED, holds_results, trials_of
from analysis.options import Option, folder_name, run
from analysis.schema import SEARCH, TRIAL
from diffusion_core.diffusion import Diffusion

PURPOSE = "Keep a schedule that a cell learned (cell=) or a search found (search=), as schedule=saved/NAME."
OPTIONS = {
    "name": Option("what it will be called: schedule=saved/NAME", required=True),
    "cell": Option("a finished cell with a learned schedule, or its id's first digits: runs.csv's column cell_id"),
    "seed": Option("which of the cell's trained seeds", 0, int),
    "search": Option("a search's folder in results/, else in results/committed/: search-schedule say"),
    "winner": Option("found, or where two objectives were searched: best_nll, best_fid, …"),
    "results": Option("the results folder", "results"),
    "journal": Option("the folder where stages are kept; by default RESULTS/.stages"),
    "configs": Option("your own folder of choices, made where it is missing", DEFAULT),
}

KNOTS = 101
DIGITS = 6


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.export", PURPOSE, OPTIONS, export, arguments)


def export(given: dict[str, Any]) -> None:
    """Write the file, and print its path and how to use it."""
    if bool(given["cell"]) == bool(given["search"]):
        what = "cell= is given, and search= too" if given["cell"] else "cell= is missing, or search="
        raise InputError(f"{what}: give one of them, python -m ablations.export cell=ID name=NAME")
    path, results = place(given["name"], given["configs"]), Path(given["results"])
    source, fields = searched(given, results) if given["search"] else learned(given, results)
    lines = [f"# {line(source)}", *(f"{key}: {json.dumps(value)}" for key, value in fields.items())]
    write_text(path, "\n".join(lines) + "\n")
    elsewhere = "" if Path(given["configs"]) == Path(DEFAULT) else f" configs={given['configs']}"
    print(
        f"{path}   (delete it to undo)\n"
        f"python -m ablations.run schedule=linear,cosine,saved/{given['name']} horizon=T{elsewhere}"
    )


def place(name: str, configs: str) -> Path:
    """The file of a new schedule; InputError where the name is wrong or taken."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", name) is None:
        raise InputError(f"name must be letters, digits, '_' and '-', got {name!r}")
    grammar.use(configs if Path(configs).is_dir() else None)
    if f"saved/{name}" in grammar.options_of("schedule"):
        raise InputError(f"schedule=saved/{name} is there already and is never overwritten: take another name=")
    return Path(configs) / "schedule" / "saved" / f"{name}.yaml"


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


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
