"""Sentences against values worked out by hand."""

import math

import pytest
from scipy import stats

from analysis import words
from analysis.grid_json import MetricInfo
from tests.analysis.small import FID, NLL, small

# The example of docs/statistics.md.
A, B, C = [2.50, 2.57, 2.43], [2.41, 2.46, 2.33], [2.49, 2.59, 2.45]


def sentences(analysis):
    rows = analysis.comparisons[analysis.comparisons["kind"] == "comparison"].to_dict("records")
    return [words.comparison_sentence(analysis, row).replace(", exploratory", "") for row in rows]


def nll(tmp_path, cells, **more):
    return small(tmp_path / "g", {name: {NLL: values} for name, values in cells.items()}, **more)


def test_two_cells_that_cannot_be_told_apart_and_the_seeds_that_would(tmp_path):
    """A − C is 0.01, −0.02, −0.02: a mean of −0.01, an SD of √(0.0006/2), and (2.8 · 0.0173/0.01)² = 23.5."""
    p = stats.ttest_rel(A, C).pvalue / 0.75
    assert f"{p:.2f}" == "0.56"
    assert sentences(nll(tmp_path, {"A": A, "C": C})) == [
        "NLL: cannot tell A from C at this budget: the former looks better by 0.01 ± 0.04 bits/dim (p = 0.56); roughly "
        "24 seeds would show a difference of this size."
    ]
    row = {"difference": 0.1, "sd": 0.1, "n": 3}
    assert words.seeds_needed(row, 60.0) == [
        "roughly 8 seeds would show a difference of this size (5.0 min more of computing)"
    ]
    # (2.8 · 0.02/δ)² is 0.31 and 3136.
    assert words.seeds_needed({"difference": 0.1, "sd": 0.02, "n": 3}) == []
    assert words.seeds_needed({"difference": 0.001, "sd": 0.02, "n": 3})[0].startswith("more than 1000 seeds")


def test_equal_within_the_margin_and_the_same_value(tmp_path):
    near = [x + d for x, d in zip(A, (0.0001, 0.0002, 0.0003), strict=True)]
    found = sentences(nll(tmp_path, {"A": near, "B": A, "C": A}))
    start = "NLL: A and B are equal for practical purposes: they differ by 0.000 ± <0.001 bits/dim (p"
    assert found[0].startswith(start)
    assert found[0].endswith(", and less than 0.01 bits/dim does not matter.")
    assert found[2] == "NLL: B and C have the same value at every seed."


def test_one_seed_and_a_preliminary_round(tmp_path):
    now = {"number": 1, "of": 2, "seeds": 2, "preliminary": True, "finished": 4, "trainings": 6}
    one = nll(tmp_path / "one", {"A": [2.5], "B": [2.4]})
    assert sentences(one) == ["NLL: cannot tell A from B: fewer than two seeds finished both."]
    assert words.answers(one) == ["NLL: B has the best value, 2.40 bits/dim, of one seed: no verdict."]
    assert words.setting(one).endswith("One seed, so no interval is known and none is marked.")
    early = nll(tmp_path / "early", {"A": A, "B": B}, round=now)
    assert sentences(early)[0].startswith("NLL: A is above B by 0.10 ± 0.13 bits/dim.")
    assert words.banner(early) == "Preliminary: 2 of 3 seeds; no verdict yet."
    assert words.answers(early) == ["B leads in NLL: 2.44 ± 0.32 bits/dim."]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"A": A, "B": B}, "B is the best of 2, 2.40 ± 0.16 bits/dim. 1 of 2 cells has a worse mean than a histogram "),
        ({"A": A, "C": C}, "not known to be better, at this budget, than C. Every cell is worse than a histogram per "),
        ({"B": B, "D": B}, "2.40 ± 0.16 bits/dim of all 2 cells, the same at every seed."),
        ({"B": B, "D": [x + 1e-9 * x**9 for x in B]}, "(worse by no more than 0.01 bits/dim): D."),
        ({"B": B, "A": A, "E": [2.0]}, "is the best of 2, 2.40 ± 0.16 bits/dim; of fewer than two seeds, and so not "),
        ({"A": [x + 2 for x in A]}, "It is worse than a uniform code (4.00 bits/dim): it was trained too little, or "),
    ],
)
def test_the_cell_to_take(cells, told, tmp_path):
    codes = [{"label": "uniform code", "value": 4.0}, {"label": "histogram per pixel", "value": 2.45}]
    (answer,) = words.answers(nll(tmp_path, cells, baselines={NLL: codes}))
    assert answer.startswith("NLL")
    assert told in answer


B_BETTER = {"better": {"cell": "B"}, "than": {"cell": "A"}}
A_BETTER = {"better": {"cell": "A"}, "than": {"cell": "B"}}


@pytest.mark.parametrize(
    ("claim", "outcome", "told"),
    [
        (B_BETTER, "as published", "NLL differs by −0.10 ± 0.02 bits/dim, p = 0.0044"),
        (A_BETTER, "contrary", "NLL differs by 0.10 ± 0.02 bits/dim, p = 0.0044"),
        # Half of B's mean, 2.4.
        (A_BETTER | {"within": 0.5}, "as published", "NLL differs by 0.10 ± 0.02 bits/dim, margin 1.20 bits/dim, p"),
        (A_BETTER | {"metric": "fid"}, "not tested", "fid was not measured"),
    ],
)
def test_papers_claims(claim, outcome, told, tmp_path):
    said = {"claim": "A has a better NLL", "source": "A paper, Table 1", "metric": "nll"} | claim
    analysis = nll(tmp_path, {"A": A, "B": B}, expects=[said])
    (row,) = analysis.comparisons.query("kind == 'claim'").to_dict("records")
    assert row["outcome"] == outcome
    assert words.claimed_difference(analysis, row).startswith(told)


def test_a_factor_has_the_decimals_that_tell_it_from_its_ends():
    """1.001 differs from the ends of its interval at the third decimal only."""
    fid = MetricInfo(name=FID, label="FID", direction="min", scale="log")
    assert words.size(fid, math.log(1.5)) == "a factor of 1.50"
    assert words.size(fid, math.log(1.001), 0.0005) == "a factor of 1.001 (1.000 to 1.002)"
    assert words.size(fid, math.log(4e6), math.log(2)) == "a factor of 4.00·10⁶ (2.00·10⁶ to 8.00·10⁶)"
