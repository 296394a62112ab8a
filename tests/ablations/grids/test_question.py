"""The question of a grid, what of its file is left where a command asks for a part of it, and the looks at it."""

import pytest

from ablations.grids.grid import looks_of, make
from ablations.settings.arguments import parse_run
from analysis.errors import InputError
from tests.ablations.grids.test_grid import points


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


def test_looks_end_at_the_most_and_begin_at_three():
    assert looks_of() == looks_of(12) == (3, 5, 8, 12)
    assert looks_of(10) == (3, 5, 8, 10)
    assert looks_of(100)[-3:] == (50, 80, 100)
    with pytest.raises(InputError, match=r"seeds\.max=2: the first look takes 3 seeds, got 2 at most"):
        looks_of(2)
