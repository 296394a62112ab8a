"""Comparisons and papers' claims of hand-made grids: which pairs, in which family, with which verdict.

What was declared before any result is confirmatory; all else is not, and says so in a column.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import read
from tests.analysis.folders import COUNT, FID, make_folder

A, B = [2.50, 2.57, 2.43], [2.41, 2.46, 2.33]
GRID = {(x, y): [2.0 + i + 0.1 * s * (i + 1) for s in range(3)] for i, (x, y) in enumerate(["ax", "ay", "bx", "by"])}
FIDS = {
    ("linear", "10"): [40.0, 42.0, 41.0, 43.0],
    ("linear", "100"): [20.0, 21.0, 19.5, 20.5],
    ("cosine", "10"): [30.0, 31.0, 32.0, 29.0],
    ("cosine", "100"): [20.1, 20.8, 19.6, 20.4],
}
LINEAR, COSINE = ({y: np.log(FIDS[a, y]) for y in ("10", "100")} for a in ("linear", "cosine"))


def compared(path, values, **more):
    """The frame of a hand-made folder below this path."""
    return read(make_folder(path / str(len(list(path.iterdir()))), values, **more)).comparisons


def only(*given_, **more):
    """The only row."""
    (row,) = compared(*given_, **more).itertuples()
    return row


def claim(better, than, y="10", metric="fid", **more):
    """One level of the first axis is better than another at a level of the second, or over all its levels."""
    sides = {"better": {"a": better}, "than": {"a": than}}
    sides = {side: levels | ({"b": y} if y else {}) for side, levels in sides.items()}
    return {"claim": "it is better", "source": "A paper", "metric": metric} | sides | more


def claimed(path, *claims, values=FIDS):
    frame = compared(path, values, metrics=(FID,), expects=list(claims))
    return frame[frame["kind"] == "claim"].sort_values("claim")


def test_which_pairs(tmp_path):
    def pairs(values, **more):
        return [(row.a, row.b, row.primary) for row in compared(tmp_path, values, **more).itertuples()]

    # Every pair of a short axis, else every cell with the baseline.
    short, long = ({name: [2.0 + i, 2.1 + i] for i, name in enumerate(names)} for names in ("pqr", "pqrstuv"))
    assert pairs(short) == [("p", "q", True), ("p", "r", True), ("q", "r", True)]
    assert pairs(long, baseline={"a": "q"}) == [(name, "q", True) for name in "prstuv"]
    assert pairs(GRID, baseline={"a": "b", "b": "y"}) == [(cell, "b-y", True) for cell in ("a-x", "a-y", "b-x")]
    # Primary ones first, and others with the baseline after them; within rows, where all primary ones are.
    found = pairs(GRID, primary=[{"compare": {"a": "b"}, "at": {"b": ["y"]}}])
    assert found == [("b-y", "a-y", True), ("a-y", "a-x", False), ("b-x", "a-x", False), ("b-y", "a-x", False)]
    found = pairs(GRID, primary=[{"compare": {"a": "b"}, "at": {"b": ["x", "y"]}}])
    assert found == [("b-x", "a-x", True), ("b-y", "a-y", True)]


def test_two_cells_are_a_paired_t_test_on_the_metrics_scale(tmp_path):
    known = stats.ttest_rel(A, B)
    row = only(tmp_path, {"a": A, "b": B})
    assert (row.difference, row.p, row.p_adjusted) == pytest.approx((0.1, known.pvalue, known.pvalue))
    assert row.half_width == pytest.approx(np.diff(known.confidence_interval())[0] / 2)
    assert (row.verdict, row.n, row.sd) == ("worse", 3, pytest.approx(0.01))
    row = only(tmp_path, {"a": [40.0, 41.0, 43.0], "b": [30.0, 31.0, 32.0]}, metrics=(FID,))
    assert row.p == pytest.approx(stats.ttest_rel(np.log([40, 41, 43]), np.log([30, 31, 32])).pvalue)
    assert math.exp(row.difference) == pytest.approx((40 / 30 * 41 / 31 * 43 / 32) ** (1 / 3))


def test_equal_within_the_margin_comes_before_a_difference(tmp_path):
    for margin, verdict in ((0.5, "equal"), (0.05, "worse"), (0.11, "worse")):
        row = only(tmp_path, {"a": A, "b": B}, relevant={"nll": margin})
        assert (row.verdict, row.margin) == (verdict, margin)
        assert row.p_adjusted == pytest.approx(stats.ttest_rel(A, B).pvalue / 0.75)
        one_sided = stats.ttest_1samp(np.subtract(A, B), margin, alternative="less").pvalue
        assert row.p_equal == pytest.approx(min(one_sided / 0.25, 1))


def test_equal_counts_prove_no_equality(tmp_path):
    """One more at each of three seeds: the variance of a mean difference is at least 1/18."""
    row = only(tmp_path, {"a": [2, 3, 2], "b": [3, 4, 3]}, metrics=(COUNT,), relevant={"modes": 1.5})
    assert row.p == pytest.approx(2 * stats.t.sf(math.sqrt(18), 2))
    assert row.p_equal == pytest.approx(4 * stats.t.sf(0.5 * math.sqrt(18), 2))


def test_one_seed_and_equal_values_have_no_verdict(tmp_path):
    row = only(tmp_path, {"a": [2.5], "b": [2.4]})
    assert (row.verdict, row.n) == ("cannot tell", 1)
    assert np.isnan([row.p, row.half_width, row.p_adjusted]).all()
    row = only(tmp_path, {"a": A, "b": A}, relevant={"nll": 0.01})
    assert (row.verdict, row.difference) == ("cannot tell", 0)
    assert np.isnan([row.p_adjusted, row.p_equal]).all()
    assert compared(tmp_path, {"a": [2.5, None], "b": [None, 2.4]}).empty


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.permutations(range(12)))
def test_no_verdict_depends_on_the_order_of_rows(tmp_path_factory, order):
    values, said = {levels: of[:3] for levels, of in FIDS.items()}, [claim("cosine", "linear", None)]
    path = tmp_path_factory.mktemp("order")
    plain = read(make_folder(path, values, metrics=(FID,), relevant={"fid": 0.05}, expects=said))
    plain = plain.comparisons, plain.cells
    head, *rows = (path / "runs.csv").read_text().splitlines()
    (path / "runs.csv").write_text("\n".join([head, *(rows[i] for i in order)]) + "\n")
    pd.testing.assert_frame_equal(read(path).comparisons, plain[0])
    pd.testing.assert_frame_equal(read(path).cells, plain[1])


def test_a_claim_is_as_published_contrary_or_open(tmp_path):
    said = [claim("cosine", "linear"), claim("linear", "cosine"), claim("cosine", "linear", "100")]
    found = claimed(tmp_path, *said)
    assert found["outcome"].tolist() == ["as published", "contrary", "cannot tell"]
    assert found["verdict"].tolist() == ["better", "worse", "cannot tell"]
    assert found[["a", "b"]].iloc[1].tolist() == ["linear-10", "cosine-10"]
    assert found["difference"].iloc[0] == pytest.approx((COSINE["10"] - LINEAR["10"]).mean())


def test_a_claim_of_equality_is_two_one_sided_tests_and_contrary_only_beyond_its_share(tmp_path):
    d = COSINE["100"] - LINEAR["100"]
    for within, outcome in ((0.06, "as published"), (0.008, "cannot tell")):
        (row,) = claimed(tmp_path, claim("cosine", "linear", "100", within=within)).itertuples()
        sides = ((math.log(1 + within), "less"), (-math.log(1 + within), "greater"))
        p = max(stats.ttest_1samp(d, margin, alternative=side).pvalue for margin, side in sides)
        assert row.p_equal == pytest.approx(min(p / 0.25, 1))
        assert row.outcome == outcome
    found = claimed(tmp_path, claim("cosine", "linear", within=0.05), claim("cosine", "linear", within=0.33))
    assert found["outcome"].tolist() == ["contrary", "cannot tell"]
    same = {levels: [40.0, 42.0] for levels in FIDS}
    assert claimed(tmp_path, claim("cosine", "linear", within=0.01), values=same)["outcome"].item() == "as published"


def test_what_was_not_measured_or_did_not_finish_is_not_tested(tmp_path):
    few = "fewer than two seeds finished its cells"
    lost = FIDS | {("cosine", "10"): [None] * 4}
    said = [claim("cosine", "linear", metric="kid"), claim("cosine", "linear"), claim("cosine", "none")]
    found = claimed(tmp_path, *said, values=lost)
    assert found["untested"].tolist() == ["kid was not measured", few, few]
    assert found[["outcome", "n"]].drop_duplicates().to_numpy().tolist() == [["not tested", 0]]


P, Q = [2.50, 2.57, 2.43, 2.5, 2.5], [2.41, 2.46, 2.33, 2.38, 2.41]


def grown(path, values, *claims, **more):
    """A grid with looks at 3 and 5 seeds."""
    stopped = {"-".join(levels) if isinstance(levels, tuple) else levels: len(of) for levels, of in values.items()}
    auto = {"looks": [3, 5], "stopped": stopped}
    return compared(path, values, auto=auto, seeds=[0, 1, 2, 3, 4], expects=list(claims), **more)


def test_claims_beside_the_looks_have_a_fifth_of_alpha_and_the_looks_four(tmp_path):
    """A comparison whose p lies between four fifths of its level and all of it is settled where no claim is beside."""
    noise = np.array([0.0, 0.1, -0.1, 0.05, -0.05])
    apart = 1 + noise + stats.t.isf(0.9 * 0.05 * 16 / 25 / 2, 4) * stats.sem(noise)
    up, down = [3.0, 3.1, 3.2], [2.0, 2.2, 2.3]
    values = {("p", "x"): [1.0] * 5, ("q", "x"): apart.tolist(), ("p", "y"): up, ("q", "y"): down}
    primary = [{"compare": {"a": "q"}, "at": {"b": ["x"]}}]
    listed, other = claim("p", "q", "x", "nll"), claim("q", "p", "y", "nll")
    alone = grown(tmp_path, values, listed, primary=primary)
    assert (alone["verdict"].tolist(), alone["outcome"].tolist()) == (["worse", "better"], ["", "as published"])
    beside = grown(tmp_path, values, listed, other, primary=primary)
    assert beside["verdict"].tolist()[:2] == ["cannot tell"] * 2
    assert beside["p_adjusted"].iloc[2] == pytest.approx(stats.ttest_rel(down, up).pvalue / 0.2)
    # Half of a listed difference, since cells are equal at y, is a hypothesis beside the list.
    half = grown(tmp_path, values | {("q", "y"): up}, claim("p", "q", None, "nll"), primary=primary)
    assert half["verdict"].tolist() == ["cannot tell"] * 2


def test_a_claim_of_equality_about_a_listed_pair_is_tested_beside_it_at_the_first_look(tmp_path):
    d, every = np.subtract(Q, P)[:3], np.subtract(Q, P)
    near, far = (stats.t.isf(level, 2) * stats.sem(d) for level in (0.01 / 4, 0.01 * 3 / 4 / 2))
    for by, outcome in ((near + 1e-6, "as published"), (near - 1e-6, "cannot tell"), (-far - 1e-6, "contrary")):
        said = claim("q", "p", None, "nll", within=(abs(d.mean()) + by) / np.mean(P[:3]))
        frame = grown(tmp_path, {"p": P, "q": Q}, said)
        assert frame["outcome"].tolist()[1:] == [outcome]
        assert frame["half_width"].iloc[0] == pytest.approx(stats.t.isf(0.04 * 16 / 25 / 2, 4) * stats.sem(every))


EARLY, FIRST, LATE = (f"2026-05-0{day}T08:00:00.000Z" for day in (1, 2, 3))
VALUES = {(x, y): [2.0 + i, 2.1 + i, 2.3 + i] for i, (x, y) in enumerate(["ax", "ay", "bx", "by", "cx", "cy"])}
PAIR_B, PAIR_C = {"compare": {"a": "b"}}, {"compare": {"a": "c"}}


def stated(better, words="it is better"):
    levels = [{"a": better, "b": "x"}, {"a": "a"}]
    return {"claim": words, "source": "a paper", "metric": "nll", "better": levels[0], "than": levels[1]}


def declaration(time, *, primary=(), expects=(), seen=False):
    base = {"a": "a", "b": "x"}
    return {"time": time, "seen": seen, "baseline": base, "primary": list(primary), "expects": list(expects)}


def when(path, *declarations, first=None):
    """The time of each comparison by its first cell, and of the claims; a cell's first result is FIRST unless said."""
    last = declarations[-1] if declarations else declaration(None)
    times = first or {}
    folder = make_folder(
        path,
        VALUES,
        change=lambda row: row | {"first_result": times.get(row["cell_id"], FIRST)},
        declarations=list(declarations),
        **{key: last[key] for key in ("baseline", "primary", "expects")},
    )
    frame = read(folder).comparisons
    pairs = frame[frame["kind"] == "comparison"].set_index("a")["declared"].to_dict()
    return pairs, frame[frame["kind"] == "claim"].sort_values("claim")["declared"].tolist()


def test_without_a_record_all_is_exploratory(tmp_path):
    pairs, _ = when(tmp_path / "g")
    assert set(pairs.values()) == {"not recorded"}


def test_what_was_declared_before_any_result_is_confirmatory(tmp_path):
    pairs, claims = when(tmp_path / "g", declaration(EARLY, primary=[PAIR_B], expects=[stated("b")]))
    assert (set(pairs.values()), claims) == ({"beforehand"}, ["beforehand"])


def test_two_cells_that_another_grid_had_finished_are_compared_after_results(tmp_path):
    before = "2026-04-01T08:00:00.000Z"
    pairs, _ = when(tmp_path / "g", declaration(EARLY), first={"c-y": before, "a-x": before})
    assert {cell for cell, of in pairs.items() if of == "after results"} == {"c-y"}
    # A baseline alone shows no difference yet.
    pairs, claims = when(tmp_path / "h", declaration(EARLY, expects=[stated("b")]), first={"a-x": before})
    assert (set(pairs.values()), claims) == ({"beforehand"}, ["beforehand"])


def test_a_primary_that_is_added_or_taken_away_after_results(tmp_path):
    pairs, _ = when(tmp_path / "a", declaration(EARLY), declaration(LATE, primary=[PAIR_B], seen=True))
    assert {cell for cell, of in pairs.items() if of == "after results"} == {"b-x"}
    # What is left has a larger share then.
    pairs, _ = when(
        tmp_path / "b", declaration(EARLY, primary=[PAIR_B, PAIR_C]), declaration(LATE, primary=[PAIR_B], seen=True)
    )
    assert set(pairs.values()) == {"after results"}


def test_claims_keep_the_time_of_their_hypothesis_whatever_its_words(tmp_path):
    first = declaration(EARLY, expects=[stated("b")])
    last = declaration(LATE, expects=[stated("b", "in other words"), stated("c")], seen=True)
    assert when(tmp_path / "g", first, last)[1] == ["beforehand", "after results"]


@pytest.mark.parametrize(
    ("before", "after", "late"), [([PAIR_B], [], False), ([], [PAIR_B], True), ([PAIR_B, PAIR_C], [PAIR_B], True)]
)
def test_primaries_that_change_after_results_change_the_share_of_claims(tmp_path, before, after, late):
    """Beside fewer comparisons, those of the list or those that are primary, a claim has more of the error rate."""
    first, last = (declaration(t, primary=of, expects=[stated("b")]) for t, of in ((EARLY, before), (LATE, after)))
    assert when(tmp_path / "g", first, last | {"seen": True})[1] == ["after results" if late else "beforehand"]


def test_times_that_are_not_known_are_not_said_to_be_later(tmp_path):
    pairs, _ = when(tmp_path / "g", declaration(EARLY), first={"a-x": ""})
    assert set(pairs.values()) == {"not recorded"}
