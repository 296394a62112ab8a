"""`python -m ablations.found cell=ID name=NAME`: keep a schedule that was learned, as schedule=found/NAME.

What is kept is γ of the averaged learner, which evaluation uses, at evenly spaced u = (t − 1)/(T − 1), in a file of
`configs/schedule/found/`: any command line and grid can then name it, at any horizon.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ablations import config
from ablations.command_line import parse_options
from ablations.commands import exit_code
from ablations.sample import cell_in, find, trained
from analysis.errors import InputError

if TYPE_CHECKING:
    from diffusion_core.diffusion import Diffusion

OPTIONS: dict[str, type] = {"cell": str, "name": str, "seed": int, "results": str}

USAGE = """python -m ablations.found cell=ID name=NAME [seed=0] [results=results]

  cell=ID     a finished cell with a learned schedule, or its id's first digits: runs.csv's column cell_id
  name=NAME   what it will be called: schedule=found/NAME
  seed=0      which of the cell's trained seeds"""

KNOTS = 101
DIGITS = 6


def main(arguments: list[str]) -> int:
    """Write the file and print its path and how to use it."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    given = parse_options(arguments, OPTIONS)
    for key in ("cell", "name"):
        if key not in given:
            raise InputError(f"{key}= is missing: python -m ablations.found cell=ID name=NAME")
    path = place(given["name"])
    results = Path(given.get("results", "results"))
    row = find(results, given["cell"], given.get("seed", 0))
    text = schedule_file(row, results)
    from ablations.journal import write_text

    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    config.load.cache_clear()
    print(f"{path}\npython -m ablations.run schedule=linear,cosine,found/{given['name']}")
    return 0


def place(name: str) -> Path:
    """The file of a new schedule; InputError where the name is wrong or taken."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", name) is None:
        raise InputError(f"name must be letters, digits, '_' and '-', got {name!r}")
    if f"found/{name}" in config.options_of("schedule"):
        raise InputError(f"schedule=found/{name} is there already and is never overwritten: take another name=")
    return config.CONFIGS / "schedule" / "found" / f"{name}.yaml"


def schedule_file(row: dict[str, str], results: Path) -> str:
    """The two lines of the file; InputError where the row's cell has no finished learned schedule."""
    import torch

    from diffusion_core.diffusion import Diffusion

    who = f"cell {row['cell_id']} at seed {row['seed']}"
    cell = cell_in(row)
    if not cell.schedule.learned:
        raise InputError(
            f"{who} has schedule={row['schedule']}, which learns nothing: take a cell with schedule=learned or "
            "learned_linear"
        )
    if cell.horizon == 0:
        raise InputError(f"{who} has horizon=0, a chain of no steps, so it learned no schedule")
    if row["status"] != "finished":
        raise InputError(f"{who} is {row['status']}, so its schedule is no result: take a finished one")
    model = trained(cell, row, results, torch.device("cpu"))
    assert isinstance(model, Diffusion), "a schedule is learned by a chain of steps"
    knots = knots_of(model)
    if not all(a < b for a, b in pairwise(knots)):
        raise InputError(f"the schedule of {who} is flat somewhere to {DIGITS} digits, and no schedule may be")
    where = f"learned in grid {row['grid']}, cell {row['cell_id']}, seed {row['seed']}"
    return f"# {where}, on {row['data']} at T={cell.horizon}\nname: found\nknots: [{', '.join(map(repr, knots))}]\n"


def knots_of(diffusion: Diffusion) -> list[float]:
    """γ at `KNOTS` evenly spaced u, rounded."""
    import torch

    u = torch.arange(KNOTS, dtype=torch.float64) / (KNOTS - 1)
    with torch.no_grad():
        gamma = diffusion.gamma(1 + u * (diffusion.choices.horizon - 1))
    return [float(f"{value:.{DIGITS}g}") for value in gamma.tolist()]


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
