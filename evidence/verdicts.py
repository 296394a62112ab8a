"""Verdicts of committed pages that are others than they were at an earlier commit. It rebuilds `evidence/verdicts.md`:

    python -m evidence.verdicts since=efdc883 out=evidence/verdicts.md

Data and numbers of the two are the same, so what differs is what the rules make of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from analysis.format.errors import InputError
from analysis.format.options import Option
from evidence import markdown
from evidence.page_command import page_command

ROOT = Path(__file__).parents[1]
COMMITTED = "results/committed"
NEW_DATA = ("precision",)
"""Grids that were run anew since."""
OPTIONS = {
    "since": Option("the earlier commit", "efdc883"),
}
Answers = Mapping[str, Any]


def earlier(commit: str, name: str) -> Answers | None:
    """A grid's answers.json at a commit; None where it was not there. InputError where there is no such commit."""
    shown = subprocess.run(["git", "show", f"{commit}:{COMMITTED}/{name}/answers.json"], capture_output=True, cwd=ROOT)
    if shown.returncode == 0:
        return dict(json.loads(shown.stdout))
    known = subprocess.run(["git", "cat-file", "-e", commit], capture_output=True, cwd=ROOT).returncode == 0
    if not known:
        raise InputError(f"since={commit} is no commit that this clone has")
    return None


def compared(answers: Answers) -> dict[tuple[str, frozenset[str]], Mapping[str, Any]]:
    """The comparisons by metric and cells, with what metrics are compared on."""
    ids = [cell["cell_id"] for cell in answers["cells"]]
    return {(one["metric"], frozenset([ids[one["a"]], ids[one["b"]]])): one for one in answers["comparisons"]}


def why(was: Mapping[str, Any], now: Mapping[str, Any], *, declares: bool) -> str:
    """The change of the rules that moved a comparison of a grid that declares some now, or none."""
    if was["scale"] != now["scale"]:
        return "compared by its logarithm, since means span much"
    if not declares:
        return "the papers' claims are of its family"
    return f"{'among' if now['primary'] else 'not among'} the declared comparisons, which have 80 % of the error rate"


def rows(name: str, was: Answers, now: Answers) -> Iterator[tuple[str, str, str, str]]:
    """A statement that changed: the sentence, its verdict then and now, and why."""
    before = compared(was)
    label = {metric["name"]: metric["label"] for metric in now["metrics"]}
    declares = not all(one["primary"] for one in now["comparisons"])
    for key, one in compared(now).items():
        if key in before and before[key]["verdict"] != one["verdict"]:
            a, b = (now["cells"][one[end]]["name"] for end in "ab")
            said = f"{name}, {label[key[0]]}: {a} against {b}"
            yield said, before[key]["verdict"], one["verdict"], why(before[key], one, declares=declares)
    fates = {one["claim"]: one for one in was["claims"]}
    for one in now["claims"]:
        then = fates.get(one["claim"])
        if then is None:
            yield (
                f"{name}: {one['claim']}",
                "not asked",
                one["fate"],
                "a claim of the grid's file, declared after results",
            )
        elif then["fate"] != one["fate"]:
            yield f"{name}: {one['claim']}", then["fate"], one["fate"], _why_of_claim(one)


def _why_of_claim(now: Mapping[str, Any]) -> str:
    if now["fate"] == "too early to say":
        return "contrary, and the difference still moves towards the claim"
    if now["fate"] == "no difference that matters":
        return "the list calls the two equal, which is a fate of its own"
    return "a hypothesis of its metric's family" + (", the list's own" if now["listed"] else "")


def page(commit: str) -> str:
    """The page."""
    lines, counts = [], []
    for folder in sorted((ROOT / COMMITTED).iterdir()):
        name, was = folder.name, earlier(commit, folder.name)
        if was is None or name in NEW_DATA or not (folder / "answers.json").is_file():
            continue
        now = json.loads((folder / "answers.json").read_text("utf-8"))
        found = list(rows(name, was, now))
        kept = len(compared(was).keys() & compared(now).keys())
        counts.append((name, len(was["comparisons"]), len(now["comparisons"]), kept, len(found)))
        lines += found
    return "\n".join(
        [
            "# What committed pages say otherwise",
            "",
            f"By `python -m evidence.verdicts since={commit} out=evidence/verdicts.md`: the same data by the rules of",
            f"that commit and by today's. Not of {', '.join(NEW_DATA)}, which was run anew.",
            "",
            *markdown.table(
                ("grid", "comparisons then", "now", "in both", "verdicts and fates that are others"), counts
            ),
            "",
            *markdown.table(("sentence", "was", "is", "why"), lines),
        ]
    )


main = page_command(
    "evidence.verdicts", "Verdicts of committed pages that were others.", OPTIONS, lambda given: page(given["since"])
)
"""The command; its exit code."""

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
