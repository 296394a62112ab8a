"""The question of a grid, and what of its file is left where a command asks for a part of it."""

import pytest

from ablations.grids.file import read
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from analysis.errors import InputError
from tests.ablations.grids.test_grid import GRIDS, points, shipped


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_declares_few_comparisons_of_cells_that_are_there(name):
    made = shipped(name)
    levels = [point.levels for point in made.points]
    sides = made.file.sides()
    assert made.notes == ()
    assert len(made.file.primary) == len(read(name).primary)
    for first, second in sides:
        assert first in levels
        assert second in levels
        assert first != second
    # 80 % of the error rate is theirs: few enough that it is worth having.
    assert 3 <= len(sides) <= 20


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (["grid=parameterization", "parameterization=epsilon"], "Which prediction target is better, mu,"),
        (["schedule=linear,cosine"], "What does schedule change?"),
        ([], "What does the baseline score?"),
        (["grid=schedule", "schedule=linear", "question=Is it good?"], "Is it good?"),
    ],
)
def test_a_grid_asks_what_its_file_or_its_command_asks(words, question):
    assert points(*words).file.question.startswith(question)


def test_what_falls_away_is_said():
    made = points("grid=steps", "steps=5,10", "variance=beta,learned")
    declared, claims = made.notes
    assert len(made.file.primary) == 1
    assert declared == "Declared, and not compared, since their cells were not asked for: 18 of 20."
    assert declared in made.file.footnotes
    assert claims == "Papers' claims that are not tested, since their levels were not asked for: 9 of 9."
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
