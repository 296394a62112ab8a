"""`python -m ablations.clean`: tell what of a results folder nobody needs any more, and, with yes=true, free it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.labels import counted
from analysis.options import Option, run

if TYPE_CHECKING:
    from ablations.clean.waste import Survey, Waste

PURPOSE = (
    "Say what of a results folder no grid and no search there needs, and with yes=true free it. What a finished grid "
    "needs to be run again, published, sampled from, exported or reported stays, and so does all that a command uses."
)
BOOLEAN = ("true", "false")
OPTIONS = {
    "yes": Option("free it, and do not only say it", "false", choices=BOOLEAN),
    "unfinished": Option("trainings that were stopped and that no results name too", "false", choices=BOOLEAN),
    "results": Option("the results folder", "results"),
    "tracking.uri": Option("the store whose deleted runs' artifacts are freed, by default sqlite:///RESULTS/mlflow.db"),
}
WIDEST = 52
AGAIN = "python -m ablations.clean"


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.clean", PURPOSE, OPTIONS, clean, arguments)


def clean(given: dict[str, Any]) -> None:
    """Say what can be deleted, and delete it where that is asked for."""
    results = Path(given["results"])
    if not results.is_dir():
        raise InputError(f"results={results} is no folder: give the one that a grid was run in")
    from ablations.clean.waste import free, survey
    from ablations.engine.folder_lock import CLEANING
    from ablations.engine.lease import holder, leased
    from ablations.tracking.uris import default_uri

    uri, unfinished = given["tracking.uri"] or default_uri(results), given["unfinished"] == "true"
    if given["yes"] != "true":
        print(page(survey(results, uri, unfinished=unfinished), given))
        return
    place = results / ".leases" / CLEANING
    with leased(place) as lease:
        if lease is None:
            raise InputError(f"{holder(place) or 'another command'} is cleaning {results} already: wait for it")
        # Who begins from now on waits, and whoever was at work before is seen.
        seen = survey(results, uri, unfinished=unfinished)
        print(page(seen, given))
        freed = [waste for waste in seen.waste if free(waste, results)]
    print(f"\nfreed {in_all(freed)}" if seen.waste else "")


def page(seen: Survey, given: dict[str, Any]) -> str:
    """Lines on what there is, what can be deleted, and what is kept."""
    from ablations.clean.waste import KINDS
    from ablations.engine.disk import in_bytes

    held = sum(left.bytes for left in seen.stages)
    needed = sum(left.id in seen.needed for left in seen.stages)
    lines = [f"{given['results']}: {counted(len(seen.stages), 'stage')}, {in_bytes(held)}; {needed} of them are needed"]
    sums = [(words, seen.of(kind)) for kind, words in KINDS.items() if seen.of(kind)]
    lines += ["", "to be freed" if sums else "nothing is to be freed"]
    lines += [_row(words, waste) for words, waste in sums]
    lines += [_row("in all", seen.waste)] if len(sums) > 1 else []
    lines += ["", "kept", *(f"  {line}" for line in seen.kept)] if seen.kept else []
    if sums and given["yes"] != "true":
        asked = [
            f"{key}={given[key]}" for key, option in OPTIONS.items() if key != "yes" and given[key] != option.default
        ]
        lines += ["", " ".join([AGAIN, *asked, "yes=true"]) + "    frees it"]
    return "\n".join(lines)


def in_all(waste: list[Waste]) -> str:
    """The number of things, and their bytes."""
    from ablations.engine.disk import in_bytes

    return f"{counted(len(waste), 'thing')}, {in_bytes(sum(item.bytes for item in waste))}"


def _row(words: str, waste: list[Waste]) -> str:
    from ablations.engine.disk import in_bytes

    return f"  {words:<{WIDEST}}{len(waste):>6}  {in_bytes(sum(item.bytes for item in waste)):>9}"


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
