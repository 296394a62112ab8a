"""Crossings of axes: in the few of them any two values meet, and an error says where."""

import itertools

from tests.axes import crossings, pairwise

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
