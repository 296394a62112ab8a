"""Batches: epochs in orders of their own, and mirrored images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from diffusion_core.batches import batch_indices, flipped, flips
from diffusion_core.trainer import train
from tests.diffusion_core.learners import image_learner, points_learner
from tests.diffusion_core.test_training import PLAN, saved


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (12, 4), (3, 8), (1, 1), (7, 7)])
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


def test_a_training_on_images_that_are_their_own_mirror_images_is_the_same_flipped_and_no_other_is():
    for symmetric in (True, False):
        learners, raw = [image_learner()[0] for _ in range(2)], image_learner()[1]
        data, plan = raw + raw.flip(-1) if symmetric else raw, replace(PLAN, steps=2)
        plain, mirrored = (
            saved([*train(learner, data, replace(plan, flips=flips), 0)][-1])
            for learner, flips in zip(learners, (False, True), strict=True)
        )
        assert symmetric == all(torch.equal(plain[name], mirrored[name]) for name in plain)


def test_points_have_no_mirror_image():
    with pytest.raises(ValueError, match=r"training\.flips=true mirrors images .*, got data \[40, 2\]"):
        next(train(*points_learner(), replace(PLAN, flips=True), 0))
