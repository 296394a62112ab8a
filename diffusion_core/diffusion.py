"""Where the axes meet.

`Diffusion` binds a network to one choice of each axis and answers the three questions that training, likelihood and
sampling ask: the losses of a batch, a term of the bound, and p_θ of a step.

From one forward pass each recipient takes its own loss: the network the objective's, a learned schedule the bound's,
and in continuous time, where the bound does not depend on γ between its ends, the interior takes the second moment of
the bound's estimate (Kingma et al. 2021, appendix I.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from diffusion_core.bound import denoising_term, mean_dims, prior_term
from diffusion_core.chain import Chain, strided_times
from diffusion_core.choices import Choices, choice_name, level_refusal, refusal
from diffusion_core.encodings import Encoding
from diffusion_core.forward import Pair, diffuse
from diffusion_core.gamma import LearnedGamma
from diffusion_core.objectives import Example, NoiseLevels
from diffusion_core.randomness import built, initialise, normal, uniform
from diffusion_core.reverse import Reverse, denoise, reverse, split_output
from diffusion_core.training import Learner
from diffusion_core.units import bits_per_nat
from diffusion_core.variances import Variance

TIME_SCALE = 1000.0
"""The largest time that a network is told, 1000 t/T or γ on a scale as long: one embedding serves every horizon."""

QUANTILES = (0, 25, 50, 75, 100)
"""Places on the time axis, in percent, at which a learned γ is logged while it trains."""


def _no_step() -> Tensor:
    raise AssertionError("an objective in continuous time reads no term of a chain")


class Diffusion(Learner):
    """A network and the choices that give its output a meaning; the state_dict carries all that is learned."""

    times: Tensor
    m: Tensor

    def __init__(self, choices: Choices, encoding: Encoding, shape: tuple[int, ...]) -> None:
        """A diffusion of data x_0 of `shape` [C, …]; ValueError where the choices do not go together."""
        super().__init__()
        reason = refusal(choices)
        if reason is not None:
            raise ValueError(reason)
        self.choices = choices
        self.encoding = encoding
        self.shape = shape
        self.register_buffer("times", strided_times(choices.horizon, choices.horizon), persistent=False)
        self.register_buffer("m", torch.full((choices.horizon + 1,), math.nan).double(), persistent=False)
        self.gamma = choices.schedule.build(choices.horizon)
        self.timesteps = choices.timesteps.build(choices.horizon)
        self.network = built(self._network)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _network(self) -> nn.Module:
        return self.choices.network.build(self.shape, self.shape[0] * (2 if self.choices.variance.learned else 1))

    def initialise(self, seed: int) -> None:
        """Draw the network's weights: each layer's by the seed and its name (`randomness.initialise`).

        What no layer draws, a parameter or buffer that a constructor fills with noise, is drawn as in a network built
        by the seed: it is a function of the seed and of what that constructor drew before. Where networks of other
        outputs are to agree in it, the module that holds it needs a `reset_parameters`.
        """
        self.network.load_state_dict(built(self._network, seed).state_dict())
        initialise(self.network, seed)

    def fit(self, m: Tensor) -> None:
        """Give a fitted variance its m_1..m_T [T] (`variances.py`); until then its σ² is not a number."""
        self.m[1:] = m.to(self.m)

    def with_variance(self, variance: Variance) -> Diffusion:
        """This diffusion with another σ², its network shared; ValueError where a network is taught its variance.

        A fitted one is not a number until it is fitted (`fitting.with_fitted_variance`).
        """
        taught = next((choice for choice in (self.choices.variance, variance) if choice.learned), None)
        if taught is not None and variance != self.choices.variance:
            raise ValueError(
                f"variance={choice_name(taught)} is taught to a network, and cannot be swapped: train one with it"
            )
        other = Diffusion(replace(self.choices, variance=variance), self.encoding, self.shape)
        other.network, other.gamma, other.timesteps = self.network, self.gamma, self.timesteps
        return other.to(self.device).train(self.training)

    def chain(self, steps: int | None = None) -> Chain:
        """The full chain, or one of `steps` strided times."""
        times = self.times if steps is None else strided_times(self.choices.horizon, steps).to(self.device)
        own_rule = self.encoding.grey_levels and self.choices.first_step == "schedule"
        return Chain(self.gamma, times, self.choices.schedule.first_step if own_rule else "beta_1")

    def output(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The network's output at times t [B] in [1, T], in the dtype of x_t."""
        if self.choices.time_input == "log_snr":
            start, end = self.gamma.input_ends
            time = (self.gamma(t) - start) * (TIME_SCALE / (end - start))
        else:
            time = t.to(x_t.dtype) * (TIME_SCALE / self.choices.horizon)
        out: Tensor = self.network(x_t, time.to(x_t.dtype))
        return out.to(x_t.dtype)

    def reverse(self, x_t: Tensor, chain: Chain, k: Tensor, *, clip: bool) -> Reverse:
        """p_θ of the chain's steps k int64 [B], at x_t [B, …]; `clip` acts on bounded data only."""
        return self._reverse(self.output(x_t, chain.times[k]), x_t, chain, k, self.choices.variance, clip=clip)

    def predict(self, x_t: Tensor, t: Tensor, *, clip: bool) -> tuple[Tensor, Tensor]:
        """(x̂_0, ε̂) at real times t [B] in [1, T]; ValueError where an output means nothing without a step."""
        reason = level_refusal(self.choices)
        if reason is not None:
            raise ValueError(reason)
        level = Pair.level(self.gamma(t))
        prediction, _ = split_output(self.output(x_t, t), self.choices.variance)
        return denoise(
            prediction, x_t, level, level, self.choices.parameterization, clip=clip and self.encoding.bounded
        )

    def term(self, x0: Tensor, eps: Tensor, chain: Chain, k: Tensor, *, clip: bool) -> Tensor:
        """L_{k−1} (L_0 where k = 1) in nats [B], at x_t = √ᾱ x_0 + √(1 − ᾱ) ε."""
        pair = chain.pair(k)
        p = self.reverse(diffuse(x0, eps, pair.gamma_t), chain, k, clip=clip)
        return self._term(x0, pair, p)

    def prior(self, x0: Tensor) -> Tensor:
        """L_T in nats [B]."""
        end = torch.full((len(x0),), self.choices.horizon, device=x0.device)
        return prior_term(x0, self.gamma(end))

    def direct(self, x0: Tensor, eps: Tensor) -> Tensor:
        """L_0 in nats [B] by the decoder that needs no network."""
        first = torch.ones(len(x0), device=x0.device)
        return self.encoding.direct_term(x0, eps, self.gamma(first))

    def losses(self, x0: Tensor, t: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """The loss per example [B] of each group of parameters, from one forward pass, at t [B].

        t is int64 in 1..T, or real where the objective is in continuous time. A loss that is a bound is in bits/dim.
        """
        return self._continuous_losses(x0, t, eps) if self.choices.objective.continuous else self._losses(x0, t, eps)

    def _losses(self, x0: Tensor, t: Tensor, eps: Tensor) -> dict[str, Tensor]:
        chain = self.chain()
        pair = chain.pair(t)
        x_t = diffuse(x0, eps, pair.gamma_t)
        output = self.output(x_t, t)
        prediction, raw = split_output(output, self.choices.variance)
        variance = self.choices.variance.trained_as

        def term(output: Tensor) -> Tensor:
            return self._bits(self._term(x0, pair, self._reverse(output, x_t, chain, t, variance, clip=False)))

        example = Example(
            levels=self._levels(pair, lambda: self.gamma.rate(t)[1]),
            error=self._error(prediction, x0, eps, x_t, pair),
            term=lambda: term(output),
            variance_term=lambda: term(torch.cat([prediction.detach(), raw], dim=1)),
        )
        losses = {"network": self.choices.objective.loss(example)}
        if self.choices.schedule.learned:
            losses["schedule"] = self.choices.horizon * term(output) + self._bits(self.prior(x0))
        return losses

    def _continuous_losses(self, x0: Tensor, t: Tensor, eps: Tensor) -> dict[str, Tensor]:
        gamma, rate = self.gamma.rate(t)
        level = Pair.level(gamma)
        x_t = diffuse(x0, eps, gamma)
        prediction, _ = split_output(self.output(x_t, t), self.choices.variance)
        example = Example(
            levels=self._levels(level, lambda: rate),
            error=self._error(prediction, x0, eps, x_t, level),
            term=_no_step,
            variance_term=_no_step,
        )
        estimate = self.choices.objective.loss(example)
        recipients = {
            "network": lambda: estimate,
            "schedule_ends": lambda: estimate + self._bits(self.direct(x0, eps)) + self._bits(self.prior(x0)),
            "schedule_shape": lambda: estimate**2,
        }
        return {group: recipients[group]() for group in self.parameter_groups()}

    def batch_losses(self, raw: Tensor, seed: int, step: int) -> dict[str, Tensor]:
        """`losses` of a batch as the encoding stores it [B, …], at the x_0, t and ε that (seed, step) draws."""
        x0 = self.encoding.draw(raw, seed, step, "dequantise")
        u = uniform(seed, step, "t", (len(raw),), raw.device)
        t, weight = self.timesteps.real(u) if self.choices.objective.continuous else self.timesteps(u)
        losses = self.losses(x0, t, normal(seed, step, "eps", tuple(x0.shape), raw.device))
        self.timesteps.record(t, losses["network"].detach())
        return {group: weight.to(loss.dtype) * loss for group, loss in losses.items()}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that each of `losses` teaches."""
        groups = {"network": [parameter for parameter in self.network.parameters() if parameter.requires_grad]}
        if isinstance(self.gamma, LearnedGamma):
            if self.choices.objective.continuous:
                groups["schedule_ends"] = self.gamma.end_parameters
                groups["schedule_shape"] = self.gamma.shape_parameters
            else:
                groups["schedule"] = list(self.gamma.parameters())
        return {group: parameters for group, parameters in groups.items() if parameters}

    def decays(self, group: str) -> bool:
        """Weight decay acts on the network alone: it would pull a schedule to another one."""
        return group == "network"

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        """The learned γ at a few quantiles of the time axis, and the state of the density of t."""
        values = self.timesteps.diagnostics()
        if self.choices.schedule.learned:
            share = torch.tensor(QUANTILES, dtype=torch.float64, device=self.device) / 100
            gamma = self.gamma(1 + share * (self.choices.horizon - 1))
            values |= {f"schedule/gamma_{q}": value for q, value in zip(QUANTILES, gamma.tolist(), strict=True)}
        return values

    @torch.no_grad()
    def curves(self) -> dict[str, Tensor]:
        """Curves that follow from the choices, for t = 1..T, float64 [T]: schedule, bounds of σ², ε-weight, density.

        A learned variance is taken at an output of 0. Where L_0 is a sum over bins it is no multiple of ‖ε − ε̂‖², and
        the ε-weight at t = 1 is not a number.
        """
        t = torch.arange(1, self.choices.horizon + 1, device=self.device)
        pair = self.chain().pair(t)
        nothing = torch.zeros(len(t), 1, dtype=torch.float64, device=self.device)
        variance = self.choices.variance.trained_as
        log_variance = variance.log_variance(pair, nothing, nothing, nothing[:, 0]).expand(-1, 1).flatten()
        weight = self.choices.objective.eps_weight(self._levels(pair, lambda: self.gamma.rate(t)[1]), log_variance)
        if self.choices.objective.reads_decoder and self.encoding.grey_levels:
            weight = torch.where(t == 1, math.nan, weight)
        return {
            "alpha_bar": pair.alpha_bar_t,
            "beta": pair.beta,
            "beta_tilde": pair.beta_tilde,
            "log_snr": -pair.gamma_t,
            "eps_weight": weight,
            "density": self.timesteps.density(),
        }

    def _bits(self, nats: Tensor) -> Tensor:
        """Nats [B] in bits/dim of x_0, the unit of losses that are a bound."""
        return nats * bits_per_nat(math.prod(self.shape))

    def _levels(self, pair: Pair, rate: Callable[[], Tensor]) -> NoiseLevels:
        return NoiseLevels(pair, self.choices.parameterization.kappa(pair), self.choices.horizon, rate)

    def _error(self, prediction: Tensor, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        """‖target − prediction‖²/D [B]."""
        return mean_dims((self.choices.parameterization.target(x0, eps, x_t, pair) - prediction) ** 2)

    def _reverse(
        self, output: Tensor, x_t: Tensor, chain: Chain, k: Tensor, variance: Variance, *, clip: bool
    ) -> Reverse:
        pair = chain.pair(k)
        x0_variance = pair.one_minus_alpha_bar_t / pair.alpha_bar_t * self.m[chain.times[k]]
        return reverse(
            output,
            x_t,
            pair,
            chain.trained_pair(k),
            self.choices.parameterization,
            variance,
            x0_variance.clamp(max=1) if variance.exact and self.encoding.bounded else x0_variance,
            clip=clip and self.encoding.bounded,
        )

    def _term(self, x0: Tensor, pair: Pair, p: Reverse) -> Tensor:
        # The decoder is worked out for every row: where it does not count it is given what cannot overflow.
        first = pair.ends_clean.reshape(-1, *[1] * (x0.ndim - 1))
        decoder = self.encoding.decoder_term(x0, torch.where(first, p.mean, x0), torch.where(first, p.log_variance, 0))
        return torch.where(pair.ends_clean, decoder, denoising_term(x0, pair, p))
