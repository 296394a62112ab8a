"""`python -m ablations.export cell=ID name=NAME`: keep a schedule that was learned, as schedule=saved/NAME; or with
`format=diffusers to=DIR` the whole cell, as a folder that diffusers loads.

γ of the averaged learner is kept, which evaluation uses, at evenly spaced u = (t − 1)/(T − 1), in a file of the user's
own folder, `configs/schedule/saved/NAME.yaml` by default: any command line and grid can then name it, at any horizon.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from ablations.settings import grammar
from ablations.settings.grammar import DEFAULT
from analysis.errors import InputError, line
from analysis.files import write_text
from analysis.shell import Option, exit_code, run

SCHEDULE, DIFFUSERS = "schedule", "diffusers"
PURPOSE = (
    "Keep a schedule that a cell learned, as schedule=saved/NAME; or write a whole cell to a folder that\n"
    "diffusers loads (cell= format=diffusers to=DIR)."
)
OPTIONS = {
    "name": Option("what a schedule will be called: schedule=saved/NAME"),
    "cell": Option("a finished cell, or its id's first digits: runs.csv's column cell_id", required=True),
    "format": Option("what is kept of it", SCHEDULE, choices=(SCHEDULE, DIFFUSERS)),
    "to": Option("the new folder of format=diffusers"),
    "seed": Option("which of the cell's trained seeds", 0, int),
    "results": Option("the results folder", "results"),
    "journal": Option("the folder where stages are kept; by default RESULTS/.stages"),
    "configs": Option("your own folder of choices, made where it is missing", DEFAULT),
}


def export(given: dict[str, Any]) -> None:
    """Keep what is asked for, and print its path and how to use it."""
    if given["format"] == SCHEDULE:
        keep_schedule(given)
        return
    check(given, "to", "name")
    from ablations.driver.diffusers_folder import write_folder

    folder = write_folder(given)
    again = f"python -m ablations.run network=published network.path={folder}"
    print(f"{folder}   (its README.md says how diffusers samples it)\n{again}")


def check(given: dict[str, Any], needed: str, idle: str) -> None:
    """InputError where a format's key is missing, or the key is given that says nothing with it."""
    if not given[needed]:
        raise InputError(f"{needed}= is missing: give {OPTIONS[needed].help}")
    if given[idle]:
        raise InputError(f"{idle}= says nothing with format={given['format']}: leave it out")


def keep_schedule(given: dict[str, Any]) -> None:
    """Write the file of a schedule."""
    check(given, "name", "to")
    path = place(given["name"], given["configs"])
    from ablations.driver.trained_cells import learned

    source, fields = learned(given, Path(given["results"]))
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


main = partial(run, "ablations.export", PURPOSE, OPTIONS, export)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
