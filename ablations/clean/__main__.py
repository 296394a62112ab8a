"""`python -m ablations.clean`: what of a results folder nobody needs any more, and, with yes=true, to free it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.format.errors import InputError
from analysis.format.options import Option, run

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    "configs": Option("your own folder of choices, where results name some of it, by default configs"),
}
WIDEST = 52
AGAIN = "python -m ablations.clean"


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.clean", PURPOSE, OPTIONS, clean, arguments)


def clean(given: dict[str, Any]) -> None:
    """Say what there is to free, and free it where that is asked for."""
    results = Path(given["results"])
    if not results.is_dir():
        raise InputError(f"results={results} is no folder: give the one that a grid was run in")
    from ablations.driver.turns import CLEANING
    from ablations.engine.lease import holder, leased
    from ablations.settings import grammar

    grammar.use(given["configs"] or None)
    if given["yes"] != "true":
        print(page(looked_at(given, results), given))
        return
    place = results / ".leases" / CLEANING
    with leased(place) as lease:
        if lease is None:
            raise InputError(f"{holder(place) or 'another command'} is cleaning {results} already: wait for it")
        # Who begins from now on waits, and whoever was at work before is seen.
        found = looked_at(given, results)
        print(page(found, given))
        from ablations.clean.freeing import free

        freed = [one for one in found.waste if free(one, results)]
    print(f"\nfreed {in_all(freed)}" if found.waste else "")


def looked_at(given: dict[str, Any], results: Path) -> Survey:
    """What there is to free in a results folder."""
    from ablations.clean.needs import Read, needs_of
    from ablations.clean.waste import survey
    from ablations.engine.disk import left_in
    from ablations.tracking.uris import default_uri
    from analysis.format.folders import committed_in, folders_in

    stages, folders = left_in(results / ".stages"), [*folders_in(results), *committed_in(results)]
    present, needs = frozenset(left.id for left in stages if left.finished), []
    for whole in (False, True):
        read = Read(present, whole)
        needs = [needs_of(folder, read) for folder in folders]
        if {left.id for left in stages} <= {stage for one in needs for stage in one.stages}:
            # Nobody has to ask what cells may be asked for besides.
            break
    uri = given["tracking.uri"] or default_uri(results)
    return survey(results, needs, uri, unfinished=given["unfinished"] == "true")


def page(found: Survey, given: dict[str, Any]) -> str:
    """What there is, what can be freed of it, and what is kept."""
    from ablations.clean.waste import KINDS
    from ablations.engine.disk import in_bytes

    held = sum(left.bytes for left in found.stages)
    named = sum(left.id in found.needed for left in found.stages)
    lines = [f"{given['results']}: {_counted(len(found.stages), 'stage')}, {in_bytes(held)}; {named} of them are named"]
    sums = [(words, found.of(kind)) for kind, words in KINDS.items() if found.of(kind)]
    lines += ["", "to be freed" if sums else "nothing is to be freed"]
    lines += [_row(words, waste) for words, waste in sums]
    lines += [_row("in all", found.waste)] if len(sums) > 1 else []
    lines += ["", "kept", *(f"  {line}" for line in found.kept)] if found.kept else []
    if sums and given["yes"] != "true":
        told = [
            f"{key}={given[key]}" for key, option in OPTIONS.items() if key != "yes" and given[key] != option.default
        ]
        lines += ["", " ".join([AGAIN, *told, "yes=true"]) + "    frees it"]
    return "\n".join(lines)


def in_all(waste: Iterable[Waste]) -> str:
    """How many things, and their bytes."""
    from ablations.engine.disk import in_bytes

    found = list(waste)
    return f"{_counted(len(found), 'thing')}, {in_bytes(sum(one.bytes for one in found))}"


def _row(words: str, waste: list[Waste]) -> str:
    from ablations.engine.disk import in_bytes

    return f"  {words:<{WIDEST}}{len(waste):>6}  {in_bytes(sum(one.bytes for one in waste)):>9}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
