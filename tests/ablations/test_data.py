"""The data sets against what they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ablations import choices
from ablations.data import SPLITS, Digits, Mixture2d, histogram_codes


@pytest.mark.parametrize("name", choices.classes("data"))
def test_every_set_has_three_splits_of_one_shape_and_a_stable_digest(name):
    data, twice = (choices.classes("data")[name]().load() for _ in range(2))
    assert set(data.images) == set(SPLITS)
    assert {tuple(images.shape[1:]) for images in data.images.values()} == {data.shape}
    assert data.digest == twice.digest


def test_digits_are_scikit_learns_split_once_and_for_all():
    data = Digits().load()
    assert [len(data.images[split]) for split in SPLITS] == [897, 450, 450]
    ours = np.concatenate([data.images[split].numpy().reshape(-1, 64) for split in SPLITS])
    theirs = load_digits().data
    assert sorted(map(bytes, ours.astype(np.uint8))) == sorted(map(bytes, theirs.astype(np.uint8)))
    assert int(ours.max()) == 16


def test_histogram_codes_of_known_data():
    train = torch.tensor([0, 0, 0, 1]).reshape(4, 1, 1, 1)
    codes = histogram_codes(train, torch.tensor([0, 1]).reshape(2, 1, 1, 1), levels=2)
    expected = -(math.log2(4 / 6) + math.log2(2 / 6)) / 2
    assert codes["uniform code"] == 1.0
    assert codes["one histogram"] == pytest.approx(expected)
    assert codes["histogram per pixel"] == pytest.approx(expected)


def test_the_mixtures_density_is_torchs():
    mixture = Mixture2d(modes=5, std=0.3)
    components = torch.distributions.Independent(torch.distributions.Normal(mixture.means, mixture.std), 1)
    truth = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(5).double()), components)
    x = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixture.log_density(x), truth.log_prob(x), rtol=1e-10, atol=1e-10)


def test_the_mixtures_points_have_its_moments():
    mixture = Mixture2d(modes=8, std=0.2)
    points = mixture.load().images["train"].double()
    assert points.mean(0).abs().max() < 4 * math.sqrt(0.54 / len(points))
    assert points.var(0).mean() == pytest.approx(0.5 + 0.2**2, rel=0.03)


@pytest.mark.parametrize("wrong", [{"modes": 0}, {"std": 0.0}, {"std": -1.0}])
def test_an_impossible_mixture_is_refused(wrong):
    with pytest.raises(ValueError, match="modes >= 1 and std > 0"):
        Mixture2d(**wrong)
