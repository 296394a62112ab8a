"""The draws of the bound, and what they say of their own error: held to spreads over many seeds and to closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding, GreyLevels
from diffusion_core.likelihood import Bound, bound
from diffusion_core.problems import DATA, diffusion
from diffusion_core.stratified import Stratification, unexplained
from diffusion_core.variances import BetaTilde

HORIZON = 40
Term = Callable[[Tensor, Tensor, Tensor], Tensor]


def scored(model: Diffusion, raw: Tensor, seed: int = 0, exact: int = 2, strata: int = 4) -> Bound:
    return bound(model.with_clip(False), raw, Stratification(exact, strata), seed=seed, batch=len(raw))


def points(n: int) -> Tensor:
    return DATA.variance.sqrt() * torch.randn(n, 2, generator=torch.Generator().manual_seed(1)).double()


def of_terms(monkeypatch: pytest.MonkeyPatch, term: Term, encoding: Encoding | None = None) -> Diffusion:
    """A model whose L_{k−1} is term(x_0, ε, k) bits/dim."""
    shape, more = ((2,), {}) if encoding is None else ((1, 1, 2), {"encoding": encoding})
    made = diffusion(lambda x_t, t: x_t, HORIZON, variance=BetaTilde(), shape=shape, **more)
    monkeypatch.setattr(made, "term", lambda x0, eps, chain, k: term(x0, eps, k) * 2 * math.log(2))
    return made


def test_strata_partition_the_steps_with_single_times_at_both_ends():
    for steps, exact, strata in product(range(1, 25), range(1, 27), range(1, 27)):
        found = Stratification(exact, strata).strata_of(steps)
        assert [t for one in found for t in range(one.first, one.last + 1)] == list(range(1, steps + 1))
        alone = {one.first for one in found if one.length == 1}
        assert alone >= {*range(1, min(exact, steps) + 1), *range(max(1, steps - exact + 1), steps + 1)}
        assert len(found) == min(steps, 2 * exact + strata)


def test_dequantisation_is_part_of_the_own_error_and_less_so_than_of_one_draw(monkeypatch):
    """L_0 = x_0 at one pixel, spread over 15 values; two halves of three draws u + j (√2 − 1) mod 1."""
    n = 2000
    model = of_terms(monkeypatch, lambda x0, eps, k: x0.flatten(1)[:, 0].double() * (k == 1), GreyLevels(17))
    monkeypatch.setattr(model, "prior", lambda x0: torch.zeros(len(x0)))
    raw = torch.full((n, 1, 1, 2), 8, dtype=torch.uint8)
    u = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    mean = torch.stack([(15 * ((u + j * (math.sqrt(2) - 1)) % 1)).floor() for j in (1, 2, 3)]).mean(0)
    known = float(mean.std()) / 127.5 / math.sqrt(2 * n)
    assert scored(model, raw).draw_error == pytest.approx(known, rel=0.1)
    assert known < 0.5 * math.sqrt((15**2 - 1) / 12 / 127.5**2 / 2 / n)


def test_noise_and_time_that_terms_go_along_with_are_taken_out(monkeypatch):
    """Var ‖ε‖² = 4 in 2 dimensions, and of t in the run 3..38 it is (36² − 1)/12."""
    n = 4000
    square = scored(of_terms(monkeypatch, lambda x0, eps, k: (eps**2).sum(1).double() * (k == 40)), points(n))
    assert square.total.mean().item() == pytest.approx(2, abs=0.01)
    assert square.draw_error < 0.1 * math.sqrt(4 / 2 / n)
    line = scored(of_terms(monkeypatch, lambda x0, eps, k: k.double() * (k > 2) * (k < 39)), points(n), strata=1)
    assert (line.total - line.LT).mean().item() == pytest.approx(sum(range(3, 39)), rel=1e-3)
    assert line.draw_error < 0.1 * math.sqrt(36**2 * (36**2 - 1) / 12 / 2 / n)


def test_slopes_are_of_the_other_half_and_none_of_few_images():
    values, control = torch.randn(2, 2, 40, generator=torch.Generator().manual_seed(0)).double()
    slopes = [torch.cov(torch.stack([v, c]))[0, 1] for v, c in zip(values, control, strict=True)]
    expected = torch.stack([values[0] - slopes[1] * control[0], values[1] - slopes[0] * control[1]])
    torch.testing.assert_close(unexplained(values, control), expected)
    assert torch.equal(unexplained(values[:, :29], control[:, :29]), values[:, :29])
