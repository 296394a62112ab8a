"""The command that checks choices: a line each, and no choice is left out."""

from __future__ import annotations

import pytest

from ablations import check
from analysis.errors import InputError


def test_every_choice_that_is_named_is_checked(capsys):
    assert check.main(["timesteps=uniform,low_discrepancy", "metric=mmd"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        passed("timesteps=uniform"),
        passed("timesteps=low_discrepancy"),
        passed("metric=mmd"),
    ]


def passed(choice: str) -> str:
    """The line that a choice passes, as `AXIS=NAME`, with what was checked."""
    return f"{choice} passes its checks: {check.ABOUT[choice.partition('=')[0]]}"


def test_a_line_of_every_axis_says_what_is_checked_and_is_short():
    assert set(check.ABOUT) == set(check.AXES)
    assert max(len(passed(f"{axis}=of_ones_own")) for axis in check.AXES) <= 150


def test_what_a_choice_suggests_for_others_is_no_field_of_it(capsys):
    assert check.main(["schedule=learned_linear", "objective=vlb_continuous"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        passed("schedule=learned_linear"),
        passed("objective=vlb_continuous"),
    ]


def test_one_that_cannot_be_made_does_not_hide_the_next(capsys):
    assert check.main(["schedule=linear", "schedule.beta_T=2.0", "timesteps=uniform"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("schedule=linear does not pass: schedule=linear: linear needs 0 < beta_1 <= beta_T < 1")
    assert second == passed("timesteps=uniform")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "nothing is named to be checked"),
        (["training=default"], "no axis called 'training'"),
        (["schedule.s=0.1"], "is a field of one choice, with one value: give schedule=NAME once beside it"),
        (["schedule=cosine", "schedule=linear"], "schedule is given twice"),
    ],
)
def test_a_wrong_call_is_one_line(words, line):
    with pytest.raises(InputError, match=line):
        check.main(words)
