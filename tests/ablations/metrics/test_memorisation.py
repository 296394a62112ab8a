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
    assert memorisation_rate(test, train, test) == pytest.approx(0.05, abs=1 / len(test))
    assert memorisation_rate(validation, train, test) == pytest.approx(0.05, abs=0.03)
    noise = torch.randint(17, train[:200].shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert memorisation_rate(noise, train, test) == 0


def test_nearest_distance_is_exact(images):
    some, few = images["test"][:30], images["train"][:50]
    differences = some[:, None].numpy().astype(int) - few[None].numpy().astype(int)
    expected = np.sqrt((differences**2).sum((2, 3, 4)).min(1))
    np.testing.assert_allclose(nearest_distance(some, few).numpy(), expected, rtol=1e-15)
    assert not nearest_distance(images["train"][:50], images["train"]).any()
