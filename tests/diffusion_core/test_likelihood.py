"""The estimate of the bound: complete, unbiased and paired; its draws, and what they say of their own error."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.likelihood import Bound, bound, estimate_variance
from diffusion_core.parameterizations import X0, Mu
from diffusion_core.stratified import Stratification, less_control_variate
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import BetaTilde
from tests.diffusion_core.problems import diffusion

HORIZON = 30
Seen = list[tuple[Tensor, Tensor]]


def shrink(x_t: Tensor, t: Tensor) -> Tensor:
    """A network that says x̂_0 = 0.8 x_t: far from perfect, so that no term vanishes."""
    return 0.8 * x_t


def model(output: Callable[[Tensor, Tensor], Tensor] = shrink) -> Diffusion:
    return diffusion(output, HORIZON, parameterization=X0(), variance=BetaTilde()).with_clip(False)


def spied(seen: Seen) -> Diffusion:
    def output(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((x_t, t))
        return shrink(x_t, t)

    return model(output)


def estimate(diffusion: Diffusion, raw: Tensor, seed: int = 0, exact: int = HORIZON, strata: int = 0, **more) -> Bound:
    return bound(diffusion, raw, Stratification(exact, strata), seed=seed, **more)


def points(n: int) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(1))


def terms_by_hand(alpha_bar: Tensor, x0: Tensor, error: Tensor) -> Tensor:
    """[K, N] in bits/dim at β̃, from ‖x_0 − x̂_0‖² [K, N]: ½ (SNR_{k−1} − SNR_k) of it, and the density at k = 1."""
    snr = alpha_bar[1:] / (1 - alpha_bar[1:])
    sigma2 = 1 - alpha_bar[1]
    first = 0.5 * (error[:1] / sigma2 + 2 * torch.log(2 * math.pi * sigma2))
    rest = 0.5 * (snr[:-1] - snr[1:])[:, None] * error[1:]
    return torch.cat([first, rest]) / (2 * math.log(2))


def exact_expectation(x0: Tensor) -> Tensor:
    """E over noise of each term at one x_0 [2], in bits/dim [K]: E‖x_0 − 0.8 x_t‖² in closed form."""
    alpha_bar = torch.sigmoid(-model().gamma(torch.arange(HORIZON + 1)))
    bias = (1 - 0.8 * alpha_bar[1:].sqrt()) ** 2 * (x0**2).sum()
    error = bias + 2 * 0.64 * (1 - alpha_bar[1:])
    return terms_by_hand(alpha_bar, x0, error[:, None]).squeeze(1)


def test_the_stratified_estimate_is_unbiased():
    n = 20_000
    x0 = torch.tensor([0.7, -0.4])
    result = estimate(model(), x0.expand(n, 2), exact=3, strata=7, batch=n)
    expected = exact_expectation(x0)
    assert result.L0.mean().item() == pytest.approx(expected[0].item(), abs=5 * result.L0.std().item() / n**0.5)
    assert result.Lt.mean().item() == pytest.approx(expected[1:].sum().item(), abs=5 * result.Lt.std().item() / n**0.5)
    # All images are one: what tells them apart is their draws alone.
    assert result.draw_error == pytest.approx(result.total.std().item() / n**0.5, rel=0.05)
    drawn = result.per_step_count > 400
    torch.testing.assert_close(result.per_step[drawn], expected[drawn], rtol=0.2, atol=1e-3)


def test_equal_seeds_give_equal_results_in_any_batch_and_other_seeds_others():
    raw = points(50)
    one, same, other = (
        estimate(model(), raw, seed, exact=2, strata=4, batch=batch) for seed, batch in ((0, 512), (0, 7), (1, 512))
    )
    torch.testing.assert_close(one.total, same.total, rtol=1e-6, atol=1e-6)
    assert not torch.equal(one.total, other.total)


def test_two_networks_are_scored_on_the_same_times_and_noise():
    seen: Seen = []
    other: Seen = []

    def another(x_t: Tensor, t: Tensor) -> Tensor:
        other.append((x_t, t))
        return torch.sin(x_t)

    raw = points(40)
    estimate(spied(seen), raw, exact=2, strata=5)
    estimate(diffusion(another, HORIZON, parameterization=Mu()), raw, exact=2, strata=5)
    assert len(seen) == len(other) == 2 * (3 + 2 + 5 + 2)
    assert all(torch.equal(x, y) and torch.equal(t, u) for (x, t), (y, u) in zip(seen, other, strict=True))


def test_the_variance_of_an_estimate_is_that_of_one_time_an_image(monkeypatch):
    """Of L_{t−1} = t²/100 bits/dim; at t = 1, L_0 is known: it has no part. Five variances of 400 draws each."""
    made, t = model(), torch.arange(1, HORIZON + 1, dtype=torch.float64)
    monkeypatch.setattr(made, "term", lambda x0, eps, chain, t: t.double() ** 2 / 100 * (2 * math.log(2)))
    sampler = Uniform().build(made.gamma)
    expected = float((HORIZON * t**2 / 100 * (t > 1)).var(correction=0))
    found = estimate_variance(made, sampler, points(320), draws=400, batch=64, seed=0)
    assert found == pytest.approx(expected, rel=0.1)
    with pytest.raises(ValueError, match="at least 2 draws, got 1"):
        estimate_variance(made, sampler, points(4), draws=1, batch=4, seed=0)


def test_strata_partition_the_steps_with_single_times_at_both_ends():
    for steps, exact, strata in product((1, 7, 24), (1, 3, 26), (1, 5, 26)):
        found = Stratification(exact, strata).strata_of(steps)
        assert [t for one in found for t in range(one.first, one.last + 1)] == list(range(1, steps + 1))
        alone = {one.first for one in found if one.length == 1}
        assert alone >= {*range(1, min(exact, steps) + 1), *range(max(1, steps - exact + 1), steps + 1)}
        assert len(found) == min(steps, 2 * exact + strata)


def test_noise_and_time_that_terms_go_along_with_are_taken_out(monkeypatch):
    """Var ‖ε‖² = 4 in 2 dimensions, and of t in the run 3..28 it is (26² − 1)/12."""
    n, made = 4000, model()

    def scored(term: Callable[[Tensor, Tensor], Tensor], strata: int) -> Bound:
        """The bound whose L_{k−1} is term(ε, k) bits/dim."""
        monkeypatch.setattr(made, "term", lambda x0, eps, chain, k: term(eps, k) * 2 * math.log(2))
        return estimate(made, points(n), exact=2, strata=strata, batch=n)

    square = scored(lambda eps, k: (eps**2).sum(1).double() * (k == HORIZON), 4)
    assert (square.total - square.LT).mean().item() == pytest.approx(2, abs=0.01)
    assert square.draw_error < 0.1 * math.sqrt(4 / 2 / n)
    line = scored(lambda eps, k: k.double() * (k > 2) * (k < 29), 1)
    assert (line.total - line.LT).mean().item() == pytest.approx(sum(range(3, 29)), rel=1e-3)
    assert line.draw_error < 0.1 * math.sqrt(26**2 * (26**2 - 1) / 12 / 2 / n)


def test_slopes_are_of_the_other_half_and_none_of_few_images():
    values, control = torch.randn(2, 2, 40, generator=torch.Generator().manual_seed(0)).double()
    slopes = [torch.cov(torch.stack([v, c]))[0, 1] for v, c in zip(values, control, strict=True)]
    expected = torch.stack([values[0] - slopes[1] * control[0], values[1] - slopes[0] * control[1]])
    torch.testing.assert_close(less_control_variate(values, control), expected)
    assert torch.equal(less_control_variate(values[:, :29], control[:, :29]), values[:, :29])
