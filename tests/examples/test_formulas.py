"""The lecture's curves against the papers' formulas, written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ablations.data.base import Data
from diffusion_core.encodings import Continuous
from examples.lecture import formulas

T = 1000


@pytest.fixture(scope="module")
def x0():
    return torch.randn(6, 3, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def drawn(x0):
    return formulas.formula_figures(Data({"train": x0, "validation": x0, "test": x0}, {}, Continuous()))


def linear(horizon, scale=1.0):
    """β_1..β_T and ᾱ_1..ᾱ_T of DDPM's schedule."""
    beta = scale * np.linspace(1e-4, 0.02, horizon)
    return beta, np.cumprod(1 - beta)


def at(curve, horizon=T):
    """The curve's y, and the index into t = 1..T of each."""
    x, y = (np.array(values) for values in curve)
    return y, np.rint(x * horizon).astype(int) - 1


def test_alpha_bar_of_linear_and_cosine(drawn):
    y, t = at(drawn["alpha_bar"]["linear"])
    np.testing.assert_allclose(y, linear(T)[1][t], rtol=1e-9)
    y, t = at(drawn["alpha_bar"]["cosine"])
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(y[:-1], (f[1:] / f[0])[t[:-1]], rtol=1e-9)  # β_T is held at 0.999


def test_the_prior_is_a_kl_divergence(drawn, x0):
    y, t = at(drawn["prior"]["linear"])
    alpha_bar = torch.from_numpy(linear(T)[1][t]).view(-1, 1, 1)
    q = Normal(alpha_bar.sqrt() * x0.double(), (1 - alpha_bar).sqrt())
    nats = kl_divergence(q, Normal(torch.zeros((), dtype=torch.float64), 1.0)).mean((1, 2))
    np.testing.assert_allclose(y, nats / np.log(2), rtol=1e-6)


def test_the_prior_at_the_end_over_T(drawn, x0):
    rescaled, kept = drawn["prior_end"].values()
    for (xs, ys), scaled in ((rescaled, True), (kept, False)):
        for horizon, y in zip(xs, ys, strict=True):
            alpha_bar = linear(int(horizon), 1000 / horizon if scaled else 1.0)[1][-1]
            q = Normal(alpha_bar**0.5 * x0.double(), (1 - alpha_bar) ** 0.5)
            nats = kl_divergence(q, Normal(torch.zeros((), dtype=torch.float64), 1.0)).mean()
            assert y == pytest.approx(float(nats) / np.log(2), rel=1e-5)


@pytest.mark.parametrize("horizon", [25, 1000])
def test_beta_tilde_over_beta(drawn, horizon):
    y, t = at(drawn["beta_ratio"][f"T = {horizon}"], horizon)
    before = np.concatenate([[1.0], linear(horizon, 1000 / horizon)[1]])
    np.testing.assert_allclose(y, ((1 - before[:-1]) / (1 - before[1:]))[t], rtol=1e-7)


BETA, ALPHA_BAR = linear(T)
SNR = ALPHA_BAR / (1 - ALPHA_BAR)
WEIGHTS = {
    "simple, hybrid": np.ones(T),
    "x₀-space MSE": 1 / SNR,
    "v-space MSE": 1 / ALPHA_BAR,
    "min-SNR": np.minimum(SNR, 5) / SNR,
    "P2": 1 / (1 + SNR),
    "bound at σ² = β": BETA / (2 * (1 - BETA) * (1 - ALPHA_BAR)),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_over_their_mean(drawn, name):
    x, y = drawn["eps_weight"][name]
    t = np.array(x).astype(int) - 1
    np.testing.assert_allclose(y, (WEIGHTS[name] / WEIGHTS[name].mean())[t], rtol=1e-6)


def test_every_objective_that_weighs_by_t_is_shown(drawn):
    from ablations.settings.registry import classes
    from diffusion_core.objectives import Hybrid, Simple

    shown = {type(objective) for objective in formulas.OBJECTIVES.values()} | {Hybrid}
    assert shown == set(classes("objective").values())
    assert Simple in shown
    assert drawn["eps_weight"].keys() == formulas.OBJECTIVES.keys()
