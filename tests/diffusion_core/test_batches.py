"""Batches: epochs in orders of their own, and mirrored images. Rates: each shape by its formula."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from diffusion_core.trainer import batch_indices, flipped, flips
from diffusion_core.training import COOLDOWN, RATES, Rate, Training, trunk_steps


def shares(rate: Rate, steps: int, warmup: int, count: int, cooldown: float = COOLDOWN) -> list[float]:
    """The learning rates of the first `count` steps, as shares of their peak."""
    plan = Training(steps=steps, warmup=warmup, rate=rate, cooldown=cooldown)
    return [plan.share_of_peak(n) for n in range(count)]


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (3, 8), (7, 7)])
def test_batches_are_epochs_each_of_them_a_permutation(count, batch):
    drawn = torch.cat([batch_indices(5, step, count, batch) for step in range(2 * count)])
    epochs = drawn[: len(drawn) // count * count].reshape(-1, count)
    assert torch.equal(epochs.sort(1).values, torch.arange(count).expand_as(epochs))
    assert all(len(batch_indices(5, step, count, batch)) == batch for step in range(2 * count))
    assert count < 7 or len(epochs.unique(dim=0)) > 1
    assert count < 7 or not torch.equal(batch_indices(0, 0, count, count), batch_indices(1, 0, count, count))


def test_flips_mirror_half_of_the_examples_anew_at_each_step_by_seed_and_step():
    drawn = torch.stack([flips(5, step, 64) for step in range(100)])
    assert torch.equal(drawn[3], flips(5, 3, 64))
    assert not torch.equal(drawn[3], flips(6, 3, 64))
    # A standard deviation of a mean of 6400 draws is 0.00625.
    assert float(drawn.float().mean()) == pytest.approx(0.5, abs=0.025)
    assert len(drawn.unique(dim=0)) == 100
    images = torch.arange(2 * 3 * 2 * 4, dtype=torch.uint8).reshape(2, 3, 2, 4)
    mirrored = flipped(images, torch.tensor([True, False]))
    assert mirrored[0].tolist() == [[row[::-1] for row in channel] for channel in images[0].tolist()]
    assert torch.equal(mirrored[1], images[1])


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
    found = shares(rate, 100, int(rate == "inverse_sqrt"), 100)
    assert {n: found[n] for n in values} == pytest.approx(values)
    assert COOLDOWN == 0.3


@pytest.mark.parametrize("cooldown", [0.3, 1.0])
def test_a_cooldown_falls_over_its_share_of_the_steps_and_before_it_no_step_knows_how_many_there_are(cooldown):
    for steps in (10, 130):
        own = round((1 - cooldown) * steps)
        assert trunk_steps(steps, cooldown) == own
        found = shares("wsd", steps, 0, steps, cooldown)
        assert found[:own] == shares("wsd", 10 * steps, 0, own, cooldown) == [1.0] * own
        assert found[own:] == pytest.approx([(steps - n) / (cooldown * steps) for n in range(own, steps)])


@pytest.mark.parametrize("rate", RATES)
def test_a_rate_rises_linearly_over_the_warm_up_and_never_again_nor_above_its_peak(rate):
    found = shares(rate, 200, 20, 200)
    unwarmed = [1.0] * 20 if rate == "inverse_sqrt" else shares(rate, 200, 0, 20)
    assert found[:20] == pytest.approx([(n + 1) / 20 * unwarmed[n] for n in range(20)])
    assert all(0 < share <= 1 for share in found)
    assert all(later <= earlier for earlier, later in pairwise(found[19:]))
