"""Crossings of axes: in the few of them any two values meet, and an error says where."""

import itertools

import pytest

from diffusion_core.schedules import Cosine
from tests.axes import across, crossings, pairwise

AXES = {"a": range(4), "b": range(3), "c": range(3), "d": "xy"}


def goes(a, b, **_):
    return (a, b) != (1, 1)


def pairs(some):
    return {pair for crossing in some for pair in itertools.combinations(crossing.items(), 2)}


def test_any_two_values_that_go_together_meet_in_few_crossings():
    every = crossings(goes, AXES)
    few = pairwise(every)
    assert len(every) == 66
    assert len(few) <= 16
    assert pairs(few) == pairs(every)
    assert (("a", 1), ("b", 1)) not in pairs(few)
    assert few == pairwise(every)


def test_an_error_says_at_which_crossing_it_is():
    @across(schedule=[Cosine(s=0.1)], steps=[3, 4])
    def test_something(schedule, steps):
        assert steps < 4

    with pytest.raises(AssertionError) as caught:
        test_something()
    assert caught.value.__notes__ == ["at schedule=Cosine(s=0.1), steps=4"]
