"""What rungs foretell of committed curves is what the page says, and a line is followed where there is one."""

import re

import numpy as np
import pytest

from evidence.rungs import ROOT, committed, simulated, told_apart

PAGE = (ROOT.parents[1] / "evidence" / "rungs.md").read_text("utf-8")


def test_the_page_has_what_committed_curves_show():
    found = list(committed())
    held, turned = (sum(int(part.sum()) for one in found for part in [of(one.holds)]) for of in (np.array, np.invert))
    wrong = sum(int((one.holds & one.reversed[0]).sum()) for one in found)
    assert re.search(rf"\| committed \| {wrong} of {held} \| \d+ of {turned} \|", PAGE)
    assert wrong == 0


def test_what_goes_on_in_a_straight_line_is_foretold():
    noise = np.random.default_rng(0).normal(size=(400, 5))
    end = 1.0 + 0.1 * noise
    line = told_apart(end + 0.5, end, 1.0, [np.full(400, 0.5)])
    assert line.holds.all()
    assert line.covered.mean() == pytest.approx(0.95, abs=0.03)
    assert not line.reversed[0].any()


def test_in_the_limit_what_holds_says_little():
    """As docs/statistics.md has it: at twice the steps next to none is reversed, in the limit many are."""
    of_law = simulated(4000, 0.01)
    at_twice, _, in_the_limit = (float(turned[of_law.holds].mean()) for turned in of_law.reversed)
    assert at_twice < 0.01 < 0.2 < in_the_limit
