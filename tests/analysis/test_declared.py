"""What was declared before any result is confirmatory; all else is not, and says so in a column."""

from __future__ import annotations

import pytest

from analysis import read
from tests.analysis.folders import make_folder

EARLY, FIRST, LATE = (f"2026-05-0{day}T08:00:00.000Z" for day in (1, 2, 3))
VALUES = {(x, y): [2.0 + i, 2.1 + i, 2.3 + i] for i, (x, y) in enumerate(["ax", "ay", "bx", "by", "cx", "cy"])}
B, C = {"compare": {"a": "b"}}, {"compare": {"a": "c"}}


def claim(better, words="it is better"):
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
    pairs, claims = when(tmp_path / "g", declaration(EARLY, primary=[B], expects=[claim("b")]))
    assert (set(pairs.values()), claims) == ({"beforehand"}, ["beforehand"])


def test_two_cells_that_another_grid_had_finished_are_compared_after_results(tmp_path):
    before = "2026-04-01T08:00:00.000Z"
    pairs, _ = when(tmp_path / "g", declaration(EARLY), first={"c-y": before, "a-x": before})
    assert {cell for cell, of in pairs.items() if of == "after results"} == {"c-y"}
    # A baseline alone shows no difference yet.
    pairs, claims = when(tmp_path / "h", declaration(EARLY, expects=[claim("b")]), first={"a-x": before})
    assert (set(pairs.values()), claims) == ({"beforehand"}, ["beforehand"])


def test_a_primary_that_is_added_or_taken_away_after_results(tmp_path):
    pairs, _ = when(tmp_path / "a", declaration(EARLY), declaration(LATE, primary=[B], seen=True))
    assert {cell for cell, of in pairs.items() if of == "after results"} == {"b-x"}
    # What is left has a larger share then.
    pairs, _ = when(tmp_path / "b", declaration(EARLY, primary=[B, C]), declaration(LATE, primary=[B], seen=True))
    assert set(pairs.values()) == {"after results"}


def test_claims_keep_the_time_of_their_hypothesis_whatever_its_words(tmp_path):
    first = declaration(EARLY, expects=[claim("b")])
    last = declaration(LATE, expects=[claim("b", "in other words"), claim("c")], seen=True)
    assert when(tmp_path / "g", first, last)[1] == ["beforehand", "after results"]


@pytest.mark.parametrize(("before", "after", "late"), [([B], [], False), ([], [B], True), ([B, C], [B], True)])
def test_primaries_that_change_after_results_change_the_share_of_claims(tmp_path, before, after, late):
    """Beside fewer comparisons, those of the list or those that are primary, a claim has more of the error rate."""
    first, last = (declaration(t, primary=of, expects=[claim("b")]) for t, of in ((EARLY, before), (LATE, after)))
    assert when(tmp_path / "g", first, last | {"seen": True})[1] == ["after results" if late else "beforehand"]


def test_times_that_are_not_known_are_not_said_to_be_later(tmp_path):
    pairs, _ = when(tmp_path / "g", declaration(EARLY), first={"a-x": ""})
    assert set(pairs.values()) == {"not recorded"}
