"""What was declared before any result is confirmatory, and all else says why it is not."""

import pytest

from analysis.tables import table_of
from tests.analysis.conftest import FID, NLL, answers_of, build, rows

BASE = {"parameterization": "epsilon", "loss": "simple"}
EARLY, FIRST, LATE = (f"2026-05-0{day}T08:00:00.000Z" for day in (1, 2, 3))
X0 = {"compare": {"parameterization": "x0"}}
MU = {"compare": {"parameterization": "mu", "loss": "vlb_fixed"}}
CELLS = {
    cell: dict(zip(("parameterization", "loss"), cell.split("-"), strict=True))
    for cell in dict.fromkeys(row["cell_id"] for row in rows())
}


def claim(better, words="x₀ is better"):
    return {
        "claim": words,
        "source": "a paper",
        "metric": "fid",
        "better": {"parameterization": better, "loss": "simple"},
        "than": {"parameterization": "epsilon"},
    }


def declaration(time, *, primary=(), expects=(), seen=False):
    return {"time": time, "seen": seen, "baseline": BASE, "primary": list(primary), "expects": list(expects)}


def grid_of(folder, *declarations, first=lambda cell: FIRST):
    """The answers of a grid whose file says what was declared last, and whose runs had their first result then."""
    table = [row | {"first_result": first(row["cell_id"])} for row in rows()]
    last = declarations[-1] if declarations else declaration(None)
    said = {key: last[key] for key in ("baseline", "primary", "expects")}
    return answers_of(build(folder, table, declarations=list(declarations), cells=CELLS, **said))


def when(answers, metric=FID):
    """When each comparison of a metric was declared, by the cell that is not the baseline."""
    pairs = [pair for finding in answers.findings for pair in finding.pairs]
    declared = zip(pairs, answers.declared_pairs, strict=True)
    return {pair.a.cell_id: of for pair, of in declared if pair.metric.name == metric}


def told(answers):
    """The end of the caption, from where it says what is exploratory."""
    return table_of(answers).caption.partition("Exploratory")[2]


def test_without_a_record_all_is_exploratory(tmp_path):
    answers = grid_of(tmp_path / "g")
    assert set(when(answers).values()) == {"not recorded"}
    assert told(answers) == ": when the comparisons were declared is not recorded."


def test_what_was_declared_before_any_result_is_confirmatory(tmp_path):
    answers = grid_of(tmp_path / "g", declaration(EARLY, primary=[X0], expects=[claim("x0")]))
    assert set(when(answers).values()) == {"beforehand"}
    assert answers.declared_claims == ["beforehand"]
    assert told(answers) == ""


@pytest.mark.parametrize("metric", [NLL, FID])
def test_two_cells_that_another_grid_had_finished_make_their_comparison_exploratory(tmp_path, metric):
    other, seen = "2026-04-01T08:00:00.000Z", ("x0-weighted", "epsilon-simple")
    answers = grid_of(tmp_path / "g", declaration(EARLY), first=lambda cell: other if cell in seen else FIRST)
    found = when(answers, metric)
    assert {cell for cell, of in found.items() if of == "after results"} == {"x0-weighted"}
    assert set(found.values()) == {"after results", "beforehand"}
    of_all = len(answers.declared_pairs)
    assert told(answers) == (
        f": 2 of the {of_all} comparisons were declared after the first results were there "
        "(x₀ · MSE at ε-weight 1 against ε · unweighted MSE)."
    )


def test_a_baseline_that_another_grid_had_finished_shows_no_difference_yet(tmp_path):
    other = "2026-04-01T08:00:00.000Z"
    first = {"epsilon-simple": other}
    answers = grid_of(
        tmp_path / "g", declaration(EARLY, expects=[claim("x0")]), first=lambda cell: first.get(cell, FIRST)
    )
    assert set(when(answers).values()) == {"beforehand"}
    assert answers.declared_claims == ["beforehand"]
    assert told(answers) == ""


def test_a_primary_that_is_added_after_results_is_exploratory_and_what_was_listed_before_is_not(tmp_path):
    answers = grid_of(tmp_path / "g", declaration(EARLY), declaration(LATE, primary=[X0], seen=True))
    found = when(answers)
    assert {cell for cell, of in found.items() if of == "after results"} == {"x0-simple"}
    assert "beforehand" in found.values()


def test_a_primary_that_is_taken_away_after_results_leaves_the_others_a_larger_share(tmp_path):
    answers = grid_of(tmp_path / "g", declaration(EARLY, primary=[X0, MU]), declaration(LATE, primary=[X0], seen=True))
    assert set(when(answers).values()) == {"after results"}


def test_claims_keep_the_time_of_their_hypothesis_whatever_its_words(tmp_path):
    answers = grid_of(
        tmp_path / "g",
        declaration(EARLY, expects=[claim("x0")]),
        declaration(LATE, expects=[claim("x0", "samples of x₀ are better"), claim("mu")], seen=True),
    )
    assert answers.declared_claims == ["beforehand", "after results"]
    assert "1 of the 2 papers' claims was declared after the first results were there (that x₀ is better)." in told(
        answers
    )


def test_a_claim_that_is_withdrawn_is_counted_and_the_others_are_not_of_their_old_family(tmp_path):
    answers = grid_of(
        tmp_path / "g", declaration(EARLY, expects=[claim("x0"), claim("mu")]), declaration(LATE, expects=[claim("x0")])
    )
    assert answers.declared_claims == ["after results"]
    assert told(answers).endswith("1 claim once declared is no longer in the grid's file.")


def test_a_claim_that_is_withdrawn_leaves_comparisons_a_larger_share_too(tmp_path):
    """They are one family, whichever of them is taken away."""
    first, last = declaration(EARLY, primary=[X0], expects=[claim("mu")]), declaration(LATE, primary=[X0], seen=True)
    assert set(when(grid_of(tmp_path / "g", first, last)).values()) == {"after results"}


@pytest.mark.parametrize(("before", "after"), [([X0], []), ([], [X0]), ([X0, MU], [X0])])
def test_primaries_that_change_after_results_change_the_share_of_claims(tmp_path, before, after):
    """Beside fewer comparisons, those of the list or those that are primary, a claim has more of the error rate."""
    first = declaration(EARLY, primary=before, expects=[claim("mu")])
    answers = grid_of(tmp_path / "g", first, declaration(LATE, primary=after, expects=[claim("mu")], seen=True))
    fewer = before != [X0] or after
    assert answers.declared_claims == ["after results" if fewer else "beforehand"]


def test_of_a_folder_from_before_times_were_kept_what_is_added_comes_after_its_results(tmp_path):
    before, now = declaration(None, expects=[claim("x0")]), declaration(LATE, expects=[claim("x0"), claim("mu")])
    answers = grid_of(tmp_path / "g", before, now | {"seen": True}, first=lambda _: "")
    assert answers.declared_claims == ["not recorded", "after results"]
    assert set(when(answers).values()) == {"not recorded"}


def test_runs_whose_times_are_not_known_are_not_said_to_be_later(tmp_path):
    answers = grid_of(tmp_path / "g", declaration(EARLY), first=lambda cell: "" if cell == "epsilon-simple" else FIRST)
    assert set(when(answers).values()) == {"not recorded"}
