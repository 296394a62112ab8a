"""What the report records: what did not finish, where everything comes from, what it cost."""

import dataclasses

import pandas as pd

from analysis.findings.answers import Answers
from analysis.links import tracking_of
from analysis.read.runs import read_folder
from analysis.report.another_seed import one_more_seed
from analysis.report.costs import cost, si
from analysis.report.page import FactTable, Items, Link, Section, prose, render
from analysis.report.records import besides, missing, provenance
from tests.analysis.conftest import answers_of, build, rows, write_curves
from tests.analysis.findings.test_costs import TRAINED, costed
from tests.analysis.report.pages import Page
from tests.analysis.tables.grids import axis, grid_of


def test_tracebacks_are_folded_below_the_reasons(tmp_path):
    """A message of several lines is shown in whole, and one of one line has nothing folded."""
    trace = "Traceback (most recent call last):\n  File x\nOSError: no space left"
    ends = {
        0: {"reason": "no space left", "traceback": trace},
        1: {"reason": f"no space left\n{trace}"},
        2: {"reason": "no space left"},
    }
    lost = [{**row, "status": "failed", **ends[row["seed"]]} for row in rows() if row["cell_id"] == "mu-simple"]
    grid = read_folder(build(tmp_path / "g", [row for row in rows() if row["cell_id"] != "mu-simple"] + lost))
    alone = grid.runs["cell_id"] == "mu-simple"
    _, sheet, folded = missing(Answers.of(dataclasses.replace(grid, runs=grid.runs[alone]))).blocks
    assert [row[3] for row in sheet.rows] == ["no space left"] * 3
    told = [(block.title[-6:], block.text) for block in folded.blocks]
    assert told == [("seed 0", trace), ("seed 1", f"no space left\n{trace}")]


def test_every_run_has_its_page_in_mlflow(shared_folder):
    runs = {("mu-vlb_learned", 0): "r1", ("mu-vlb_learned", 1): "r2"}
    tracked = tracking_of("http://me:secret@host:5000", "7", runs)
    grid = dataclasses.replace(read_folder(shared_folder), tracking=tracked)
    page = Page(render("q", [], [provenance(Answers.of(grid))]))
    links = [(link["href"], link["text"]) for link in page.all("a") if link["href"].startswith("http")]
    assert links[0] == (tracked.link, "experiment 7 in http://host:5000")
    assert links[1:] == [(f"http://host:5000/#/experiments/7/runs/{run}", run) for run in ("r1", "r2")]


def test_what_made_the_runs_is_told(shared_folder):
    grid = read_folder(shared_folder)
    codes = ["a1"] * 30 + ["b2"] * 3
    runs = grid.runs.assign(code=codes, numerics="4", data_digest="d1")
    page = Page(render("q", [], [provenance(Answers.of(dataclasses.replace(grid, runs=runs)))]))
    told = page.section("provenance")
    assert "a1 (30 runs), b2 (3 runs)" in told
    assert "Data digestd1" in told


def test_effective_weights_and_parameters_of_each_axis(shared_folder):
    grid = read_folder(shared_folder)
    changes, checked, *_ = besides(Answers.of(grid)).blocks
    assert changes.items == ("Target: `parameterization`.", "Objective: `objective`, `objective.space`, `variance`.")
    assert checked.items[0].startswith("Cells that differ in Target differ in the effective weight of each t too")
    assert checked.items[1] == (
        "Objective may change how much each t counts in training. That is part of this choice, and no second "
        "difference, so it was not checked."
    )


def test_equal_weights_are_said_once_whatever_an_axis_may_change(tmp_path):
    """Along an axis of learning rates, which is a field of training, all cells weight every t alike."""
    rate = axis("rate", "Rate", {name: (name, {"training.learning_rate": name}) for name in ("0.001", "0.01")})
    folder = grid_of(tmp_path / "g", "general", [rate])
    ids = list(dict.fromkeys(pd.read_csv(folder / "runs.csv", dtype=str)["cell_id"]))
    write_curves(folder, [(cell, 0, "expected_weight", t, 1.0) for cell in ids for t in (1, 2, 3)])
    blocks = {block.title: block for block in besides(answers_of(folder)).blocks if isinstance(block, Items)}
    assert blocks["Effective weight of each t"].items == ("All cells give ‖ε − ε̂‖² one constant weight in training.",)


def test_seconds_told_apart_are_counted():
    section = cost(Answers.of(costed(trained=TRAINED, linear=5, cosine=5, learned=5)), [])
    assert "Training times are shown to differ in 2 of 3 pairs of cells" in section.blocks[1].text


def test_what_a_grid_took_is_by_its_stages_whatever_a_command_found_done():
    """Four seeds of 100 + 100 + 210 s; the command that is known ran no more than ten of these seconds."""
    grid = costed(trained=TRAINED)
    grid.runs["training_id"] = [f"t{i}" for i in range(len(grid.runs))]
    answers = Answers.of(dataclasses.replace(grid, meta=dataclasses.replace(grid.meta, seconds=10.0)))
    section = cost(answers, [])
    said = "27.3 min of computing (training, scoring, drawing), 6.8 min for a seed of all 3 cells"
    assert section.blocks[0].text.startswith(said)
    assert "the commands took 10 s; what had been computed before they began is not in that." in section.blocks[0].text
    assert section.gist.startswith("27.3 min of computing in all, a training 100 s to 3.5 min")
    assert said in Page(render("q", [], [provenance(answers)])).section("provenance")
    assert "For all 3 cells it takes 6.8 min of computing." in one_more_seed(answers)[1][0]


def test_scoring_at_rungs_has_a_column_where_it_is_known():
    grid = costed(trained=TRAINED, linear=2, cosine=2, learned=2)
    assert not any("rungs" in head for head in cost(Answers.of(grid), []).blocks[-1].head)
    seconds = 7.0 + 0.1 * (grid.runs["seed"] == 0)
    known = dataclasses.replace(grid, runs=grid.runs.assign(**{"cost/rung_seconds": seconds}))
    sheet = cost(Answers.of(known), []).blocks[-1]
    shown = [row[list(sheet.head).index("Scoring at rungs (s)")] for row in sheet.rows]
    assert shown == 3 * ["7.03 (7.00–7.10)"], "the mean over four seeds, and their range"


def test_si():
    texts = {9.2e12: "9.20 T", 145521: "146 k", 0.0: "0", 999.0: "999", 5e19: "50.0 E"}
    assert {value: si(value).replace("\u00a0", " ") for value in texts} == texts


def test_prose_keeps_numbers_whole_and_escapes_code():
    bound = "a\u00a0±\u00a0b, p\u00a0=\u00a01, NLL\u00a0↓\u00a0<code>&lt;x&gt;</code>"
    assert prose("a ± b, p = 1, NLL ↓ `<x>`") == bound
    assert prose("a ` b <") == "a ` b\u00a0&lt;"


def test_links_lead_out():
    sheet = FactTable("Runs", ("Run",), ((Link("<r>", "http://host/#/x?a=1&b=2"),),))
    (link,) = [a for a in Page(render("q", [], [Section("s", "S", (sheet,))])).all("a") if a["text"] == "<r>"]
    assert link["href"] == "http://host/#/x?a=1&b=2"
