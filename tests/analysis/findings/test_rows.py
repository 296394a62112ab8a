"""Answers within rows: cells of equal steps, of which each has an answer of its own."""

import json
import string

import numpy as np
import pandas as pd
import pytest

from analysis.exports import answers_json
from analysis.findings.answers import Answers
from analysis.grid_json import parse_meta
from analysis.read.runs import GridResults
from analysis.report.page import Answer, Details, FactTable, Text
from analysis.report.verdict import verdict
from analysis.schema import CURVES
from analysis.statistics.families import beaten_by
from analysis.tables import render, table_of, terminal_table
from analysis.words.rows import row_choices, row_table
from tests.analysis.conftest import FID, IS, NLL, axis_of, meta, run_of

# (variance, steps) → NLL by seed: β̃ is better with 5 steps, β with 10; the analytic variance shares β's values with 10.
VALUES = {
    ("beta", "5"): [4.00, 4.02, 4.01],
    ("tilde", "5"): [3.50, 3.53, 3.51],
    ("analytic", "5"): [3.51, 3.52, 3.53],
    ("beta", "10"): [2.00, 2.02, 2.01],
    ("tilde", "10"): [2.50, 2.53, 2.51],
    ("analytic", "10"): [2.00, 2.02, 2.01],
}
DECLARED = [{"compare": {"variance": name}, "at": {"steps": ["5", "10"]}} for name in ("tilde", "analytic")]


def grid_of(values=VALUES, **changes):
    """A grid of two axes, a row per cell and seed; FID is a function of the steps alone."""
    names = {axis: list(dict.fromkeys(levels[i] for levels in values)) for i, axis in enumerate(("variance", "steps"))}
    ids = {"-".join(levels): dict(zip(names, levels, strict=True)) for levels in values}
    described = meta(
        axes=[axis_of("variance", "Variance", names["variance"]), axis_of("steps", "Steps", names["steps"])],
        layout="general",
        seeds=list(range(len(next(iter(values.values()))))),
        **{"primary": DECLARED, "cells": ids, "baseline": {"variance": "beta", "steps": "10"}} | changes,
    )
    rows = [
        run_of("-".join(levels), seed, training_id="one")
        | {
            "axis.variance": levels[0],
            "axis.steps": levels[1],
            NLL: nll,
            FID: 100 / int(levels[1]) + seed,
            IS: 20 - nll,
        }
        for levels, by_seed in values.items()
        for seed, nll in enumerate(by_seed)
    ]
    known = parse_meta(json.dumps(described), "here")
    return GridResults(known, pd.DataFrame(rows), None, lambda: pd.DataFrame(columns=CURVES), pd.DataFrame)


def names(answer, which):
    return [answer.cells[i].levels[0] for i in which]


def test_each_row_has_its_own_best_and_its_own_tests():
    answers = Answers.of(grid_of())
    nll = answers.findings[0]
    assert [row.levels for row in nll.rows] == [{"steps": "5"}, {"steps": "10"}]
    five, ten = (row.answer for row in nll.rows)
    assert [names(five, [five.best]), names(five, five.leading)] == [["tilde"], ["tilde", "analytic"]]
    assert [names(ten, [ten.best]), names(ten, ten.as_good)] == [["beta"], ["analytic"]]
    # Of the whole grid none with 5 steps may be the best; of its row by the rule of all pairs of the row alone.
    assert {nll.cells[i].levels[1] for i in nll.leading} == {"10"}
    of_row = np.array([by_seed for levels, by_seed in VALUES.items() if levels[1] == "5"])
    assert [not better for better in beaten_by(of_row, -1)] == [i in five.leading for i in range(3)]


def test_what_is_not_declared_is_compared_within_rows_too():
    more = {**VALUES, ("learned", "5"): [3.9, 3.8, 3.7], ("learned", "10"): [2.9, 2.8, 2.7]}
    pairs = Answers.of(grid_of(more)).findings[0].pairs
    others = [(pair.a.levels, pair.b.levels) for pair in pairs if not pair.primary]
    assert others == [(("learned", "5"), ("beta", "5")), (("learned", "10"), ("beta", "10"))]


def test_marks_of_the_table_are_of_rows():
    table = table_of(Answers.of(grid_of()))
    marked = {row.stub[:2]: (row.entries[0].bold, row.entries[0].open) for row in table.rows if row.kind == "cell"}
    assert marked["tilde", "5"] == (True, False)
    assert marked["analytic", "5"] == (False, True)
    assert marked["beta", "5"] == (False, False)
    assert "Marks compare cells with the same Steps." in table.caption


def test_a_line_for_each_row_stands_above_the_table():
    answers = Answers.of(grid_of())
    found = row_table(answers.findings[0], answers.axes)
    assert found.head == ("Steps", "Best mean", "Ahead of the next by (not adjusted)", "As good", "Cannot be ruled out")
    assert [line[0] for line in found.lines] == ["5", "10"]
    assert row_choices(answers.findings[0], answers.axes) == "tilde at 5; beta at 10"
    assert found.lines[0][1].startswith("tilde (3.51 ± ")
    # 0.01, −0.01 and 0.02: a mean of 0.0067, and t₀.₉₇₅ of two degrees of freedom, 4.303, times 0.0153/√3.
    assert found.lines[0][2:] == ("0.01 ± 0.04 bits/dim over analytic", "", "analytic")
    assert found.lines[1][2:] == ("the same at every seed as analytic", "analytic", "")
    page = render(answers, "markdown")
    assert page.index("| 5 | tilde (3.51") < page.index("Data: digits")
    assert "FID: cells of the same Steps have the same value at every seed." in page
    assert "Steps 5: tilde (3.51" in terminal_table(answers)


def test_answers_json_has_the_rows_with_places_in_the_grid():
    told = answers_json(Answers.of(grid_of()))
    rows = [row for row in told["rows"] if row["metric"] == NLL]
    levels = [cell["levels"] for cell in told["cells"]]
    for row in rows:
        assert [levels[i]["steps"] for i in row["cells"]] == [row["levels"]["steps"]] * 3
        assert row["best"] in row["leaders"]
    assert levels[rows[0]["best"]] == {"variance": "tilde", "steps": "5"}
    assert levels[rows[1]["best"]] == {"variance": "beta", "steps": "10"}
    assert Answers.of(grid_of(primary=[])).findings[0].rows == []


def test_one_seed_and_a_preliminary_round_name_the_best_value_without_a_verdict():
    single = Answers.of(grid_of({levels: by_seed[:1] for levels, by_seed in VALUES.items()}))
    assert row_table(single.findings[0], single.axes).head == ("Steps", "Best value, of one seed")


@pytest.mark.parametrize("seed", range(40))
def test_at_most_seven_sentences_stand_before_the_table(seed):
    """Of random grids, with and without rows, on the report and in table.md."""
    rng = np.random.default_rng(seed)
    variances, steps = [f"v{i}" for i in range(rng.integers(2, 8))], [str(5 * i) for i in range(1, rng.integers(2, 6))]
    n, high = int(rng.integers(1, 4)), float(rng.choice([1.0, 9.0]))
    values = {(v, s): list(high + rng.random() + 0.1 * rng.random(n)) for s in steps for v in variances}
    declared = (
        [{"compare": {"variance": v}, "at": {"steps": steps}} for v in variances[1:]] if rng.random() < 0.6 else []
    )
    changes = {"primary": declared, "continued": bool(rng.random() < 0.5)}
    if rng.random() < 0.5:
        more = {"name": IS, "label": "IS", "direction": "max", "decides": "samples", "decimals": 2}
        changes["metrics"] = [*meta()["metrics"][:2], more]
    answers = Answers.of(grid_of(values, **changes | {"baseline": {"variance": "v0", "steps": steps[-1]}}))
    table = table_of(answers)
    above = [table.question, *table.answered, *(rows.caption for rows in table.by_row)]
    assert said(above) <= 7
    below = render(answers, "markdown").split("Data: digits")[1]
    assert below.count("\n- ") <= 12 + len(answers.claims) + sum(len(answer.parts) for answer in answers.findings) + 1
    before = []
    for block in verdict(answers).blocks:
        if isinstance(block, Answer):
            before += [f"{block.take} {block.choice}{block.rest}", *block.why]
        elif isinstance(block, Text):
            before.append(block.text)
        elif isinstance(block, FactTable):
            before.append(block.caption)
        else:
            assert isinstance(block, Details)
    assert 1 <= said(before) <= 7


def said(texts):
    """The sentences of texts: one more than a text has ends that are followed by a capital letter."""
    ends = (f"{end} {letter}" for end in ".?!" for letter in string.ascii_uppercase)
    return len(texts) + sum(text.count(end) for end in ends for text in texts)
