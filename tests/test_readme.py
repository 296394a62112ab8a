"""What docs quote of committed results is what measurements say; `tests.evidence.test_findings` holds README."""

from __future__ import annotations

import json
import re
from pathlib import Path

from evidence.claims import size
from evidence.freshness import COMMITTED, committed

ROOT = Path(__file__).parents[1]


def plain(page: str) -> str:
    """A page's text in one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


GPU, SEARCHING = plain("docs/gpu.md"), plain("docs/searching.md")
FID = "fid/train/digits-cnn"


def test_speed():
    """The table of docs/gpu.md: float32, × ours, and bf16, × per multiply-add, of diffusers on two machines."""
    parts = re.split(r"^## ", (ROOT / "benchmarks" / "peers.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    rows = {}
    for part in parts:
        machine = "AMD EPYC" if "AMD EPYC" in part else "Intel Xeon"
        for precision, cells in re.findall(r"^\| diffusers, (\w+) \| (.*) \|$", part, re.MULTILINE):
            rows[machine, part.split(":")[0], precision] = cells.split(" | ")
    for machine in ("Intel Xeon", "AMD EPYC"):
        cells = [
            rows[machine, size, how][2 + (how == "bf16")] for size in ("medium", "tiny") for how in ("float32", "bf16")
        ]
        assert f"| {machine} | {' × | '.join(cells)} × |" in GPU


def test_what_bf16_changes():
    grid = committed("precision")
    told = re.sub(r"a factor of ([\d.]+) \(([\d.]+) to ([\d.]+)\)", r"×\1 (\2–\3)", GPU)
    for metric in grid.deciding:
        own = grid.comparisons[grid.comparisons["metric"] == metric.name]
        counts = own["verdict"].value_counts()
        largest = own.loc[own["difference"].abs().idxmax()]
        changed = size(metric, abs(largest["difference"]), largest["half_width"])
        equal, untold = counts["equal"], counts["cannot tell"]
        said = f"{equal} of six are equal for practical purposes, {untold} cannot be told, and 0 differ"
        assert equal + untold == 6
        assert f"In {metric.label} {said}; the largest difference is {changed}" in told


def test_what_the_search_found():
    grid = committed("search-schedule")
    (default,) = grid.at({"choice": "default"})
    (found,) = grid.cells.query("metric == 'nll/test' and place == 'best'")["cell_id"]
    values = {(row.cell_id, row.metric): (row.mean, row.half_width) for row in grid.cells.itertuples()}
    texts = [f"{mean:.2f} ± {half:.2f}" for mean, half in (values[cell, "nll/test"] for cell in (found, default))]
    fids = [f"{mean:.1f} ± {half:.1f}" for mean, half in (values[cell, FID] for cell in (found, default))]
    assert f"has {texts[0]} bits/dim against {texts[1]}: better, by the paired differences" in SEARCHING
    assert f"Its FID, {fids[0]} against {fids[1]}, looks better, but these seeds cannot tell" in SEARCHING
    assert set(zip(grid.comparisons["metric"], grid.comparisons["verdict"], strict=True)) == {
        ("nll/test", "worse"),
        (FID, "cannot tell"),
    }
    head = json.loads((COMMITTED / "search-schedule" / "grid.json").read_text(encoding="utf-8"))
    minutes = (head["search"]["seconds"] + head["seconds"]) / 60
    assert f"on digits: {minutes:.0f} minutes on 2 busy CPU cores" in SEARCHING
    saved = 100 - 100 * head["search"]["trained_steps"] / head["search"]["full_steps"]
    assert f"{saved:.0f} % of the training steps saved" in SEARCHING


def test_the_numbers_of_docs_statistics_are_those_of_the_simulation():
    told, page = plain("docs/statistics.md"), (ROOT / "evidence" / "inference.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for line in page.splitlines() if len(row := line.strip("| ").split(" | ")) > 2}
    assert f"three seeds in about {rows['11, 3'][3]} % of grids, at five in {rows['11, 5'][3]} %" in told
    linear, log = (rows["0.3"][i].removesuffix(" ×") for i in (0, 2))
    assert f"SD of 0.3, a family errs in {linear} % on the linear scale and in {log} % on the log scale" in told


def test_looks_and_claims_beside_them_err_in_at_most_one_grid_in_20():
    """With seeds=auto, all that a page claims in a metric errs in at most 5.5 % of simulated grids."""
    page = (ROOT / "evidence" / "looks.md").read_text(encoding="utf-8")
    rates = [float(rate) for pair in re.findall(r"([\d.]+), ([\d.]+) \(", page) for rate in pair]
    assert len(rates) > 20
    assert max(rates) <= 5.5
