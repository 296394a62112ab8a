"""Choices that are wrong on purpose, each in one thing, for the shared checks to find."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from diffusion_core.chain import FirstStep
from diffusion_core.conditioning import Class, Unconditional
from diffusion_core.couplings import Draw, Immiscible, Independent, Optimal
from diffusion_core.fast.forms import MlpForm
from diffusion_core.forward import Pair
from diffusion_core.gamma import Gamma, GammaTable, Knots
from diffusion_core.networks.mlp import Mlp, MlpModule
from diffusion_core.networks.network import Network
from diffusion_core.objectives import Example, NoiseLevels, Reweighted, Simple
from diffusion_core.parameterizations import Epsilon
from diffusion_core.randomness import Values
from diffusion_core.samplers import Ancestral, Ddim
from diffusion_core.schedules import LogSnrLinear, Schedule
from diffusion_core.timesteps import Importance, ImportanceSampler, Timesteps, TimestepSampler, Uniform
from diffusion_core.variances import Beta


class Waves(Knots):
    def __init__(self, horizon: int, depth: float) -> None:
        super().__init__(horizon, (-10.0, 5.0))
        self.depth = depth

    def curve(self, u: Tensor) -> Tensor:
        return super().curve(u) + self.depth * torch.sin(20 * u)


@dataclass(frozen=True)
class Wavy(Schedule):
    """Falls where its wave is steep."""

    depth: float = 2.0

    def build(self, horizon: int) -> Gamma:
        return Waves(horizon, self.depth)


class PerTime(Knots):
    def rate(self, t: Tensor) -> tuple[Tensor, Tensor]:
        gamma, rate = super().rate(t)
        return gamma, rate / (self.horizon - 1)


class Unscaled(LogSnrLinear):
    """Gives dγ/dt for dγ/du."""

    def build(self, horizon: int) -> Gamma:
        return PerTime(horizon, (-10.0, 5.0))


class Choosy(LogSnrLinear):
    """Refuses every horizon."""

    def build(self, horizon: int) -> Gamma:
        raise ValueError(f"choosy does not like T={horizon}")


class Broken(LogSnrLinear):
    """Fails where it is built."""

    def build(self, horizon: int) -> Gamma:
        return GammaTable(self.beta)


class Unmoved(LogSnrLinear):
    """Builds γ without what moves it."""

    def gamma(self, horizon: int) -> Gamma:
        return self.build(horizon)


class OddFirst(LogSnrLinear):
    """Names a rule for σ_1² that there is not."""

    first_step: ClassVar[FirstStep] = "beta_2"


class SumOfBoth(Epsilon):
    """x_0 + ε, which forgets that x̂_0 is told x_t."""

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return x0 + eps

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return output - x_t


@dataclass(frozen=True)
class Scaled(Epsilon):
    """2 ε, whose κ is 4 SNR and is said to be `said` times the SNR."""

    said: float = 1.0

    def target(self, x0: Tensor, eps: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return 2 * eps

    def x0(self, output: Tensor, x_t: Tensor, pair: Pair) -> Tensor:
        return super().x0(output / 2, x_t, pair)

    def kappa(self, pair: Pair) -> Tensor:
        return self.said * pair.snr_t


class Doubled(Beta):
    """σ² = 2 β."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return super().log_variance(pair, raw, x_t, x0_variance) + torch.log(torch.tensor(2.0))


class Silent(Beta):
    """Is said to be learned, and reads nothing."""

    learned: ClassVar[bool] = True


class Wide(Beta):
    """Gives float64 for whatever data."""

    def log_variance(self, pair: Pair, raw: Tensor, x_t: Tensor, x0_variance: Tensor) -> Tensor:
        return super().log_variance(pair, raw, x_t.double(), x0_variance)


@dataclass(frozen=True)
class Misweighed(Reweighted):
    """The weight of its loss is SNR, and it states that of √SNR."""

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        return torch.exp(-levels.pair.gamma_t)

    def x0_weight(self, levels: NoiseLevels, log_variance: Tensor) -> Tensor:
        return torch.exp(-0.5 * levels.pair.gamma_t)


@dataclass(frozen=True)
class Relative(Reweighted):
    """Its weights have the mean 1 in each batch, so that an example's depends on the others' t."""

    def level_weight(self, levels: NoiseLevels) -> Tensor:
        weight = torch.exp(-0.5 * levels.pair.gamma_t)
        return weight / weight.mean()


class Secretive(Simple):
    """Reads σ² beside the error, and does not say so."""

    continuous: ClassVar[bool] = False

    def loss(self, example: Example) -> Tensor:
        return super().loss(example) + 1e-3 * example.term().detach()


class Stepwise(Simple):
    """Reads a term of a chain, and does not say that continuous time has none."""

    reads_variance: ClassVar[bool] = True

    def loss(self, example: Example) -> Tensor:
        return example.term()


class Averaged(Simple):
    """One loss for the whole batch."""

    def loss(self, example: Example) -> Tensor:
        return super().loss(example).mean()


class SquareSampler(TimestepSampler):
    """t by u², said to be uniform unless `honest`."""

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


@dataclass
class Thawed(Timesteps):
    """Can be changed on its way."""

    reweighted: ClassVar[bool] = True

    def build(self, gamma: Gamma) -> TimestepSampler:
        return Uniform().build(gamma)


class ForgetfulSampler(ImportanceSampler):
    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, *_: Any, **__: Any) -> None:
        return


class Forgetful(Importance):
    """Keeps what it remembers out of its state."""

    def build(self, gamma: Gamma) -> TimestepSampler:
        return ForgetfulSampler(gamma.horizon, self)


@dataclass(frozen=True)
class Held(Uniform):
    """Holds a tensor."""

    table: Tensor = field(default_factory=lambda: torch.ones(3))


class Unsaid(Immiscible):
    """Says that its noise knows nothing of x_0."""

    independent: ClassVar[bool] = True


class Rolled(Independent):
    """Draw 0 in another order, of which it says nothing."""

    def pair(self, x0: Tensor, draw: Draw) -> Tensor:
        return draw(0).roll(1, 0)


class Restless(Optimal):
    """Draws noise of its own."""

    def pair(self, x0: Tensor, draw: Draw) -> Tensor:
        return super().pair(x0, draw) + torch.randn(x0.shape)


class Hushed(Class):
    """Tells labels, and says that it needs none."""

    labelled: ClassVar[bool] = False


class Mixed(Class):
    """Tells the label of the next class."""

    def told(self, draws: Values, classes: int) -> Values:
        values = super().told(draws, classes)
        return values | {"label": (values["label"] + 1) % classes}


class Moody(Class):
    """Draws whose label is dropped anew each time."""

    def draws(self, count: int, seed: int, step: int) -> Values:
        return {"dropped": torch.rand(count) < self.dropout}


class Cheap(Unconditional):
    """Says that two passes are one."""

    @property
    def passes(self) -> int:
        return 1


Drawn = Literal["nothing", "by its own generator", "and not saved"]


class Head(nn.Module):
    """A body that a wrong network changes in one thing: x may be scaled by noise drawn where it is built."""

    built = itertools.count()

    def __init__(self, dims: int, channels_out: int, wrong: Fitting) -> None:
        super().__init__()
        self.body = nn.Linear(dims + 1, 16)
        self.dropout = wrong.dropout
        self.out = nn.Linear(16, channels_out)
        if wrong.zero:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)
        own = wrong.drawn == "by its own generator"
        generator = torch.Generator().manual_seed(next(Head.built)) if own else None
        noise = torch.ones(dims) if wrong.drawn == "nothing" else 1 + 0.5 * torch.rand(dims, generator=generator)
        self.register_buffer("noise", noise, persistent=own)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = torch.tanh(self.body(torch.cat([x * self.noise, time[:, None] / 1000], dim=1)))
        if self.dropout:
            h = nn.functional.dropout(h, self.dropout)
        with torch.autocast(x.device.type, enabled=False):
            return self.out(h.float())


@dataclass(frozen=True)
class Fitting(Network):
    """A network of points that at its defaults has nothing wrong."""

    zero: bool = True
    dropout: float = 0.0
    drawn: Drawn = "nothing"

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        if len(shape) != 1:
            raise ValueError(f"takes points [D], got {list(shape)}")
        return Head(shape[0], channels_out, self)


class Narrow(Fitting):
    """Gives as many channels as it takes, whatever is asked for."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return super().build(shape, shape[0])


class Lonely(Fitting):
    """Is said to gain from others, and cannot lie beside them."""

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        return True


@dataclass(frozen=True)
class Normed(Fitting):
    """Its layer's values are normed by those of the batch, or in training alone."""

    by: Literal["batch", "training"] = "batch"

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        head = super().build(shape, channels_out)
        head.body = nn.Sequential(head.body, nn.BatchNorm1d(16) if self.by == "batch" else InTraining())
        return head


class InTraining(nn.Module):
    """Layer norm in training, and nothing in evaluation."""

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.layer_norm(h, h.shape[1:]) if self.training else h


@dataclass(frozen=True)
class Dropping(Fitting):
    """Drops in training alone, as it should."""

    share: float = 0.0

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        head = super().build(shape, channels_out)
        head.body = nn.Sequential(head.body, nn.Dropout(self.share))
        return head


class Once(torch.autograd.Function):
    """x + 8 x², whose gradient is taken for a constant."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.detach())
        return x + 8 * x**2

    @staticmethod
    def backward(ctx, dy):
        return (1 + 16 * ctx.saved_tensors[0].detach()) * dy


class SilentlyOnce(Fitting):
    """Its second derivatives are wrong without a word."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        head = super().build(shape, channels_out)
        head.register_forward_hook(lambda module, given, out: Once.apply(out))
        return head


class SharedModule(MlpForm):
    """Side by side, networks share what their rows have in common."""

    def beside(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        return super().beside(x - (x.mean(0) if self.members > 1 else 0), time, label)


class Shared(Mlp):
    """A network that sees those beside it."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        if len(shape) != 1:
            raise ValueError(f"takes points [D], got {list(shape)}")
        return SharedModule(self, shape[0], channels_out, 0)


class DeafModule(MlpModule):
    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x, time)


class FirstModule(MlpModule):
    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x, time, torch.zeros_like(time, dtype=torch.int64) if label is None else label)


@dataclass(frozen=True)
class Labelled(Mlp):
    """Makes of labels what it should not."""

    makes: Literal["nothing", "the first of none", "wider layers", "an error"] = "nothing"

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        if self.makes == "an error" and classes:
            raise ValueError("not today")
        if self.makes == "wider layers" and classes:
            return Mlp(2 * self.width, self.layers).labelled(shape, channels_out, classes)
        plain = super().labelled(shape, channels_out, classes)
        kinds = {"nothing": DeafModule, "the first of none": FirstModule}
        return kinds[self.makes](self, shape[0], channels_out, classes) if classes and self.makes in kinds else plain


class Shapeless(Fitting):
    """Takes nothing."""

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        raise ValueError(f"got {list(shape)}")


class OwnNoise(Ancestral):
    """Draws its noise from the global generator."""

    def step(self, diffusion, x_t, chain, k, noise):
        return super().step(diffusion, x_t, chain, k, lambda: torch.randn_like(x_t))


class Crowded(Ddim):
    """Lets samples of a batch see each other."""

    def step(self, *step):
        x = super().step(*step)
        return x - x.mean(0, keepdim=True)


class Miscounted(Ddim):
    """Asks the network twice, and counts it once."""

    def step(self, *step):
        return 0.5 * (super().step(*step) + super().step(*step))
