"""The memorisation rate on copies, near copies, real images and noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ablations.metrics.memorisation import memorisation_rate, nearest_distance


def test_the_memorisation_rate(images):
    train, validation, test = images["train"], images["validation"], images["test"]
    assert memorisation_rate(train[:200], train, test) == 1
    nearly = train[:200].clone()
    nearly[:, 0, 4, 4] ^= 1
    assert memorisation_rate(nearly, train, test) == 1
    assert memorisation_rate(test, train, test) == pytest.approx(0.05, rel=1e-12)
    assert memorisation_rate(validation, train, test) == pytest.approx(0.05, abs=0.03)
    noise = torch.randint(17, train[:200].shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert memorisation_rate(noise, train, test) == 0


def points(*distances):
    """Images of one pixel, so far from the only training image, which is 0."""
    return torch.tensor(distances, dtype=torch.uint8).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("heldout", "generated", "rate"),
    [
        # 5 % of 40 are 2: the 1 and one of the three at 4, so that each of these is a third of one.
        ([1, 4, 4, 4, *[9] * 36], [0, 1, 4, 4, 4, 9], (2 + 3 / 3) / 6),
        # Where 5 % or more of held-out images are copies, copies alone count.
        ([0, 0, *[9] * 38], [0, 0, 0, 1], 3 / 4),
        ([*[0] * 7, *[9] * 33], [0, 0, 0, 1], 3 / 4),
        ([*[0] * 7, *[9] * 33], [*[0] * 7, *[9] * 33], 7 / 40),
        # One copy is fewer: the threshold is the next distance.
        ([0, *[3] * 3, *[9] * 36], [0, 3, 3, 3, 9], (1 + 3 / 3) / 5),
        # Of fewer than 20 images the nearest stands for the 5 %, by a part.
        ([2, 3, 4, 5], [1, 2, 3], (1 + 0.2) / 3),
    ],
)
def test_ties_at_the_threshold_count_in_part_and_copies_whole(heldout, generated, rate):
    training = points(0)
    assert memorisation_rate(points(*generated), training, points(*heldout)) == pytest.approx(rate, rel=1e-12)
    assert memorisation_rate(training, training, points(*heldout)) == 1
    own = memorisation_rate(points(*heldout), training, points(*heldout))
    assert own == pytest.approx(max(0.05, heldout.count(0) / len(heldout)), rel=1e-12)


def test_nearest_distance_is_exact(images):
    some, few = images["test"][:30], images["train"][:50]
    differences = some[:, None].numpy().astype(int) - few[None].numpy().astype(int)
    expected = np.sqrt((differences**2).sum((2, 3, 4)).min(1))
    np.testing.assert_allclose(nearest_distance(some, few).numpy(), expected, rtol=1e-15)
    assert not nearest_distance(images["train"][:50], images["train"]).any()
