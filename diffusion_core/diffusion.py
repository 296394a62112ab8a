"""Where the axes meet.

`Diffusion` binds a network to one choice of each axis and answers the three questions that training, likelihood and
sampling ask: the losses of a batch, a term of the bound, and p_θ of a step. `refusal` is the rule that tells which
choices make no sense together.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_core.bound import denoising_term, mean_dims, prior_term
from diffusion_core.chain import Chain, strided_times
from diffusion_core.forward import Pair, diffuse
from diffusion_core.networks.network import Network
from diffusion_core.objectives import Example, Objective
from diffusion_core.parameterizations import Parameterization
from diffusion_core.randomness import initialise, normal, uniform
from diffusion_core.reverse import Reverse, reverse, split_output
from diffusion_core.schedules import Schedule
from diffusion_core.spaces import Space
from diffusion_core.timesteps import Timesteps
from diffusion_core.training import Learner
from diffusion_core.variances import Variance

TIME_SCALE = 1000.0
"""The network sees 1000 t/T, so that one embedding serves every horizon."""


@dataclass(frozen=True)
class Choices:
    """One value of each axis that a `Diffusion` is built from."""

    parameterization: Parameterization
    variance: Variance
    schedule: Schedule
    objective: Objective
    timesteps: Timesteps
    network: Network
    horizon: int


def refusal(choices: Choices, steps: int | None = None) -> str | None:
    """Why these choices cannot be trained, or sampled in `steps` steps; None if they can."""
    if choices.horizon < 2:
        return f"horizon must be at least 2, got {choices.horizon}"
    if choices.variance.learned and not choices.objective.learns_variance:
        return (
            f"objective={choice_name(choices.objective)} teaches no variance, so "
            f"variance={choice_name(choices.variance)} would stay as it was drawn: take objective=vlb, or "
            "variance=beta or beta_tilde"
        )
    if steps is not None and not 1 <= steps <= choices.horizon:
        return f"{steps} steps do not fit horizon={choices.horizon}: take 1 to {choices.horizon}"
    if steps is not None and steps != choices.horizon and not choices.variance.strided:
        return (
            f"variance={choice_name(choices.variance)} belongs to the steps it was trained on and cannot be strided "
            f"({steps} of {choices.horizon} steps): take all steps, or variance=beta or beta_tilde"
        )
    try:
        choices.schedule.build(choices.horizon)
    except ValueError as error:
        return str(error)
    return None


def choice_name(choice: object) -> str:
    """The name of a choice, or of its class, in texts and files: LearnedDiagonal() → learned_diagonal."""
    cls = choice if isinstance(choice, type) else type(choice)
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


class Diffusion(Learner):
    """A network and the choices that give its output a meaning; the state_dict carries all that is learned."""

    times: Tensor

    def __init__(self, choices: Choices, space: Space, shape: tuple[int, ...]) -> None:
        """For data x_0 of `shape` [C, …]; ValueError where the choices do not go together."""
        super().__init__()
        reason = refusal(choices)
        if reason is not None:
            raise ValueError(reason)
        self.choices = choices
        self.space = space
        self.shape = shape
        self.register_buffer("times", strided_times(choices.horizon, choices.horizon), persistent=False)
        self.gamma = choices.schedule.build(choices.horizon)
        self.timesteps = choices.timesteps.build(choices.horizon)
        self.network = choices.network.build(shape, shape[0] * (2 if choices.variance.learned else 1))

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def bits_per_nat(self) -> float:
        """Turns nats per example into bits/dim."""
        return 1 / (math.prod(self.shape) * math.log(2))

    def initialise(self, seed: int) -> None:
        """Draw the network's weights (`randomness.initialise`)."""
        initialise(self.network, seed)

    def chain(self, steps: int | None = None) -> Chain:
        """The full chain, or one of `steps` strided times."""
        times = self.times if steps is None else strided_times(self.choices.horizon, steps).to(self.device)
        return Chain(self.gamma, times, self.choices.schedule.first_step if self.space.grey_levels else "beta_1")

    def output(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The network's output at times t int64 [B], in the dtype of x_t."""
        out: Tensor = self.network(x_t, t.to(x_t.dtype) * (TIME_SCALE / self.choices.horizon))
        return out.to(x_t.dtype)

    def reverse(self, x_t: Tensor, chain: Chain, k: Tensor, *, clip: bool) -> Reverse:
        """p_θ of the chain's steps k int64 [B], at x_t [B, …]; `clip` acts on bounded data only."""
        return self._reverse(self.output(x_t, chain.times[k]), x_t, chain, k, clip)

    def term(self, x0: Tensor, eps: Tensor, chain: Chain, k: Tensor, *, clip: bool) -> Tensor:
        """L_{k−1} (L_0 where k = 1) in bits/dim [B], at x_t = √ᾱ x_0 + √(1 − ᾱ) ε."""
        pair = chain.pair(k)
        p = self.reverse(diffuse(x0, eps, pair.gamma_t), chain, k, clip=clip)
        return self._term(x0, pair, p)

    def prior(self, x0: Tensor) -> Tensor:
        """L_T in bits/dim [B]."""
        end = torch.full((len(x0),), self.choices.horizon, device=x0.device)
        return prior_term(x0, self.gamma(end)) * self.bits_per_nat

    def losses(self, x0: Tensor, t: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """The loss per example [B] of each group of parameters, from one forward pass."""
        chain = self.chain()
        pair = chain.pair(t)
        x_t = diffuse(x0, eps, pair.gamma_t)
        output = self.output(x_t, t)
        parameterization = self.choices.parameterization
        prediction, _ = split_output(output, self.choices.variance)
        example = Example(
            error=mean_dims((parameterization.target(x0, eps, x_t, pair) - prediction) ** 2),
            kappa=parameterization.kappa(pair),
            pair=pair,
            horizon=self.choices.horizon,
            term=lambda: self._term(x0, pair, self._reverse(output, x_t, chain, t, clip=False)),
        )
        return {"network": self.choices.objective.loss(example)}

    def batch_losses(self, raw: Tensor, seed: int, step: int) -> dict[str, Tensor]:
        """`losses` of stored data [B, …], with the dequantisation, t and ε of (seed, step)."""
        x0 = self.space.encode(raw, uniform(seed, step, "dequantise", tuple(raw.shape), raw.device))
        t, weight = self.timesteps(uniform(seed, step, "t", (len(raw),), raw.device))
        losses = self.losses(x0, t, normal(seed, step, "eps", tuple(x0.shape), raw.device))
        return {group: weight.to(loss.dtype) * loss for group, loss in losses.items()}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that each of `losses` teaches."""
        return {"network": list(self.network.parameters())}

    @torch.no_grad()
    def curves(self) -> dict[str, Tensor]:
        """What the choices amount to at t = 1..T, float64 [T]: schedule, bounds of σ², effective ε-weight, density."""
        chain = self.chain()
        t = torch.arange(1, self.choices.horizon + 1, device=self.device)
        pair = chain.pair(t)
        like = torch.zeros(len(t), 1, dtype=torch.float64, device=self.device)
        log_variance = self.choices.variance.log_variance(pair, torch.zeros_like(like), like).flatten()
        kappa = self.choices.parameterization.kappa(pair)
        return {
            "alpha_bar": pair.alpha_bar_t,
            "beta": pair.beta,
            "beta_tilde": pair.beta_tilde,
            "log_snr": -pair.gamma_t,
            "eps_weight": self.choices.objective.eps_weight(kappa, pair, log_variance, self.choices.horizon),
            "density": self.timesteps.density(),
        }

    def _reverse(self, output: Tensor, x_t: Tensor, chain: Chain, k: Tensor, clip: bool) -> Reverse:
        return reverse(
            output,
            x_t,
            chain.pair(k),
            chain.trained_pair(k),
            self.choices.parameterization,
            self.choices.variance,
            clip=clip and self.space.bounded,
        )

    def _term(self, x0: Tensor, pair: Pair, p: Reverse) -> Tensor:
        nats = torch.where(
            pair.ends_clean,
            self.space.decoder_term(x0, p.mean, p.log_variance),
            denoising_term(x0, pair, p),
        )
        return nats * self.bits_per_nat
