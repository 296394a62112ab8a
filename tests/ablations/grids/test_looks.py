"""The looks of `seeds=auto` by hand."""

from __future__ import annotations

import pytest

from ablations.grids.grid import looks_of
from analysis.errors import InputError


def test_looks_end_at_the_most():
    assert looks_of() == looks_of(12) == (3, 5, 8, 12)
    assert looks_of(10) == (3, 5, 8, 10)
    assert looks_of(3) == (3,)
    assert looks_of(100)[-3:] == (50, 80, 100)


def test_fewer_than_the_first_look_takes_are_refused():
    with pytest.raises(InputError, match=r"seeds\.max=2: the first look takes 3 seeds, got 2 at most"):
        looks_of(2)
