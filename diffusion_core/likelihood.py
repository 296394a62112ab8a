"""The bound in bits/dim of held-out data, split and with its own error.

    −log2 p(x_0)/D ≤ L_0 + Σ_{k=2..K} L_{k−1} + L_T

Estimated without bias from a few terms per image, by two halves of draws that share nothing but the images
(`stratified.py`): dequantisation (or z), t and ε are drawn anew. An image's value is the mean of its halves A and B,
and the estimate's own error, that of the draws for given images, is

    own error² = Σ_i (A_i − B_i)²/(4 N²)   for the mean over images i = 1..N,

without bias whatever is drawn, and whatever the correlation of an image's terms. (Differences between neighbouring
strata would count as error if these were taken together, and the dequantisation that all terms share would not; a few
images drawn twice would tell less.)

In continuous time the sum becomes an integral over the noise level between the two ends, and L_0 a decoder without a
network (Kingma et al. 2021, eq. 17 with γ as the variable), in nats:

    L_0(γ_1) + ½ ∫_{γ_1}^{γ_T} E‖ε − ε̂‖² dγ + L_T.

Its draws are one γ from each of `draws` intervals of equal length, the same for every schedule with these ends.

If x_0 is drawn by an encoder q(z | x) and read by a decoder p(x | z), x_0 being the scaled z, the data's bound is

    −log2 p(x)/D ≤ E_q[−log2 p(x | z)]/D + E_q[log2 q(z | x)]/D + (the bound above, of z)/D,

reconstruction, entropy and prior, each at the one z that is drawn per image (`latents.py`). With a chain of no steps
the prior is N(0, I), and this is the evidence bound of a variational autoencoder.

With labels given (`Diffusion.with_labels`) all likelihoods are p(x | y), with each image's own y.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from diffusion_core import precision
from diffusion_core.choices import flow_refusal
from diffusion_core.conditioning import Data, Labelled
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Code, Encoding
from diffusion_core.forward import diffuse
from diffusion_core.latents import LatentCode
from diffusion_core.randomness import normal, normal_blocks, uniform
from diffusion_core.refusing import refuse, require
from diffusion_core.stratified import HALVES, USUAL, Draw, Stratification, draws, with_less_variance
from diffusion_core.terms import bits_per_nat, mean_dims, sum_dims
from diffusion_core.timesteps import TimestepSampler


@dataclass(frozen=True)
class Terms:
    """Terms per image in bits/dim of the stored data, float64 [N].

    `L0` includes the encoding's offset, `Lt` is the sum of the other steps, `LT` the prior's. `reconstruction` and
    `entropy` are there where an autoencoder made x_0.
    """

    L0: Tensor
    Lt: Tensor
    LT: Tensor
    reconstruction: Tensor | None = field(default=None, kw_only=True)
    entropy: Tensor | None = field(default=None, kw_only=True)

    @property
    def parts(self) -> dict[str, Tensor]:
        """The terms that there are, by name."""
        named = {name: getattr(self, name) for name in ("L0", "Lt", "LT", "reconstruction", "entropy")}
        return {name: term for name, term in named.items() if term is not None}

    @property
    def total(self) -> Tensor:
        """The bound per image [N]."""
        return torch.stack(list(self.parts.values())).sum(0)


@dataclass(frozen=True)
class Bound(Terms):
    """The bound of a chain; `per_step` [K] is each L_{k−1}, averaged over as many draws as `per_step_count` [K] says.

    L_0 in `per_step` is that of x_0, without the offset. `halves` [2, N] is the total by each half of the draws.
    """

    per_step: Tensor
    per_step_count: Tensor
    halves: Tensor

    @property
    def draw_error(self) -> float:
        """The own error of the mean of `total`, that is, the error from its draws for given images."""
        return own_error(self.halves)


def own_error(halves: Tensor) -> float:
    """The own error of a mean over images, from the images' values by both halves of the draws [2, N]."""
    return float((halves[0] - halves[1]).norm() / (2 * halves.shape[1]))


@torch.no_grad()
def bound(
    diffusion: Diffusion,
    data: Data,
    stratification: Stratification = USUAL,
    *,
    seed: int,
    steps: int | None = None,
    batch: int = 512,
    piece: Callable[[int, Callable[[], Tensor]], Tensor] = lambda number, terms: terms(),
) -> Bound:
    """The bound on stored data [N, …] over the full chain or one of `steps` steps, by the terms at the times of a
    stratification, the suite's own by default. With `Labelled` data it is that of p(x | y). Each draw's terms are got
    through `piece`, which may know those of its number from an earlier call."""
    diffusion, raw = diffusion.for_data(data)
    chain = diffusion.chain(steps)
    codes = codes_of(diffusion.encoding, raw, seed)
    count = torch.zeros(chain.steps + 1, dtype=torch.float64, device=raw.device)
    total = torch.zeros_like(count)
    L0 = torch.zeros(HALVES, len(raw), dtype=torch.float64, device=raw.device)
    Lt = torch.zeros_like(L0)
    per_nat = bits_per_nat(math.prod(diffusion.shape))

    def terms_of(draw: Draw) -> Tensor:
        term = partial(_by_batches, diffusion, batch, lambda view, x0, eps, k: view.term(x0, eps, chain, k))
        return (torch.stack(list(map(term, draw.x0, draw.eps, draw.k))) * per_nat).double()

    strata = stratification.strata_of(chain.steps)
    for j, draw in enumerate(draws(diffusion.encoding, raw, codes, strata, seed)):
        terms_at_k = piece(j, partial(terms_of, draw)).to(raw.device)
        term, stratum = with_less_variance(terms_at_k, draw), draw.stratum
        part = L0 if stratum.first == 1 else Lt
        part += term * (stratum.length / stratum.draws)
        # Slopes over a run do not hold at a single k.
        at_k, k = term if stratum.length == 1 else terms_at_k, torch.cat(draw.k)
        total.index_add_(0, k, at_k.flatten())
        count.index_add_(0, k, torch.ones_like(k, dtype=torch.float64))
    terms = [
        stored_terms(L0[half], Lt[half], diffusion.prior(code.x0) * per_nat, code, diffusion.encoding, raw)
        for half, code in enumerate(codes)
    ]
    return bound_of_halves(terms, (total / count * diffusion.encoding.share)[1:].cpu(), count[1:].cpu())


def _by_batches(diffusion: Diffusion, batch: int, of: Callable[..., Tensor], *values: Tensor) -> Tensor:
    """of(diffusion, *values) [N, …], in float32 throughout, for `batch` rows of the values [N, …] at a time."""
    with precision.exact(values[0].device):
        places = [slice(i, i + batch) for i in range(0, len(values[0]), batch)]
        return torch.cat([of(diffusion.select(place), *(value[place] for value in values)) for place in places])


def codes_of(encoding: Encoding, raw: Tensor, seed: int) -> list[Code]:
    """The codes of stored data [N, …], one for each half of a bound's draws."""
    return [encoding.code(raw, seed, f"bound/dequantise/{half}") for half in range(HALVES)]


def bound_of_halves(terms: list[dict[str, Tensor]], per_step: Tensor, per_step_count: Tensor) -> Bound:
    """The bound by the `stored_terms` of each half."""
    halves = {name: torch.stack([half[name] for half in terms]) for name in terms[0]}
    means = {name: part.mean(0) for name, part in halves.items()}
    totals = torch.stack(list(halves.values())).sum(0)
    return Bound(**means, per_step=per_step, per_step_count=per_step_count, halves=totals)


def stored_terms(L0: Tensor, Lt: Tensor, LT: Tensor, code: Code, encoding: Encoding, raw: Tensor) -> dict[str, Any]:
    """The fields of `Terms` for stored data [N, …], from terms in bits/dim of x_0 and the code that holds x_0."""
    terms = {"L0": L0 * encoding.share + encoding.offset_bits, "Lt": Lt * encoding.share, "LT": LT * encoding.share}
    return {name: term.double().cpu() for name, term in (terms | code_bits(code, raw)).items()}


def code_bits(code: Code, raw: Tensor) -> dict[str, Tensor]:
    """Reconstruction and entropy of a code that has them, in bits/dim of the stored data [N, …]."""
    return {name: term * bits_per_nat(math.prod(raw.shape[1:])) for name, term in code.nats.items()}


@torch.no_grad()
def continuous_bound(diffusion: Diffusion, data: Data, *, draws: int, seed: int, batch: int = 512) -> Terms:
    """The bound in continuous time on stored data [N, …]; ValueError where the network says nothing between times."""
    require(draws >= 1, f"the bound in continuous time needs at least 1 draw, got {draws}")
    refuse(flow_refusal(diffusion.choices))
    diffusion, raw = diffusion.for_data(data)
    code = diffusion.encoding.code(raw, seed, "bound/dequantise")
    x0 = code.x0
    ends = torch.tensor([1, diffusion.choices.horizon], device=raw.device)
    start, end = diffusion.gamma(ends)
    Lt = torch.zeros(len(raw), dtype=torch.float64, device=raw.device)
    for j in range(draws):
        u = uniform(seed, j, "continuous/gamma", (len(x0),), x0.device)
        t = diffusion.gamma.inverse(start + (end - start) * (j + u) / draws)
        eps = normal(seed, j, "continuous/eps", tuple(x0.shape), x0.device)
        x_t = diffuse(x0, eps, diffusion.gamma(t))
        predicted = _by_batches(diffusion, batch, lambda view, *rows: view.predict(*rows)[1], x_t, t)
        Lt += 0.5 * (end - start) / draws * sum_dims((eps - predicted) ** 2).double()
    eps_0 = normal(seed, 0, "continuous/eps_0", tuple(x0.shape), x0.device)
    per_nat = bits_per_nat(math.prod(diffusion.shape))
    L0 = (_by_batches(diffusion, batch, Diffusion.direct, x0, eps_0) * per_nat).double()
    return Terms(**stored_terms(L0, Lt * per_nat, diffusion.prior(x0) * per_nat, code, diffusion.encoding, raw))


@torch.no_grad()
def estimate_variance(
    diffusion: Diffusion, timesteps: TimestepSampler, raw: Tensor, *, draws: int, batch: int, seed: int
) -> float:
    """Variance of the bound's estimate by one t per image, in (bits/dim)² per image (Kingma et al. 2021, Fig. 4b).

    It is B · Var of the mean over a batch of B = `batch` images whose t are drawn together from the density of
    `timesteps`, by `draws` ≥ 2 repetitions on the same images: L_T and differences between images have no part in it,
    and nor has L_0, which as in the paper counts as known, so that t = 1 adds nothing. For independent t it is the
    mean over images of Var[T L_{t−1} [t > 1]]. Images [N, …] beyond the last whole batch are left out.
    """
    require(draws >= 2, f"a variance needs at least 2 draws, got {draws}")
    diffusion.encoding.check(raw, diffusion.shape)
    chain, n, per_nat = diffusion.chain(), min(batch, len(raw)), bits_per_nat(math.prod(diffusion.shape))
    variances = []
    for i in range(0, len(raw) - n + 1, n):
        x0 = diffusion.encoding.draw(diffusion.encoding.store(raw[i : i + n]), seed, i, "bound/dequantise")
        means = []
        for j in range(draws):
            t, weight = timesteps(uniform(seed, j, f"variance/t/{i}", (n,), raw.device))
            eps = normal(seed, j, f"variance/eps/{i}", tuple(x0.shape), raw.device)
            with precision.exact(raw.device):
                term = diffusion.select(slice(i, i + n)).term(x0, eps, chain, t) * per_nat
            scale = torch.where(t > 1, weight * chain.steps * diffusion.encoding.share, 0)
            means.append((scale * term.double()).mean())
        variances.append(n * torch.stack(means).var())
    return float(torch.stack(variances).mean())


@dataclass(frozen=True, eq=False)
class Vae:
    """A variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114): N(0, I) for p(x_0), a chain of no steps.

    Its reconstruction and entropy are those of a diffusion in the same latents, which `encoding` leads to.
    """

    encoding: LatentCode

    @property
    def device(self) -> torch.device:
        return self.encoding.mean.device

    def for_data(self, data: Data) -> tuple[Vae, Tensor]:
        """The model, and stored data [N, …] without labels, which it knows none of; ValueError for other data."""
        raw = data.values if isinstance(data, Labelled) else data
        self.encoding.check(raw, self.encoding.code_shape)
        return self, raw

    @torch.no_grad()
    def bound(self, data: Data, *, seed: int) -> Bound:
        """The bound on stored data [N, …], at the codes that `bound` draws in its halves."""
        _, raw = self.for_data(data)
        nothing = torch.zeros(len(raw), dtype=torch.float64, device=raw.device)
        terms = []
        for code in codes_of(self.encoding, raw, seed):
            prior = mean_dims(0.5 * (code.x0.double() ** 2 + math.log(2 * math.pi))) * bits_per_nat()
            terms.append(stored_terms(nothing, nothing, prior, code, self.encoding, raw))
        none = torch.zeros(0, dtype=torch.float64)
        return bound_of_halves(terms, none, none)

    def sample(self, n: int, *, seed: int, first: int = 0) -> Tensor:
        """Samples x_0 `first`..`first + n` of a seed [n, …]."""
        return normal_blocks(seed, 0, first, n, self.encoding.code_shape, self.device)
