"""The view of a grid as of its round: values worked out by hand, and nothing of what the files hold beyond it."""

import math

import pytest

from analysis.errors import InputError, NothingYet
from analysis.findings.answers import Answers
from analysis.pages import write_pages
from analysis.read.runs import read_folder
from analysis.read.view import NO_SCORE
from tests.analysis import rounds
from tests.analysis.conftest import DIVERGED, FID, IS, NLL, PARTLY, cell_id
from tests.analysis.rounds import END, FIRST, NLL_VAL, NONE, PLANNED, UNSCORED, WHOLE


@pytest.fixture
def place(tmp_path):
    return tmp_path / "results" / "parameterization"


def frame(grid):
    return grid.runs.set_index(["cell_id", "seed"])


def test_a_round_of_rungs_has_the_values_of_the_first_rung_of_its_seeds(place):
    grid = read_folder(rounds.in_round(place, rounds.under_way(over=[(("epsilon", "simple"), 0)])))
    found = frame(grid)
    assert grid.meta.seeds == (0, 1, 2)
    assert {seed for _, seed in found.index} == {0, 1, 2}
    # NLL 2.54 ± 0.02 times 1.5, FID 20 ± 1 times 2, IS 8.4 ± 0.1 times 2; that seed 0 is over already changes nothing.
    scored = found.loc[cell_id(("epsilon", "simple"))]
    assert scored["status"].tolist() == ["scored"] * 3
    assert scored[NLL_VAL].tolist() == pytest.approx([3.78, 3.81, 3.84])
    assert scored[FID].tolist() == pytest.approx([38.0, 40.0, 42.0])
    assert scored[IS].tolist() == pytest.approx([16.6, 16.8, 17.0])
    assert [name for name in found if "/" in name] == sorted([FID, IS, NLL_VAL])


def test_what_has_no_score_is_not_known_and_says_why(place):
    found = frame(read_folder(rounds.in_round(place)))
    waiting = found.loc[cell_id(UNSCORED)]
    assert set(zip(waiting["status"], waiting["reason"], strict=True)) == {("not scored", NO_SCORE)}
    assert waiting[[NLL_VAL, FID, IS]].isna().all(axis=None)
    lost = found.loc[cell_id(DIVERGED)]
    assert set(lost["status"]) == {"diverged"}
    assert "was not finite" in lost["reason"].iloc[0]
    assert found.loc[cell_id(PARTLY)]["status"].tolist() == ["scored", "scored", "diverged"]


def test_metrics_of_test_images_stand_as_what_is_known_on_validation(place):
    grid = read_folder(rounds.in_round(place))
    likelihood = grid.meta.metrics[0]
    assert (likelihood.name, likelihood.label, likelihood.decides) == (NLL_VAL, "NLL (validation)", "likelihood")
    assert [one.name for one in grid.meta.metrics[1:]] == [FID, IS]
    assert [code.label for code in grid.meta.baselines[NLL_VAL]] == ["uniform code", "histogram", "histogram per pixel"]
    assert (grid.meta.quality_sets, grid.meta.rungs, grid.meta.expects, grid.meta.auto) == (1, 0, (), None)


def test_nothing_of_the_end_is_shown_at_a_rung(place):
    grid = read_folder(rounds.in_round(place, rounds.ended()))
    assert (grid.samples, grid.strips, grid.reconstructions) == (None, None, None)
    assert grid.curves.empty
    assert grid.images.empty


def test_a_rung_that_is_not_finite_is_no_value_and_no_later_one_stands_for_it(place):
    points = [
        (cell, seed, name, step, "inf" if step == 125 and seed == 0 and name == "rung/nll/val" else value)
        for cell, seed, name, step, value in rounds.rungs()
    ]
    first = frame(read_folder(rounds.in_round(place, points=points))).loc[(cell_id(("epsilon", "simple")), 0)]
    assert math.isnan(first[NLL_VAL])
    assert first[FID] == pytest.approx(38.0)
    assert first["status"] == "scored"


def test_each_training_stands_at_its_own_first_rung(place):
    points = [point for point in rounds.rungs() if not (point[0] == "epsilon-simple" and point[3] == 125)]
    grid = read_folder(rounds.in_round(place, points=points))
    assert frame(grid).loc[("epsilon-simple", 1), FID] == pytest.approx(20.0)
    assert (grid.basis.planned, grid.basis.steps, grid.basis.of_steps) == (5, (125, 250), (500, 500))


def test_a_round_of_whole_trainings_has_the_runs_of_its_seeds(place):
    grid = read_folder(rounds.in_round(place, rounds.ended(), list(rounds.rungs(seeds=PLANNED)), round=WHOLE))
    found = frame(grid)
    assert {seed for _, seed in found.index} == {0, 1, 2}
    assert found.loc[("epsilon-simple", 2), NLL] == pytest.approx(2.56)
    assert set(grid.curves["seed"]) == {0, 1, 2}
    assert grid.samples == place / "samples"
    assert (grid.meta.rungs, grid.meta.expects) == (0, ())


def test_the_last_round_is_all_that_there_is(place):
    grid = read_folder(rounds.in_round(place, rounds.ended(), round=END))
    plain = read_folder(rounds.write(place, rounds.ended(), list(rounds.rungs()), round=None))
    assert grid.runs.equals(plain.runs)
    assert grid.meta.expects == plain.meta.expects
    assert plain.basis is None


def test_a_planned_look_has_the_looks_so_far(place):
    auto = {"looks": [3, 5], "stopped": dict.fromkeys(rounds.described()["cells"], 5) | {"mu-simple": 3}}
    look = WHOLE | {"preliminary": False}
    grid = read_folder(rounds.in_round(place, rounds.ended(), round=look, auto=auto))
    assert grid.meta.seeds == (0, 1, 2)
    assert set(grid.meta.auto.stopped.values()) == {3}
    assert (grid.basis.planned, grid.basis.looks) == (5, True)
    assert {found.pairs[0].sequential.found.n for found in Answers.of(grid).findings} == {3}


def test_no_round_is_nothing_to_show(place):
    rounds.in_round(place, round=NONE)
    before = sorted(path.name for path in place.iterdir())
    grid = read_folder(place)
    assert grid.runs.empty
    with pytest.raises(NothingYet, match=r"^0 of 55 trainings finished; nothing to show yet$"):
        Answers.of(grid)
    assert write_pages(place) == "0 of 55 trainings finished; nothing to show yet"
    assert sorted(path.name for path in place.iterdir()) == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"number": 4}, "round 4 of 3 is beyond the plan"),
        ({"seeds": 0}, "round 1 rests on no seeds"),
        ({"seeds": 6}, "round 1 rests on 6 seeds of 5"),
        ({"preliminary": False}, "a round of first rungs is preliminary"),
        ({"number": -1}, "greater than or equal to 0"),
        ({"finished": None}, "valid integer"),
    ],
)
def test_a_round_that_cannot_be_is_refused(place, changes, reason):
    rounds.in_round(place, round=FIRST | changes)
    with pytest.raises(InputError, match=f"grid.json is not the description of a grid: .*{reason}"):
        read_folder(place)


def test_rows_of_later_seeds_may_be_absent_and_those_of_the_round_must_be_there(place, tmp_path):
    rows = [row for row in rounds.under_way() if row["seed"] < 3]
    assert len(read_folder(rounds.in_round(tmp_path / "earlier", rows)).runs) == 33
    rows = [row for row in rounds.under_way() if (row["cell_id"], row["seed"]) != ("epsilon-simple", 2)]
    with pytest.raises(InputError, match=r"lacks 1 of the rows .* lists \(cell_id epsilon-simple at seed 2"):
        read_folder(rounds.in_round(place, rows))
