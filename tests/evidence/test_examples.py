"""The worked examples on the pages of statistics: every figure worked out by scipy, and every verdict by the rules."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.families import beaten_by, judge, near_best
from analysis.statistics.looks import Looks, follow
from evidence.committed_grid import CommittedGrid
from evidence.examples import INFERENCE, LOOKS
from evidence.freshness import COMMITTED

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"−?\d+\.\d+")
MATTERS = 0.01
NAMED = {"β": "beta", "β̃": "beta_tilde"}


def section(page: str) -> str:
    """The text of a page's example."""
    return (ROOT / page).read_text(encoding="utf-8").split("\n## An example\n")[1].split("\n## ")[0]


def plain(text: str) -> str:
    return " ".join(text.split())


def numbers(text: str) -> list[float]:
    return [float(number.replace("−", "-")) for number in NUMBER.findall(text)]


def standard_error(values: np.ndarray) -> float:
    return float(stats.sem(values))


@pytest.fixture(scope="module")
def cells() -> dict[str, np.ndarray]:
    """Three cells' values at three seeds, as the table of docs/statistics.md has them."""
    rows = {row[0]: numbers(row[1]) for row in re.findall(r"^\| ([ABC]) \|(.*)$", section("docs/statistics.md"), re.M)}
    for name, row in rows.items():
        assert row[3] == pytest.approx(np.mean(row[:3]))
        if name != "A":
            assert row[4:] == pytest.approx(np.subtract(row[:3], rows["A"][:3]))
    return {name: np.array(row[:3]) for name, row in rows.items()}


def test_the_example_of_a_family_is_worked_out_right(cells):
    told = plain(section("docs/statistics.md"))
    a, b, c = cells.values()
    error = standard_error(b - a)
    assert f"values have an SD of {a.std(ddof=1):.2f} over seeds" in told
    assert f"only {(b - a).std(ddof=1):.2f} about its mean of −{abs((b - a).mean()):.2f}" in told
    assert f"0.01/√3 = {error:.4f}." in told
    assert f"told apart: p = {stats.ttest_ind(a, b).pvalue:.2f}" in told
    test, other = (stats.ttest_rel(cell, a) for cell in (b, c))
    quantile = stats.t.ppf(0.975, 2)
    assert f"t = 0.10/{error:.4f} = {-test.statistic:.1f} with 2 degrees of freedom: p = {test.pvalue:.4f}" in told
    assert f"0.10 ± {quantile:.2f} · {error:.4f} = 0.10 ± {quantile * error:.3f}" in told
    assert f"For C, t is {other.statistic:.0f} and p = {other.pvalue:.2f}" in told
    q = [float(np.sum((cell - a) ** 2)) for cell in (b, c)]
    share = 1 / 8 + 3 / 4 * q[0] ** 2 / (q[0] ** 2 + q[1] ** 2)
    assert f"{q[0]:.4f} for B, {q[1]:.4f} for C" in told
    assert f"= {share:.3f} of it, and C the other {1 - share:.3f}" in told
    ratio = test.pvalue / share
    assert f"{test.pvalue:.4f}/{share:.3f} = {ratio:.4f} is less" in told
    assert f"p = {ratio:.4f}/¾ = {ratio / 0.75:.4f}, to be compared" in told
    assert ratio < 0.0375 < other.pvalue
    assert f"its interval, 0.01 ± {quantile * standard_error(c - a):.3f}," in told


def test_the_rules_say_the_same_of_the_example(cells):
    a, b, c = cells.values()
    found = judge([b - a, c - a], margins=MATTERS)
    assert [one.verdict(-1) for one in found] == ["better", "cannot tell"]
    assert f"= {found[0].different:.4f}, to be compared with 0.05" in plain(section("docs/statistics.md"))
    values = np.stack([a, b, c])
    assert [bool(rivals) for rivals in beaten_by(values, -1)] == [True, False, True]
    assert near_best(values, -1, MATTERS) == [False, True, False]


def test_the_example_of_a_number_is_the_committed_grids_and_worked_out_right():
    told = section("docs/numbers.md")
    with (COMMITTED / "variance" / "runs.csv").open(encoding="utf-8", newline="") as file:
        fids = {(row["variance"], int(row["seed"])): float(row["fid/train/digits-cnn"]) for row in csv.DictReader(file)}
    rows = {row[0]: numbers(row[1]) for row in re.findall(r"^\| (β|β̃|β / β̃) \|(.*)$", told, re.M)}
    values = {label: np.array([fids[name, seed] for seed in range(100, 105)]) for label, name in NAMED.items()}
    for label, of in values.items():
        half = stats.t.ppf(0.975, 4) * standard_error(of)
        assert rows[label] == [*of.round(2), round(of.mean(), 1), round(half, 1)]
    ratios = values["β"] / values["β̃"]
    assert rows["β / β̃"][:5] == list(ratios.round(2))
    assert CommittedGrid("variance").better("fid", "beta_tilde", "beta") in told
    logs, quantile, told = np.log(ratios), stats.t.ppf(0.975, 4), plain(told)
    spread = values["β"].std(ddof=1)
    assert f"a standard deviation of {spread:.2f}, so ± is {quantile:.2f} · {spread:.2f}/√5 = " in told
    assert f"have mean {logs.mean():.3f} and standard deviation {logs.std(ddof=1):.3f}" in told
    assert f"/√5 = {logs.mean():.3f} ± {quantile * standard_error(logs):.3f}." in told


def test_the_example_of_looks_is_worked_out_right_and_what_the_rules_say(cells):
    told = plain(LOOKS)
    first = [cells[name] - cells["A"] for name in "BC"]
    for values in first:
        assert ", ".join(f"{value:.2f}".replace("-", "−") for value in values) in told
    b, c = (np.append(values, new) for values, new in zip(first, ([-0.12, -0.09], [-0.03, 0.01]), strict=True))
    assert "B − A is −0.12 and −0.09 at the new ones" in told
    assert "C − A is −0.03 and 0.01" in told
    p = [[stats.ttest_1samp(values[:n], 0).pvalue for values in (b, c)] for n in (3, 5)]
    spent = [0.05 * 3**2 / 12**2, 0.05 * (5**2 - 3**2) / 12**2]
    assert f"p = {p[0][0]:.4f} by the paired t-test" in told
    assert f": p = {p[0][1]:.2f}. This look may spend 3²/12² of 5 %, or {100 * spent[0]:.2f} %" in told
    assert f"has half: {100 * spent[0] / 2:.2f} %" in told
    assert f"at the new ones: p = {p[1][0]:.5f}. This look may spend" in told
    assert f"or {100 * spent[1]:.2f} %, and half of that is {100 * spent[1] / 2:.2f} %" in told
    quantile, error = stats.t.ppf(1 - spent[1] / 4, 4), standard_error(b)
    assert f"{-b.mean():.3f} ± {quantile:.2f} · {error:.4f} = {-b.mean():.3f} ± {quantile * error:.3f}" in told
    assert f"p = {p[1][1]:.2f}, which is above ½" in told
    after = follow(Looks((3, 5, 8, 12)), 2, lambda n: [b[:n], c[:n]] if n < 8 else [None, None], margins=MATTERS)
    assert [(one.different, one.equal, one.dropped) for one in after] == [(5, None, None), (None, None, 5)]
    assert after[0].half_width == pytest.approx(quantile * error)
    assert f"{3 * 5} trainings, where 12 seeds of each cell are {3 * 12}" in told


def test_the_example_of_a_simulated_figure_is_worked_out_right():
    told, drawn = plain(INFERENCE), np.array([0.4, -0.7, 0.9])
    half = stats.t.ppf(0.975, 2) * standard_error(drawn)
    assert "comes out as 0.4, −0.7 and 0.9" in told
    assert f"The mean is {drawn.mean():.1f}, the SD {drawn.std(ddof=1):.2f}" in told
    assert f"{drawn.std(ddof=1):.2f}/√3 = {drawn.mean():.1f} ± {half:.2f}. It holds δ" in told
    assert abs(drawn.mean()) < half
    assert f"= {100 * np.sqrt(0.05 * 0.95 / 4000):.2f} %" in told


@pytest.mark.parametrize(("page", "example"), [("inference.md", INFERENCE), ("looks.md", LOOKS)])
def test_the_committed_pages_have_their_examples(page, example):
    assert example in (ROOT / "evidence" / page).read_text(encoding="utf-8")
