"""Fits to a trained network over training data: Var(x_0 | x_t) for σ², and the terms of all possible steps.

Var(x_0 | x_t) follows from the network's errors at every t (`variances.Moments`). For the exact denoiser ε̂ = E[ε |
x_t], E‖ε‖² − E‖ε̂‖² = E‖ε − ε̂‖², its remaining error (Bao et al. 2022, Lemma 7). Both means are over the same draws of
ε, so that the draws' own noise cancels.

The bound of a chain is a sum over its steps, each a function of the x̂_0 at its t. So one pass of the network at every
t gives the term of every pair s < t, from which `spacing=optimal` chooses (Watson et al. 2021).

A diffusion that was given the labels of all the data (`Diffusion.with_labels`) is fitted as it is used, each example
with its own label; there is one fit for all classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core import precision
from diffusion_core.chain import OptimalSpacing
from diffusion_core.conditioning import Data
from diffusion_core.diffusion import Diffusion, Progress, silent
from diffusion_core.forward import Step, diffuse, expand
from diffusion_core.randomness import draw, normal, send
from diffusion_core.terms import ReverseStep, bound_term, kl_normal, mean_dims
from diffusion_core.variances import Fitted, Moments, Variance

MOST_DATA = 4096
"""The most examples on which Var x_0 is measured."""
LEARNED_DRAWS = 16
"""The images over which the terms of a learned σ² are averaged: it has one per dimension, for every pair of times."""
ELEMENTS = 2**22
"""The numbers that are computed at once for the terms of a learned σ²."""


@torch.no_grad()
def noise_moments(diffusion: Diffusion, data: Data, *, draws: int, seed: int, progress: Progress = silent) -> Moments:
    """The moments over `draws` images of stored data [N, …], the same at every t, and as many noises per t.

    x̂_0 is clipped in `error` as the diffusion clips it, and never in `noise`, whose ε̂ must be the network's own.
    """
    diffusion, raw = diffusion.for_data(data)
    chain, measured = diffusion.chain(), []
    own, passes = _passes(diffusion.with_clip(False), raw, draws, seed, progress)
    for x0, eps, k in passes:
        p = own.reverse(diffuse(x0, eps, chain.step(k).gamma_t), chain, k)
        cleared = mean_dims(eps.double() ** 2 - p.eps.double() ** 2)
        own_error = cleared.std() / math.sqrt(draws) if draws > 1 else torch.full_like(cleared[0], math.inf)
        squares = mean_dims((x0 - diffusion.clipped(p.x0)) ** 2).double()
        measured.append(torch.stack([cleared.mean(), own_error, squares.mean()]))
    alpha_bar = chain.step(torch.arange(1, chain.steps + 1, device=raw.device)).alpha_bar_t
    noise, noise_se, error = torch.stack(measured, 1).cpu()
    return Moments(noise, noise_se, error, alpha_bar.cpu(), _variance(diffusion, raw, seed).cpu())


Pass = tuple[Tensor, Tensor, Tensor]
"""x_0, ε, both [B, …], and k = t [B]."""


def _passes(
    diffusion: Diffusion, raw: Tensor, draws: int, seed: int, progress: Progress
) -> tuple[Diffusion, Iterator[Pass]]:
    """The diffusion with the labels of drawn examples, if it has the labels of all, and their pass at each t = 1..T,
    to be computed in float32 throughout."""
    places = _some(raw, draws, seed, "fit/image")
    x0 = diffusion.encoding.draw(diffusion.encoding.store(raw[places]), seed, 0, "fit/dequantise")

    def passes() -> Iterator[Pass]:
        for t in range(1, diffusion.choices.horizon + 1):
            eps = normal(seed, t, "fit/eps", tuple(x0.shape), raw.device)
            with precision.exact(raw.device):
                yield x0, eps, torch.full((draws,), t, device=raw.device)
            progress(t / diffusion.choices.horizon)

    return diffusion.select(places), passes()


def _some(raw: Tensor, count: int, seed: int, purpose: str) -> Tensor:
    """The places of `count` of the stored data [N, …], drawn with replacement."""
    return send(torch.randint(len(raw), (count,), generator=draw(seed, 0, purpose)), raw.device)


def _variance(diffusion: Diffusion, raw: Tensor, seed: int) -> Tensor:
    """Var x_0 per dimension, the mean over dimensions, float64."""
    images = raw if len(raw) <= MOST_DATA else raw[_some(raw, MOST_DATA, seed, "fit/data")]
    x0 = diffusion.encoding.draw(diffusion.encoding.store(images), seed, 1, "fit/dequantise").double()
    return x0.var(0, correction=0).mean()


@torch.no_grad()
def bound_terms(diffusion: Diffusion, data: Data, *, draws: int, seed: int, progress: Progress = silent) -> Tensor:
    """E of the bound's term of the step from t to s < t, in nats [T + 1, T + 1] float64; ∞ where s ≥ t.

    Over `draws` images of stored data [N, …]. Where s = 0 it is L_0 at σ² = 1 − ᾱ_t, whatever the chain's own rule:
    that depends on the step before, and differs little from it.
    """
    diffusion, raw = diffusion.for_data(data)
    diffusion, passes = _passes(diffusion, raw, draws, seed, progress)
    chain = diffusion.chain()
    levels = diffusion.gamma(chain.times)
    terms = torch.full((chain.steps + 1, chain.steps + 1), torch.inf, dtype=torch.float64, device=raw.device)
    for t, (x0, eps, k) in enumerate(passes, 1):
        terms[t, :t] = _terms_from(diffusion, x0, eps, chain.trained_step(k), k, levels[: t + 1])
    return terms


def _terms_from(diffusion: Diffusion, x0: Tensor, eps: Tensor, trained: Step, t: Tensor, levels: Tensor) -> Tensor:
    """The mean terms [t] of the steps from t to s = 0..t − 1, whose noise levels γ_0..γ_t are `levels`."""
    x_t = diffuse(x0, eps, trained.gamma_t)
    output, raw = diffusion.denoised(x_t, t, trained)
    x0_hat, fitted = diffusion.estimate(output, x_t, trained), diffusion.x0_variance[t]
    variance = diffusion.choices.variance

    def to(level: Tensor) -> Step:
        gamma_t = levels[-1:].expand(len(level))
        return Step(gamma_t, level, logsigmoid(gamma_t))

    clean = to(levels[:1].expand(len(x0)))
    p = ReverseStep(clean, x_t, x0_hat, variance.log_variance(clean, raw, x_t, fitted))
    first = bound_term(x0, p, diffusion.encoding.decoder_term).double().mean()
    at_once = max(1, ELEMENTS // raw[:LEARNED_DRAWS].numel()) if variance.learned else ELEMENTS
    parts = torch.split(levels[1:-1], at_once)
    return torch.cat([first[None], *(_mean_terms(variance, to(part), x0 - x0_hat, raw, fitted) for part in parts)])


def _mean_terms(variance: Variance, step: Step, error: Tensor, raw: Tensor, fitted: Tensor) -> Tensor:
    """The mean over images of the terms [S] of the steps `step` [S] at errors x_0 − x̂_0 [B, …].

    A term is linear in the squared error, so a σ² that all dimensions share needs only the mean of it.
    """
    dims, count = error[0].numel(), len(step.gamma_t)
    if variance.learned:
        error, raw = error[:LEARNED_DRAWS].reshape(1, -1), raw[:LEARNED_DRAWS].reshape(1, -1).expand(count, -1)
    else:
        error, raw = error.double().square().mean().sqrt().reshape(1, 1), error.new_zeros(count, 0)
    like = error.expand(count, -1)
    log_variance = variance.log_variance(step, raw, like, fitted[:1].expand(count))
    difference = expand(step.coefficient_x0, like) * like
    kl = kl_normal(difference**2, expand(step.log_beta_tilde, like), log_variance)
    return dims * mean_dims(kl.expand_as(like)).double()


def with_optimal_spacing(diffusion: Diffusion, data: Data, *, draws: int, seed: int) -> Diffusion:
    """The diffusion with the spacing that minimises its bound over `draws` images of stored data [N, …]."""
    spaced = diffusion.with_spacing(OptimalSpacing())
    spaced.fit_terms(bound_terms(diffusion, data, draws=draws, seed=seed))
    return spaced


def with_fitted_variance(diffusion: Diffusion, variance: Fitted, data: Data, *, draws: int, seed: int) -> Diffusion:
    """The diffusion with a variance that is fitted to its network over `draws` images of stored data [N, …]."""
    moments = noise_moments(diffusion, data, draws=draws, seed=seed)
    fitted = diffusion.with_variance(variance)
    fitted.fit(variance.x0_variance(moments))
    return fitted
