"""Choices without a network that are wrong on purpose, each in one thing, for the shared checks to find."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from diffusion_core.forward import Pair, expand
from diffusion_core.gamma import Gamma, GammaTable, Knots
from diffusion_core.objectives import Example, NoiseLevels, Objective, Reweighted
from diffusion_core.parameterizations import Parameterization
from diffusion_core.schedules import FirstStep, Schedule
from diffusion_core.timesteps import Timesteps, TimestepSampler
from diffusion_core.variances import Variance


class Curve(Gamma):
    """γ from −10 to 5, with a wave of `depth` on it, or with a rate that forgets the scale of u."""

    def __init__(self, horizon: int, depth: float = 0.0, *, unscaled: bool = False) -> None:
        super().__init__(horizon)
        self.depth = depth
        self.unscaled = unscaled
        self.register_buffer("ends", torch.tensor([-10.0, 5.0], dtype=torch.float64))

    def at(self, t: Tensor) -> Tensor:
        u = (t - 1) / (self.horizon - 1)
        return self.ends[0] + (self.ends[1] - self.ends[0]) * u + self.depth * torch.sin(20 * u)

    def rate(self, t: Tensor) -> tuple[Tensor, Tensor]:
        gamma, rate = super().rate(t)
        return gamma, rate / (self.horizon - 1) if self.unscaled else rate


@dataclass(frozen=True)
class Wavy(Schedule):
    """Falls where its wave is steep."""

    depth: float = 2.0

    def build(self, horizon: int) -> Gamma:
        return Curve(horizon, self.depth)


@dataclass(frozen=True)
class Unscaled(Schedule):
    """Gives dγ/dt for dγ/du."""

    def build(self, horizon: int) -> Gamma:
        return Curve(horizon, unscaled=True)


@dataclass(frozen=True)
class Steep(Schedule):
    """Leaves nothing of x_0 that float32 could divide by."""

    def build(self, horizon: int) -> Gamma:
        return Knots(horizon, (-10.0, 200.0))


@dataclass(frozen=True)
class Choosy(Schedule):
    """Refuses every horizon."""

    def build(self, horizon: int) -> Gamma:
        raise ValueError(f"choosy does not like T={horizon}")


@dataclass(frozen=True)
class Broken(Schedule):
    """Fails where it is built."""

    def build(self, horizon: int) -> Gamma:
        return GammaTable(self.beta)


@dataclass(frozen=True)
class OddFirst(Schedule):
    """Names a rule for σ_1² that there is not."""

    first_step: ClassVar[FirstStep] = "beta_2"

    def build(self, horizon: int) -> Gamma:
        return Curve(horizon)


@dataclass
class Thawed(Schedule):
    """Can be changed on its way."""

    end: float = 5.0

    def build(self, horizon: int) -> Gamma:
        return Knots(horizon, (-10.0, self.end))


@dataclass(frozen=True)
class SumOfBoth(Parameterization):
    """x_0 + ε, which forgets that x̂_0 is told x_t."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return x0 + eps

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return output - x_t

    def kappa(self, pair: Pair) -> Tensor:
        return torch.ones_like(pair.gamma_t)


@dataclass(frozen=True)
class Scaled(Parameterization):
    """2 ε, whose κ is 4 SNR and is said to be `said` times the SNR."""

    said: float = 1.0

    reads_noise: ClassVar[bool] = False

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return 2 * eps

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        noise = expand(pair.one_minus_alpha_bar_t.sqrt(), x_t) * output / 2
        return (x_t - noise) / expand(pair.alpha_bar_t.sqrt(), x_t)

    def kappa(self, pair: Pair) -> Tensor:
        return self.said * pair.snr_t


@dataclass(frozen=True)
class Doubled(Variance):
    """σ² = 2 β."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(pair.log_beta, x_t) + torch.log(torch.tensor(2.0))


@dataclass(frozen=True)
class Silent(Variance):
    """Is said to be learned, and reads nothing."""

    learned: ClassVar[bool] = True

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(pair.log_beta, x_t)


@dataclass(frozen=True)
class Wide(Variance):
    """Gives float64 for whatever data."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return expand(pair.log_beta, x_t.double())


@dataclass(frozen=True)
class Misweighed(Reweighted):
    """The weight of its loss is SNR, and it states that of √SNR."""

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        return torch.exp(-levels.pair.gamma_t)

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return torch.exp(-0.5 * levels.pair.gamma_t)


@dataclass(frozen=True)
class Secretive(Objective):
    """Reads σ² beside the error, and does not say so."""

    continuous: ClassVar[bool] = False

    def loss(self, example: Example) -> Tensor:
        return example.error + 0.0 * example.error + 1e-3 * example.term().detach()

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


@dataclass(frozen=True)
class Stepwise(Objective):
    """Reads a term of a chain, and does not say that continuous time has none."""

    reads_variance: ClassVar[bool] = True

    def loss(self, example: Example) -> Tensor:
        return example.term()

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


@dataclass(frozen=True)
class Averaged(Objective):
    """One loss for the whole batch."""

    def loss(self, example: Example) -> Tensor:
        return example.error.mean()

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return levels.kappa


class SquareSampler(TimestepSampler):
    """t by u², said to be uniform, and with `weighted` weighed as it should be."""

    def __init__(self, horizon: int, honest: bool) -> None:
        super().__init__(horizon)
        self.honest = honest

    def density(self) -> Tensor:
        edges = (torch.arange(self.horizon + 1, dtype=torch.float64) / self.horizon).sqrt()
        return self.horizon * edges.diff() if self.honest else super().density()

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(u**2)


@dataclass(frozen=True)
class Squared(Timesteps):
    """Times drawn by u², whose density is stated if `honest`, and never undone by a weight."""

    honest: bool = False

    def build(self, gamma: Gamma) -> TimestepSampler:
        return SquareSampler(gamma.horizon, self.honest)


class ForgetfulSampler(TimestepSampler):
    """Its density follows the last loss at t = 1, which is in no buffer."""

    last = 0.0

    def record(self, t: Tensor, loss: Tensor) -> None:
        self.last += float(loss[0])

    def density(self) -> Tensor:
        density = torch.ones(self.horizon, dtype=torch.float64)
        density[0] += self.last
        return density * (self.horizon / density.sum())

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        density = self.density()
        index = torch.searchsorted(density.cumsum(0), u * self.horizon, right=True).clamp(max=self.horizon - 1)
        return 1 + index, 1 / density[index]


@dataclass(frozen=True)
class Forgetful(Timesteps):
    """Remembers in a plain attribute."""

    adapts: ClassVar[bool] = True

    def build(self, gamma: Gamma) -> TimestepSampler:
        return ForgetfulSampler(gamma.horizon)


@dataclass(frozen=True)
class Held(Timesteps):
    """Holds a tensor."""

    table: Tensor = field(default_factory=lambda: torch.ones(3))

    def build(self, gamma: Gamma) -> TimestepSampler:
        return SquareSampler(gamma.horizon, honest=True)
