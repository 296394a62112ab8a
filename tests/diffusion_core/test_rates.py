"""Rates: each shape's values by its formula at moments where they are known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from diffusion_core.rates import COOLDOWN, RATES, share_of_peak, trunk_steps
from diffusion_core.training import Training


@pytest.mark.parametrize(
    ("rate", "values"),
    [
        ("constant", {0: 1, 50: 1, 99: 1}),
        ("linear", {0: 1, 25: 0.75, 50: 0.5, 99: 0.01}),
        ("cosine", {0: 1, 50: 0.5, 75: (1 - math.sqrt(0.5)) / 2}),
        ("inverse_sqrt", {0: 1, 4: 0.5, 64: 0.125}),
        ("wsd", {0: 1, 50: 1, 70: 1, 85: 0.5, 97: 0.1}),
    ],
)
def test_a_shape_has_its_values(rate, values):
    found = {n: share_of_peak(rate, n, 100, 0) for n in values}
    assert found == pytest.approx(values)
    assert COOLDOWN == 0.3


@pytest.mark.parametrize("cooldown", [0.1, 0.3, 0.7, 1.0])
def test_a_cooldown_falls_over_its_share_of_the_steps_and_before_it_no_step_knows_how_many_there_are(cooldown):
    for steps in (10, 130, 1000):
        own = round((1 - cooldown) * steps)
        assert trunk_steps(steps, cooldown) == own
        shares = [share_of_peak("wsd", n, steps, 0, cooldown) for n in range(steps)]
        assert shares[:own] == [share_of_peak("wsd", n, 10 * steps, 0, cooldown) for n in range(own)] == [1.0] * own
        assert shares[own:] == pytest.approx([(steps - n) / (cooldown * steps) for n in range(own, steps)])


def test_what_has_no_meaning_is_refused():
    for changes, reason in (
        ({"rate": "wsd", "steps": 100, "warmup": 71}, "cooldown longer than its training: .*=0.3 leaves 70 of .*=100"),
        ({"rate": "inverse_sqrt", "warmup": 0}, "from the end of its warm-up: take training.warmup >= 1"),
        ({"rate": "step"}, r"training\.rate must be .* or .*, got 'step'"),
    ):
        with pytest.raises(ValueError, match=reason):
            Training(**changes)
    Training(rate="wsd", steps=100, warmup=70)


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_rises_linearly_over_the_warm_up_and_never_again_nor_above_its_peak(rate):
    shares = [share_of_peak(rate, n, 200, 20) for n in range(200)]
    unwarmed = [share_of_peak(rate, n, 200, 0) for n in range(200)] if rate != "inverse_sqrt" else [1.0] * 20
    assert shares[:20] == pytest.approx([(n + 1) / 20 * unwarmed[n] for n in range(20)])
    assert all(0 < share <= 1 for share in shares)
    assert all(later <= earlier for earlier, later in pairwise(shares[19:]))
