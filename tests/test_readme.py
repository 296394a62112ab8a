"""What README.md and docs/ say of committed results is what answers and measurements say.

The findings are written from the answers by `evidence.findings`; here stands that the pages are what it writes, that
no digit of ours is typed by hand in its sentences, and what other pages quote.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evidence.committed_grid import CommittedGrid, Untrue, size
from evidence.findings import PAGE, README, document

ROOT = Path(__file__).parents[1]


def plain(page: str) -> str:
    """A page's text in one line, without the marks that `tests.test_freshness` asks for."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    return re.sub(r"[,;] numerics (?:\d+|not recorded)", "", text)


GPU, SEARCHING = plain("docs/gpu.md"), plain("docs/searching.md")
NLL, FID = "nll", "fid"
SECTION = "## What it found so far"
SETTING = re.compile(
    r"\b[TfKwret] [=≤] [\d.]+|\bP2\b|1/SNR"
    r"|\b\d+×\d+(?:×\d+)?\b|\b\d+ (?:of (?:the )?\d+ )?(?:\w+ )?(?:steps|draws|times|calls)\b"
    r"|8 bits|is 0 at|\b0\.25\b|width of 0\.10|than 0\.10|NLL of 0\.10|that of 5|with 50|KL × 1|CIFAR-10|Table \d"
    r"|KL of weight 0\.1|Fig\. 4b|3\.21 against 8\.06|3\.75 and 3\.73|\(3\.59\)",
    re.IGNORECASE,
)
"""What may stand in a finding's sentence as a literal: settings, and what a paper printed."""


def literal(template: str) -> str:
    """The text of a template in one line, without what is read from answers, code, links and settings."""
    text = (ROOT / "evidence" / template).read_text(encoding="utf-8")
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|```.*?```|\]\([^)]*\)|`[^`]*`", "", text, flags=re.DOTALL)
    return SETTING.sub("", " ".join(text.split()))


def test_the_findings_are_what_the_answers_say():
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert page == document(PAGE), "run python -m evidence.findings > docs/findings.md"


def test_every_heading_of_a_template_begins_a_line_of_its_page():
    headings = re.findall(r"^## \[?([^\]\n]*)", (ROOT / "evidence" / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert len(headings) > 20
    assert re.findall(r"^## \[?([^\]\n]*)", page, re.MULTILINE) == headings


def test_the_findings_of_readme_are_what_the_answers_say():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert document(README) in text[text.index(SECTION) :], "put there what python -m evidence.findings readme prints"


@pytest.mark.parametrize("template", [PAGE, README])
def test_no_digit_of_ours_is_typed_by_hand(template):
    assert re.findall(r".{0,50}\d.{0,20}", literal(template)) == []


def test_a_verdict_that_a_grid_has_not_is_not_written():
    told = CommittedGrid("coupling")
    few = "straight optimal 2", "straight independent 2"
    assert told.better(FID, *few) == told.worse(FID, *reversed(few))
    for wrong in (told.worse, told.equal, told.untold):
        with pytest.raises(Untrue, match="coupling: FID"):
            wrong(FID, *few)
    with pytest.raises(Untrue, match="As published"):
        told.claim("on the straight path, with 5 steps", "contrary to the paper")


def times_ours(size: str, row: str) -> str:
    """What the first table of a committed comparison says in the column × ours."""
    lines = (ROOT / "benchmarks" / f"peers-{size}.md").read_text(encoding="utf-8").splitlines()
    found = next(line for line in lines if line.startswith(f"| {row} |"))
    return f"{float(found.split('|')[6]):.1f}"


def test_speed_and_precision():
    plain, same = "diffusers, its defaults, float32", "diffusers, our structure, bf16"
    for machine in ("", "-amd"):
        ratios = [times_ours(size + machine, peer) for size in ("medium", "tiny") for peer in (plain, same)]
        assert f"peers-tiny{machine}.md)) | {' × | '.join(ratios)} × |" in GPU


def of_precision(metric: str) -> str:
    """What docs/gpu.md says of bf16 beside float32 in a metric, from the six comparisons that the grid declares."""
    told = CommittedGrid("precision")
    name = told.metric(metric)["name"]
    found = [one for one in told.answers["comparisons"] if one["metric"] == name and one["primary"]]
    label = {i: levels.split()[0] for levels, i in told.cells.items()}
    assert len({label[one["a"]] for one in found}) == len(found) == 6
    assert all(label[one["a"]] == label[one["b"]] for one in found)
    verdicts = [one["verdict"] for one in found]
    equal, untold = verdicts.count("equal"), verdicts.count("cannot tell")
    largest = max(found, key=lambda one: abs(one["difference"]))
    names = {level["name"]: level["label"] for level in told.answers["axes"][0]["levels"]}
    unit = f"{size(largest)} bits/dim" if metric == NLL else size(largest)
    counts = (
        f"{equal} of six are equal for practical purposes, {untold} cannot be told, and {6 - equal - untold} differ"
    )
    return f"{counts}; the largest difference is {unit} ({names[label[largest['a']]]})"


def test_what_bf16_changes():
    assert f"In NLL {of_precision(NLL)}." in GPU
    assert f"In FID {of_precision(FID)}." in GPU


def test_what_the_kernel_changes():
    page = (ROOT / "evidence" / "same.md").read_text(encoding="utf-8")
    nll, fid = (re.search(rf"\| {head} \| \+([\d.]+) ± ([\d.]+) \|", page) for head in (r"NLL \(bits/dim\)", "FID"))
    sizes = [f"{float(one):.{decimals}f}" for found, decimals in ((nll, 3), (fid, 1)) for one in found.groups()]
    assert "The kernel changes them by {} ± {} and {} ± {}".format(*sizes) in GPU


def test_what_the_search_found():
    told = CommittedGrid("search-schedule")
    best = told.headline(NLL)["best"]
    order = sorted(told.cells, key=lambda cell: told.cells[cell] != best)
    nlls, fids = ([told.measured(metric, cell) for cell in order] for metric in (NLL, FID))
    better = f"has {nlls[0]} bits/dim against {nlls[1]}: better, by the paired differences"
    assert f"{better}. Its FID, {fids[0]} against {fids[1]}" in SEARCHING
    assert told.better(NLL, *order)
    assert told.untold(FID, *order)
    head = told.grid
    trials = head["search"]
    minutes = (trials["seconds"] + head["seconds"]) / 60
    assert f"on digits: {minutes:.0f} minutes on 2 busy CPU cores" in SEARCHING
    saved = 100 - 100 * trials["trained_steps"] / trials["full_steps"]
    assert f"{saved:.0f} % of the training steps saved" in SEARCHING


def test_what_docs_searching_says_of_samplers_and_pruners_is_in_their_experiment():
    page = (ROOT / "evidence" / "search.md").read_text(encoding="utf-8")
    rows = {cells[0]: cells[1:] for cells in re.findall(r"^\| (.+?) \| ([\d.]+)% \| ([^|]+?) \|", page, re.MULTILINE)}
    first = {name: cells[0] for name, cells in rows.items()}
    assert f"by TPE (the default) is {first['tpe']} % of the sweep's range away" in SEARCHING
    assert f"it is {first['gp']} % away, with random search {first['random']} %" in SEARCHING
    pruners = (first[name] for name in ("median", "halving", "hyperband"))
    words = (
        "A median pruner needs {} % of the training steps for the same winner, successive halving {} %, Hyperband {} %"
    )
    assert words.format(*pruners) in SEARCHING
    assert {rows[name][1] for name in ("none", "median", "halving", "hyperband")} == {"the same"}
    assert f"With 12 it ends {first['12']} % away in the mean of twenty searches ({first['1']} % with one" in SEARCHING
    assert max(float(first[count]) for count in ("3", "6", "8")) <= float(first["1"]), "up to 8 cost nothing"


def test_the_numbers_of_docs_statistics_are_those_of_the_simulation():
    told = " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())
    page = (ROOT / "evidence" / "inference.md").read_text(encoding="utf-8")
    parts = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    worst = {head: [float(rate) for rate in re.findall(r"\*\*([\d.]+)\*\*", part)] for head, part in parts.items()}
    coverage, lost = worst["Coverage of the 95 % interval of a difference"], worst["The true best is lost"]
    false = [rate for head, rates in worst.items() if head.startswith("False claims") for rate in rates]
    found = re.search(r"\| n = 3, k = 11 \|(.*)\|", parts["Power"])[1].split("|")
    at_five = re.search(r"\| n = 5, k = 11 \|(.*)\|", parts["Power"])[1].split("|")
    assert f"intervals cover {min(coverage):g} % at least, a family errs in {max(false):g} % of grids at most" in told
    assert f"the best is lost in {max(lost):g} % at most" in told
    assert f"in {int(found[5])} % of grids, where Holm's even shares find {int(found[4])} %" in told
    assert f"at three seeds in {int(found[3])} % of grids, at five in {int(at_five[3])} %" in told
    unmarked = parts["A page as a whole"].rpartition("| 1 metric |")[2].splitlines()[0].split("|")
    three, eleven, many = (sorted(map(int, unmarked[i : i + 3])) for i in (0, 3, 6))
    ranges = [f"{some[0]} to {some[-1]} %" for some in (three, eleven, many)]
    assert f"{ranges[0]} of grids of 3 cells, {ranges[1]} of 11 and {ranges[2]} of 27" in told


def test_the_numbers_of_the_scale_are_those_of_the_simulation():
    told = " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())
    page = (ROOT / "evidence" / "inference.md").read_text(encoding="utf-8")
    part = page.partition("\n## The scale of the comparison\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*); span (\d+) \|(.*)\|$", part, re.MULTILINE)
    third = len(rows) // 3
    false, cover = (
        {(noise, span): [cell.strip(" *✗") for cell in rates.split("|")] for noise, span, rates in table}
        for table in (rows[:third], rows[-third:])
    )
    never, rule = 0, 2
    wide, narrow, floor = ("log-normal, 0.3", "100"), ("log-normal, 0.3", "2"), "log-normal above 0.95, 0.3"
    assert (
        f"a list in bits errs in {false[wide][never]} % of grids and its intervals cover {cover[wide][never]} %; in "
        f"logs {false[wide][rule]} % and {cover[wide][rule]} %" in told
    )
    assert f"Where means span 2 and seeds differ by 30 %, a list errs in {false[narrow][rule]} % of grids" in told
    worst = max(float(rates[rule]) for (noise, _), rates in false.items() if noise == floor)
    least = min(float(rates[rule]) for (noise, _), rates in cover.items() if noise == floor)
    assert f"a list errs in up to {worst:g} %, and intervals cover {least:g} % at least" in told
    small = [float(rate) for (noise, _), rates in false.items() if noise == "log-normal, 0.05" for rate in rates]
    assert max(small) - min(small) < 0.5, "both scales say the same"


def test_the_numbers_of_docs_statistics_on_seeds_that_would_tell_are_those_of_their_simulation():
    told = " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())
    page = (ROOT / "evidence" / "prospects.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ cells, .*\|$", page, re.MULTILINE)
    alone, grid = (sorted(int(row.split("|")[place]) for row in rows) for place in (-3, -2))
    assert f"it tells in {grid[0]} to {grid[-1]} %, and the textbook's number in {alone[0]} to {alone[-1]} %" in told


def test_the_numbers_of_docs_statistics_on_borrowed_variances_are_those_of_their_simulation():
    told = " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())
    page = (ROOT / "evidence" / "pooled.md").read_text(encoding="utf-8")
    rows = [row.split("|", 2)[2] for row in page.splitlines() if row.startswith("| ") and "n = " not in row]
    rates = [[float(rate) for rate in re.findall(r"\d+\.\d", row)] for row in rows]
    pooled, moderated = (max(rate for row in rates for rate in row[i : i + 3]) for i in (0, 3))
    assert f"make a false claim in up to {pooled:.0f} % of grids, and moderated ones in up to {moderated:.0f} %" in told
