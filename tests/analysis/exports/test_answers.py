"""answers.json against its schema, its documentation, and what the table says."""

import json
import math
from pathlib import Path

import pytest
from scipy import stats

from analysis.errors import InputError
from analysis.exports import FILE, answers_json, read_answers, write_answers
from analysis.tables import table_of, write_tables
from tests.analysis.conftest import DIVERGED, FID, MEANS, NLL, PARTLY, REVERSED, SEEDS, answers_of
from tests.analysis.exports.page import page
from tests.sampling import sampled

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
COMMITTED = sorted(path.parent for path in ROOT.glob("results/committed/*/grid.json"))


def test_the_page_is_made_of_the_schema():
    assert page() == DOCS, "run python -m tests.analysis.exports.page > docs/answers.md"


@pytest.mark.parametrize("folder", sampled(COMMITTED, 4), ids=lambda folder: folder.name)
def test_what_is_written_of_committed_grids_is_of_the_schema(folder, tmp_path):
    write_answers(answers_of(folder), tmp_path)
    found = read_answers(tmp_path / FILE)
    told = {"round": None} | json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert told == json.loads(found.model_dump_json())
    assert found.grid == folder.name
    n = len(found.cells)
    pairs = [i for pair in found.comparisons for i in (pair.a, pair.b)]
    fronts = [i for front in found.fronts for i in front.cells]
    assert all(0 <= i < n for i in [*pairs, *(one.cell for one in found.estimates), *fronts])
    assert len(found.estimates) == n * len(found.metrics)
    assert all(len(cost.means) == n for cost in found.costs)


@pytest.fixture(scope="module")
def answers(shared_folder):
    return answers_of(shared_folder)


@pytest.fixture(scope="module")
def told(answers):
    return answers_json(answers)


def test_estimates_are_those_that_were_planted(told):
    for levels, (nll, fid, _) in MEANS.items():
        if levels in (DIVERGED, PARTLY):
            continue
        (i,) = [i for i, cell in enumerate(told["cells"]) if tuple(cell["levels"].values()) == levels]
        (of_nll,) = [one for one in told["estimates"] if (one["metric"], one["cell"]) == (NLL, i)]
        assert (of_nll["mean"], of_nll["n"]) == (pytest.approx(nll), len(SEEDS))
        assert of_nll["half_width"] == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6)
        assert sorted(of_nll["seeds"].values()) == pytest.approx([nll - 0.02, nll, nll + 0.02])
        (of_fid,) = [one for one in told["estimates"] if (one["metric"], one["cell"]) == (FID, i)]
        assert of_fid["mean"] == pytest.approx(fid)


def test_how_runs_ended_is_counted(told):
    ended = {tuple(cell["levels"].values()): cell["runs"] for cell in told["cells"]}
    assert ended[DIVERGED] == {"diverged": 3}
    assert ended[PARTLY] == {"diverged": 1, "finished": 2}
    lost = "diverged in 3 of 3 seeds (the loss was not finite at step 120)"
    assert [cell["shortfall"] for cell in told["cells"] if tuple(cell["levels"].values()) == DIVERGED] == [lost]
    (none,) = [one for one in told["estimates"] if one["metric"] == NLL and one["n"] == 0]
    assert (none["mean"], none["half_width"], none["seeds"]) == (None, None, {})


def test_sentences_and_bold_are_those_of_the_table(answers, told):
    assert [one["sentence"] for one in (*told["headlines"], *told["claims"])] == list(table_of(answers).sentences)
    entries = [entry for row in table_of(answers).rows for entry in row.entries]
    marked = [sum(entry.bold for entry in entries), sum(entry.open for entry in entries)]
    assert sum(marked) == sum(one["may_be_best"] for one in told["estimates"]) > 0
    assert marked[0] >= len(told["headlines"])
    for one in told["headlines"]:
        assert one["best"] in one["leaders"]
        leading = [e["cell"] for e in told["estimates"] if e["metric"] == one["metric"] and e["may_be_best"]]
        assert leading == one["leaders"]


def test_comparisons_by_hand(told):
    """MSE at ε-weight 1 for μ̃ has its seeds reversed: less the baseline: 0.01 + 0.04, 0.01, 0.01 − 0.04."""
    places = {tuple(cell["levels"].values()): i for i, cell in enumerate(told["cells"])}
    assert told["baseline"] == places["epsilon", "simple"]
    (pair,) = [one for one in told["comparisons"] if (one["metric"], one["a"]) == (NLL, places[REVERSED])]
    assert pair["b"] == told["baseline"]
    assert pair["difference"] == pytest.approx(0.01)
    assert pair["half_width"] == pytest.approx(4.302653 * 0.04 / math.sqrt(3), rel=1e-6)
    assert pair["p"] == pytest.approx(stats.ttest_1samp([0.05, 0.01, -0.03], 0).pvalue, rel=1e-6)
    assert (pair["verdict"], pair["n"]) == ("cannot tell", 3)
    assert pair["p"] <= pair["adjusted_p"] <= 1


def test_a_file_is_what_the_grid_gives_and_has_no_nan(answers, shared_folder, tmp_path):
    write_tables(answers, tmp_path)
    text = (tmp_path / FILE).read_text(encoding="utf-8")
    assert json.loads(text) == answers_json(answers_of(shared_folder))
    assert "NaN" not in text
    assert "Infinity" not in text


@pytest.mark.parametrize(
    ("change", "said"), [({"version": 1}, "version is 1, and this code reads 3"), ({"cells": [{}]}, "cells.0")]
)
def test_a_file_of_another_schema_is_refused_in_one_line(tmp_path, answers, change, said):
    write_answers(answers, tmp_path)
    path = tmp_path / FILE
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(InputError, match=said) as refused:
        read_answers(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="is missing"):
        read_answers(tmp_path / "nowhere.json")
