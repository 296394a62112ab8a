"""The question of a grid, and what of its file is left where a command asks for a part of it."""

import pytest

from ablations.grids import reading
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from analysis.errors import InputError
from tests.ablations.grids.test_grid import GRIDS, points, shipped


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_declares_few_comparisons_of_cells_that_are_there(name):
    made = shipped(name)
    levels = [point.levels for point in made.points]
    sides = [sides for pair in made.file.primary for sides in pair.meant.sides(made.file.baseline)]
    assert made.notes == ()
    assert len(made.file.primary) == len(reading.read(name).primary)
    for first, second in sides:
        assert first in levels
        assert second in levels
        assert first != second
    # 80 % of the error rate is theirs: few enough that it is worth having.
    assert 3 <= len(sides) <= 20


def test_the_comparisons_that_seeds_were_added_for_are_as_they_were():
    sides = [
        s
        for p in shipped("parameterization").file.primary
        for s in p.meant.sides(shipped("parameterization").file.baseline)
    ]
    assert [(a["parameterization"], a["loss"], b["parameterization"], b["loss"]) for a, b in sides] == [
        ("mu", "simple", "epsilon", "simple"),
        ("x0", "simple", "epsilon", "simple"),
        ("epsilon", "vlb_fixed", "epsilon", "simple"),
        ("mu", "vlb_fixed", "epsilon", "vlb_fixed"),
    ]


@pytest.mark.parametrize(
    ("words", "question"),
    [
        pytest.param(["grid=parameterization"], "Which prediction target is better, mu,", id="whole"),
        pytest.param(
            ["grid=parameterization", "parameterization=epsilon"],
            "Which level of Objective is best (Target: ε)?",
            id="one-target",
        ),
        pytest.param(
            ["grid=parameterization", "parameterization=mu,epsilon", "loss=simple,vlb_fixed"],
            "Which level of Target and which level of Objective are better?",
            id="two-of-each",
        ),
        pytest.param(["grid=steps", "steps=5,10"], "Which reverse variance is best when only a few", id="fewer-rows"),
        pytest.param(
            ["grid=steps", "variance=beta,learned"],
            "Which level of Variance is better, and does that depend on Steps?",
            id="fewer-in-each-row",
        ),
        pytest.param(
            ["grid=skip", "schedule=linear"], "Which level of Share skipped is best (Schedule: linear)?", id="one-row"
        ),
        pytest.param(["grid=schedule", "schedule=linear"], "What does one cell score (Schedule: linear)?", id="a-cell"),
        pytest.param(["grid=schedule", "sampler=ddim,ancestral"], "Which noise schedule gives", id="another-axis"),
        pytest.param(["grid=schedule", "training.steps=7"], "Which noise schedule gives", id="a-setting"),
        pytest.param(["schedule=linear,cosine"], "What does schedule change?", id="no-file"),
        pytest.param(["grid=schedule", "schedule=linear", "question=Is it good?"], "Is it good?", id="in-words"),
    ],
)
def test_a_grid_asks_about_what_is_left_of_it(words, question):
    assert points(*words).file.question.startswith(question)


def test_what_falls_away_is_said():
    made = points("grid=steps", "steps=5,10", "variance=beta,learned")
    declared, claims = made.notes
    assert len(made.file.primary) == 1
    assert declared.startswith("Declared, and not compared, since their cells were not asked for (18 of 20): ")
    assert "learned, L_hybrid against the baseline at Steps = 25, Steps = 50;" in declared
    assert declared in made.file.footnotes
    assert claims == "Papers' claims that are not tested, since their levels were not asked for (9 of 9)."
    assert made.file.expects == []
    assert points("grid=schedule", "schedule=linear").file.primary == []


def test_a_question_is_free_text():
    asked = "Is x, or [y], better (here)? It's “quoted” = 100 %"
    request = parse_run(["grid=schedule", f"question={asked}", "schedule=linear,cosine"])
    assert make(request).file.question == asked
    assert "'question=Is x, or [y]" in request.command
    for wrong in (["question="], ["question=a?", "question=b?"]):
        with pytest.raises(InputError, match="question"):
            parse_run(wrong)
