"""The importance-weighted bound of K draws, and how loose the bound is (Burda et al. 2016, arXiv:1509.00519).

    −log P(x) ≤ E −log (1/K) Σ_k w_k ≤ E −log w_1,     w = p_θ(x_{0:T})/q(x_{1:T} | x_0),   x_{1:T} ~ q(· | x_0)

K = 1 is the bound, and as K grows the left tends to −log P(x). A draw is one path, from x_T ~ q(x_T | x_0) back by
q(x_{t−1} | x_t, x_0), which is a draw of the forward process:

    −log w = log q(x_T | x_0)/p(x_T) + Σ_{t=2..T} log q(x_{t−1} | x_t, x_0)/p_θ(x_{t−1} | x_t) − log p_θ(x_0 | x_1)

Everything else that is drawn to turn data into x_0 belongs to the draw: what dequantises it, or the code z with −log
P(x | z) + log q(z | x). A chain of no steps has −log N(x_0; 0, I) in place of the path.

The looseness, E −log w_1 less the bound of K draws, is computed from the same draws, and is positive for each image. It
is a lower bound: if the weights vary so much that the largest is nearly their sum, more draws find more. That is the
case along a long path, and where a step has σ² > 2 β̃, as β has in most of a strided chain: the weights' variance is
then infinite.

As for the bound, an example's values are means of two halves of K draws each, which share nothing but the example. Its
own error, that of the draws for given examples, follows from the difference of the halves (`likelihood.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from diffusion_core import precision
from diffusion_core.chain import Chain
from diffusion_core.conditioning import Data
from diffusion_core.diffusion import Diffusion, Progress, silent
from diffusion_core.forward import diffuse, expand, posterior
from diffusion_core.likelihood import Vae
from diffusion_core.randomness import normal
from diffusion_core.refusing import require
from diffusion_core.stratified import HALVES
from diffusion_core.terms import ReverseStep, bits_per_nat, bound_term, sum_dims

CHUNK = 512
"""The examples that go through the network at once."""


@dataclass(frozen=True)
class Weighted:
    """The `nats` [2, K, N] = −log w of K draws in each half, of N examples of D = `dims` dimensions; values derived
    from them are in bits/dim, with the encoding's `offset`."""

    nats: Tensor
    dims: int
    offset: float

    @property
    def halves(self) -> Tensor:
        """The importance-weighted bound by each half of the draws [2, N]."""
        mean = math.log(self.nats.shape[1]) - torch.logsumexp(-self.nats, 1)
        return mean * bits_per_nat(self.dims) + self.offset

    @property
    def loose_halves(self) -> Tensor:
        """The bound by the same draws, less the importance-weighted one [2, N]."""
        return self.nats.mean(1) * bits_per_nat(self.dims) + self.offset - self.halves

    @property
    def total(self) -> Tensor:
        """The importance-weighted bound per example [N]."""
        return self.halves.mean(0)

    @property
    def looseness(self) -> Tensor:
        """The looseness per example [N]."""
        return self.loose_halves.mean(0)


@torch.no_grad()
def importance_weighted(
    model: Diffusion | Vae, data: Data, *, draws: int, seed: int, steps: int | None = None, progress: Progress = silent
) -> Weighted:
    """The weights of K = `draws` draws of stored data [N, …], over the full chain or one of `steps` steps.

    `progress` is told the share that is done. ValueError below 2 draws.
    """
    require(draws >= 2, f"the importance-weighted bound needs at least 2 draws, got {draws}: by 1 it is the bound")
    model, raw = model.for_data(data)
    path = _of_no_steps if isinstance(model, Vae) else partial(_path, model, model.chain(steps))
    nats = []
    for draw in range(HALVES * draws):
        code = model.encoding.code(raw, seed, f"iwae/code/{draw}")
        noise = partial(normal, seed, purpose=f"iwae/eps/{draw}", shape=tuple(code.x0.shape), device=raw.device)
        made = [term.double() for term in code.nats.values()]
        nats.append(sum(made, path(code.x0, noise)).cpu())
        progress((draw + 1) / (HALVES * draws))
    weights = torch.stack(nats).view(HALVES, draws, -1)
    return Weighted(weights, math.prod(raw.shape[1:]), model.encoding.offset_bits)


def _of_no_steps(x0: Tensor, noise: Callable[[int], Tensor]) -> Tensor:
    """−log N(x_0; 0, I) in nats, float64 [N]."""
    return 0.5 * sum_dims(x0.double() ** 2 + math.log(2 * math.pi))


def _path(diffusion: Diffusion, chain: Chain, x0: Tensor, noise: Callable[[int], Tensor]) -> Tensor:
    """−log w of one path of each x_0 [N, …], whose x_{τ_k} is by noise(k) [N, …]; in nats, float64 [N]."""
    eps, decoder = noise(chain.steps), diffusion.encoding.decoder_term
    gamma = diffusion.gamma(chain.times[-1:]).expand(len(x0))
    x = diffuse(x0, eps, gamma)
    nats = 0.5 * sum_dims((x**2 - eps**2).double() - expand(logsigmoid(gamma), eps))
    for k in range(chain.steps, 0, -1):
        eps = noise(k - 1) if k > 1 else eps
        parts = []
        for rows in torch.split(torch.arange(len(x0), device=x0.device), CHUNK):
            with precision.exact(x0.device):
                p = diffusion.select(rows).reverse(x[rows], chain, torch.full_like(rows, k))
            parts.append(_step(x0[rows], eps[rows], p) if k > 1 else (bound_term(x0[rows], p, decoder), x[rows]))
        terms, x = (torch.cat(part) for part in zip(*parts, strict=True))
        nats = nats + terms
    return nats


def _step(x0: Tensor, eps: Tensor, p: ReverseStep) -> tuple[Tensor, Tensor]:
    """log q(x_s | x_t, x_0)/p_θ(x_s | x_t) in nats, float64 [B], and x_s ~ q(x_s | x_t, x_0) by ε [B, …] itself.

    Both are taken at x_s − μ̃ = √β̃ ε, and the means differ by c_0 (x_0 − x̂_0): so, nothing cancels.
    """
    q = posterior(x0, p.x_t, p.step)
    off = expand(p.step.coefficient_x0, x0) * (x0 - p.x0) + torch.exp(0.5 * q.log_variance) * eps
    ratio = 0.5 * (p.log_variance - q.log_variance + off**2 * torch.exp(-p.log_variance) - eps**2)
    return sum_dims(ratio.double()), q.sample(eps)
