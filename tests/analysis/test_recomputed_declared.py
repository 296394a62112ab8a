"""What is exploratory is recomputed from grid.json and runs.csv, by docs/statistics.md, without the code.

said      of a declaration its claims as hypotheses, its primary pairs, and its list: these and all with the baseline
since     going back from the last declaration: while the item is said, and all that is said there is said later too,
          for a claim without what of the list does not share its part of the error rate
result    of each side the earliest `first_result` of its finished rows, and of these the latest; unknown where a row
          has none
declared  beforehand where the time is before the result; after results where it is not, or where there is no
          result's time and finished runs stood there; else not recorded
"""

import csv
import itertools
import json
import shutil

import numpy as np
import pytest

from analysis.exports import write_answers
from tests.analysis.conftest import answers_of
from tests.analysis.test_recomputed import ROOT, primary_pairs, shared_axes, with_baseline


def when(item, said, declarations, results):
    """When an item was declared, of what each declaration said, beside the times of these results."""
    since = None
    for i in reversed(range(len(declarations))):
        if item not in said[i] or not all(said[i] <= later for later in said[i:]):
            break
        since = declarations[i]
    if since is None or since["time"] is None:
        return "not recorded"
    firsts = [min(side) for side in results if side]
    if not firsts or "" in firsts:
        return "after results" if since["seen"] else "not recorded"
    return "beforehand" if since["time"] < max(firsts) else "after results"


def key(claim):
    """A claim as a hypothesis."""
    return json.dumps({name: claim.get(name) or None for name in ("metric", "better", "than", "within", "since")})


def compared(meta, declaration):
    """The list of a grid with several axes: the primary pairs, and all with the baseline of their row."""
    first = primary_pairs(meta["cells"], declaration)
    others = (
        []
        if meta.get("auto") and first
        else with_baseline(meta["cells"], declaration["baseline"], shared_axes(meta["cells"], first))
    )
    primary = {("primary", frozenset(pair)) for pair in first}
    return primary | {("listed", frozenset(pair)) for pair in (*first, *others)}


def beside_claims(listed):
    """The pairs that share 80 % of the error rate with claims: the primary ones, or all where none is."""
    return {pair for kind, pair in listed if kind == "primary"} or {pair for _, pair in listed}


def check(folder):
    """Both keys of all comparisons and claims of a folder's answers.json; how often each word is there."""
    meta = json.loads((folder / "grid.json").read_text("utf-8"))
    told = json.loads((folder / "answers.json").read_text("utf-8"))
    declarations = meta.get("declarations", [])
    with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "finished"]

    def results(cells):
        return [row.get("first_result", "") for row in rows if row["cell_id"] in cells]

    claims = [{("claim", key(claim)) for claim in one["expects"]} for one in declarations]
    listed = [compared(meta, one) for one in declarations]
    pairs = [of | more for of, more in zip(listed, claims, strict=True)]
    for one in told["comparisons"]:
        cells = frozenset(told["cells"][one[side]]["cell_id"] for side in "ab")
        kind = "primary" if meta.get("primary") and one["primary"] else "listed"
        assert one["declared"] == when((kind, cells), pairs, declarations, [results({cell}) for cell in cells]), one
    claims = [beside_claims(of) | more for of, more in zip(listed, claims, strict=True)]
    for claim, one in zip(meta.get("expects", []), told["claims"], strict=True):
        levels = [claim["better"], claim["better"] | claim["than"]]
        levels += [of | claim["since"] for of in levels] if claim.get("since") else []
        sides = [{cell for cell, of in meta["cells"].items() if part.items() <= of.items()} for part in levels]
        times = [results(cells) for cells in sides]
        assert one["declared"] == when(("claim", key(claim)), claims, declarations, times), one
    every = [*told["comparisons"], *told["claims"]]
    assert all(one["exploratory"] == (one["declared"] != "beforehand") for one in every)
    return {one["declared"] for one in every}


LATE = {"after results", "not recorded"}


@pytest.mark.parametrize(
    ("name", "known"),
    [("parameterization", {"beforehand"}), ("parameterization-long", {"beforehand"}), ("steps", LATE)],
)
def test_committed(name, known, tmp_path):
    folder = shutil.copytree(ROOT / name, tmp_path / name)
    write_answers(answers_of(folder), folder)
    assert check(folder) <= known


def test_declarations_and_results_at_random_times(tmp_path):
    """Grids whose files dropped and added primary pairs and claims, and whose cells were finished before or after."""
    draws, seen = np.random.default_rng(0), set()
    meta = json.loads((ROOT / "recipe" / "grid.json").read_text("utf-8"))
    claims = json.loads((ROOT / "edm" / "grid.json").read_text("utf-8"))["expects"]
    names = [axis["name"] for axis in meta["axes"]]
    cells = list(meta["cells"].values())
    claims = [
        claims[0] | {"better": dict(zip(names, cells[i].values(), strict=True)), "than": {names[0]: cells[0][names[0]]}}
        for i in range(1, len(cells))
        if cells[i][names[0]] != cells[0][names[0]]
    ][:4]
    for turn, count in itertools.product(range(3), (1, 2, 4)):
        folder = shutil.copytree(ROOT / "recipe", tmp_path / f"{turn}-{count}")
        declarations = [
            {
                "time": None if draws.random() < 0.1 else f"2026-01-0{1 + i}",
                "seen": bool(draws.random() < 0.5),
                "baseline": meta["baseline"],
                "primary": [one for one in meta["primary"] if draws.random() < 0.7],
                "expects": [one for one in claims if draws.random() < 0.7],
            }
            for i in range(count)
        ]
        last = declarations[-1]
        changed = meta | {"declarations": declarations, "primary": last["primary"], "expects": last["expects"]}
        (folder / "grid.json").write_text(json.dumps(changed), encoding="utf-8")
        with_times(folder, {cell: draws.choice(["", *(f"2026-01-0{i}T" for i in range(6))]) for cell in meta["cells"]})
        write_answers(answers_of(folder), folder)
        seen |= check(folder)
    assert seen == {"beforehand", "after results", "not recorded"}


def with_times(folder, times):
    """Write the time of each cell's first result into runs.csv."""
    with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row | {"first_result": times[row["cell_id"]]} for row in csv.DictReader(file)]
    with (folder / "runs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
