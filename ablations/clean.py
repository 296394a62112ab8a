"""`python -m ablations.clean`: the stages of a results folder that no grid.json names, listed or, with yes=true, freed.

    results/<name>/grid.json, also below results/committed/    "stages": the ids of all that a grid or search needs
    results/.stages/<id>/                                      deleted if no list has its id

So a finished grid keeps all that it needs to be run again, sampled, exported and published. While a command is at work
nothing is deleted.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from analysis.errors import InputError
from analysis.labels import counted
from analysis.shell import Option, exit_code, run

PURPOSE = "List the stages of a results folder that no grid and no search there needs; with yes=true free them."
OPTIONS = {
    "yes": Option("true frees them, false only lists them", "false", choices=("true", "false")),
    "results": Option("the results folder", "results"),
}


def clean(given: dict[str, Any]) -> None:
    """List the stages that nobody needs, and delete them where that is asked for."""
    results, free = Path(given["results"]), given["yes"] == "true"
    if not results.is_dir():
        raise InputError(f"results={results} is no folder: give the one that a grid was run in")
    from rich.filesize import decimal

    from ablations.engine.journal import FOLDER, STAGE_LOCK, bytes_of, cleaning_lock, try_lock

    with cleaning_lock(results):
        needed, stages = named_in(results), sorted((results / FOLDER).glob("[!.]*"))
        spare = {folder: bytes_of(folder) for folder in stages if folder.name not in needed}
        for folder, size in spare.items():
            print(f"{folder.name}  {decimal(size):>9}")
            with try_lock(folder / STAGE_LOCK) as holder:
                # A command on another results folder may use this journal.
                if free and not holder:
                    shutil.rmtree(folder)
    freeable = f"{counted(len(spare), 'stage')} of {len(stages)}, {decimal(sum(spare.values()))}"
    again = f": python -m ablations.clean results={results} yes=true frees them" if spare else ""
    print(f"freed {freeable}" if free else f"{freeable}: named by no grid or search{again}")


def named_in(results: Path) -> set[str]:
    """The ids of the stages that grids and searches name; InputError for one's own that an earlier version wrote."""
    from analysis.files import read_json

    named: set[str] = set()
    for path in [*results.glob("[!.]*/grid.json"), *results.glob("committed/*/grid.json")]:
        head = read_json(path)
        stages = head.get("stages") if isinstance(head, dict) else None
        if not isinstance(stages, list) and path.parent.parent == results:
            raise InputError(f"{path} does not say which stages it needs: give its command again, or move it away")
        named.update(stages or ())
    return named


main = partial(run, "ablations.clean", PURPOSE, OPTIONS, clean)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
