"""A diffusion that learns: the losses of a batch, and which parameters each of them teaches.

    stored ─encode▶ x_0 ─diffuse(t, ε)▶ x_t ─denoiser▶ output ─target▶ ‖target − output‖²/D ─objective▶ loss [B]
           encodings    forward             denoiser          parameterizations             objectives

One forward pass gives each group of parameters its own loss: the network that of the objective, a learned schedule the
bound's. What draws t and ε, weighs the losses and takes their gradient is alike for all learners (`trainable.py`,
`trainer.py`). Times live on a chain of T steps or between its ends:

    discrete     t ∈ {1..T}     the bound is Σ L_{t−1}: T L_{t−1} is its estimate by one t
    continuous   t ∈ [1, T]     the bound is an integral: ½ (dγ/du) ‖ε − ε̂‖² is its estimate by one u = (t − 1)/(T − 1)

In T steps all of γ takes the bound's gradient. In continuous time the bound does not depend on γ between its ends,
which take its gradient; the interior takes that of the second moment of its estimate (Kingma et al. 2021, app. I.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, cached_property, partial

import torch
from torch import Tensor, nn

from diffusion_core.choices import Choices
from diffusion_core.conditioning import HOST, INPUTS
from diffusion_core.couplings import Independent
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding
from diffusion_core.forward import Step, diffuse
from diffusion_core.gamma import LearnedGamma
from diffusion_core.objectives import Example, NoiseLevels, VlbContinuous, per_example
from diffusion_core.precision import compile_network
from diffusion_core.randomness import Values, normal, uniform
from diffusion_core.terms import ReverseStep, bits_per_nat, bound_term, mean_dims
from diffusion_core.trainable import Learner, NetworkCall

QUANTILES = (0, 25, 50, 75, 100)
"""Places on the time axis, in percent, at which a learned γ is logged while it trains."""


def levels_of(diffusion: Diffusion, step: Step, rate: Callable[[], Tensor]) -> NoiseLevels:
    """The noise levels of a batch, with κ, T and dγ/du."""
    return NoiseLevels(step, diffusion.choices.parameterization.kappa(step), diffusion.choices.horizon, rate)


class DiffusionLearner(Learner):
    """A diffusion with its objective and the sampler of its training times, which may remember losses."""

    def __init__(self, diffusion: Diffusion) -> None:
        super().__init__()
        self.diffusion = diffusion
        self.choices = diffusion.choices
        self.timesteps = self.choices.timesteps.build(diffusion.gamma)
        self.continuous = self.choices.in_continuous_time

    @classmethod
    def of(cls, choices: Choices, encoding: Encoding, shape: tuple[int, ...], classes: int = 0) -> DiffusionLearner:
        """The learner of a new diffusion; ValueError where the choices do not go together."""
        return cls(Diffusion(choices, encoding, shape, classes))

    @property
    def classes(self) -> int:
        return self.diffusion.classes

    def losses(self, x0: Tensor, t: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """The loss per example [B] of each group of parameters, from one pass of the network without a label, at t
        [B].

        t is int64 in 1..T, or real in continuous time. A loss that is a bound is in bits/dim.
        """
        return self._losses_by(self._call(x0, t, eps, {}))

    def _losses_by(self, call: NetworkCall) -> Values:
        return call.losses(self.diffusion.denoiser.evaluate(call.inputs))

    def _call(self, x0: Tensor, t: Tensor, eps: Tensor, conditions: Values) -> NetworkCall:
        """The network's inputs, with the losses as a function of its output, which may be made beside others'."""
        diffusion, target = self.diffusion, self.choices.parameterization.target
        if self.continuous:
            gamma, slope = diffusion.gamma.rate(t)
            step, rate = Step.level(gamma), lambda: slope
        else:
            step, rate = diffusion.chain().step(t), lambda: diffusion.gamma.rate(t)[1]
        x_t = diffuse(x0, eps, step.gamma_t)

        def losses_by(out: Tensor) -> Values:
            output, raw = diffusion.denoiser.split(out, x_t)
            term = partial(self._term, x0, t, x_t, step, raw)
            error = mean_dims((target(x0, eps, x_t, step) - output) ** 2)
            levels = levels_of(diffusion, step, rate)
            example = Example(levels, error, cache(lambda: term(output)), cache(lambda: term(output.detach())))
            losses = {"network": per_example(self.choices.objective, example)}
            if self.choices.schedule.learned:
                losses |= self._schedule_losses(example, x0, eps)
            return {group: losses[group] for group in self.trained_groups}

        return NetworkCall(diffusion.network, diffusion.denoiser.inputs(x_t, t, step, **conditions), losses_by)

    def _term(self, x0: Tensor, t: Tensor, x_t: Tensor, step: Step, raw: Tensor, output: Tensor) -> Tensor:
        """L_{t−1} in bits/dim [B] by the output for the mean, and by `raw`, the one for a learned σ².

        `Diffusion.term` is the same for a chain that is scored, which may hold x̂_0 in [−1, 1] and be guided.
        """
        if self.continuous:
            raise RuntimeError("an objective that reads a term of a chain must say continuous = False")
        diffusion, variance = self.diffusion, self.choices.variance.trained_as
        estimate = self.choices.parameterization.x0(output, x_t, step)
        p = ReverseStep(step, x_t, estimate, variance.log_variance(step, raw, x_t, diffusion.x0_variance[t]))
        return bound_term(x0, p, diffusion.encoding.decoder_term) * bits_per_nat(x0[0].numel())

    def _schedule_losses(self, example: Example, x0: Tensor, eps: Tensor) -> Values:
        """The losses [B] of a learned schedule's groups of parameters, in bits/dim or their square."""
        diffusion, per_nat = self.diffusion, bits_per_nat(x0[0].numel())
        if not self.continuous:
            return {"schedule": self.choices.horizon * example.term() + diffusion.prior(x0) * per_nat}
        estimate = VlbContinuous().loss(example)
        ends = (diffusion.direct(x0, eps) + diffusion.prior(x0)) * per_nat
        return {"schedule_ends": estimate + ends, "schedule_shape": estimate**2}

    def draws(self, shape: tuple[int, ...], seed: int, step: int) -> Values:
        """The draws of a step: uniforms for times, the noise ε, the encoding's noise, and those of the conditioning."""
        return {
            "u": uniform(seed, step, "t", shape[:1], HOST),
            "eps": normal(seed, step, "eps", (shape[0], *self.diffusion.shape), HOST),
            "encoding": self.diffusion.encoding.noise(shape, seed, step, "dequantise", HOST),
            **self.choices.conditioning.draws(shape[0], seed, step),
        }

    def check(self, stored: Tensor) -> None:
        self.diffusion.encoding.check_stored(stored, self.diffusion.shape)

    @torch.no_grad()
    def couple_noise(self, raw: Tensor, draws: Values, seed: int, step: int) -> Values:
        """The draws, with the noise that the coupling gives each x_0; for each class by itself, if labels are told."""
        # Another class may be independent of x_0 as well, but use more than a single draw.
        if type(self.choices.coupling) is Independent:
            return draws
        x0 = self.diffusion.encoding.encode(raw, draws["encoding"])

        @cache
        def draw(j: int) -> Tensor:
            return normal(seed, step, f"eps/{j}", tuple(x0.shape), x0.device) if j else draws["eps"]

        def among(rows: slice | Tensor) -> Tensor:
            return self.choices.coupling.pair(x0[rows], lambda j: draw(j)[rows])

        if self.LABEL not in draws:
            return draws | {"eps": among(slice(None))}
        eps = draws["eps"].clone()
        for label in set(draws[self.LABEL].tolist()):
            of_class = draws[self.LABEL] == label
            eps[of_class] = among(of_class)
        return draws | {"eps": eps}

    def times(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """A batch's times and the weights of their losses, both [B], from u ~ U[0, 1) float64 [B]."""
        return self.timesteps.real(u) if self.continuous else self.timesteps(u)

    def sample_times(self, draws: Values) -> Values:
        """The draws with a batch's times, by all of its uniforms and what is remembered, and the losses' weights."""
        t, weight = self.times(draws["u"])
        labels = self.choices.conditioning.inputs(draws, self.classes)
        return {"t": t, "eps": draws["eps"], "encoding": draws["encoding"], self.WEIGHT: weight, **labels}

    def example_losses(self, raw: Tensor, draws: Values) -> Values:
        """`losses` of data as the encoding stores them [B, …]."""
        return self._losses_by(self.call(raw, draws))

    def call(self, raw: Tensor, draws: Values) -> NetworkCall:
        x0 = self.diffusion.encoding.encode(raw, draws["encoding"])
        return self._call(x0, draws["t"], draws["eps"], {name: draws[name] for name in INPUTS if name in draws})

    def record_losses(self, draws: Values, losses: Values) -> None:
        """Record the network's losses, from which later times may be drawn."""
        self.timesteps.record(draws["t"], losses["network"])

    @cached_property
    def trained_groups(self) -> tuple[str, ...]:
        """The names of the groups of parameters; the modules are walked once."""
        return tuple(self.parameter_groups())

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters that each of `losses` teaches."""
        network, gamma = self.diffusion.network, self.diffusion.gamma
        groups = {"network": [parameter for parameter in network.parameters() if parameter.requires_grad]}
        if isinstance(gamma, LearnedGamma) and self.continuous:
            groups["schedule_ends"] = [gamma.shift, gamma.log_stretch]
            groups["schedule_shape"] = list(gamma.shape.parameters())
        elif isinstance(gamma, LearnedGamma):
            groups["schedule"] = list(gamma.parameters())
        return {group: parameters for group, parameters in groups.items() if parameters}

    def compile_networks(self) -> None:
        compile_network(self.diffusion.network)

    def matrices(self) -> list[nn.Parameter]:
        return self.choices.network.matrices(self.diffusion.network)

    def decays(self, group: str) -> bool:
        """Weight decay acts on the network alone: it would pull a schedule to another one."""
        return group == "network"

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        """The learned γ at a few quantiles of the time axis, and the state of the density of t."""
        values = self.timesteps.diagnostics()
        if self.choices.schedule.learned:
            share = torch.tensor(QUANTILES, dtype=torch.float64, device=self.diffusion.device) / 100
            gamma = self.diffusion.gamma(1 + share * (self.choices.horizon - 1))
            values |= {f"schedule/gamma_{q}": value for q, value in zip(QUANTILES, gamma.tolist(), strict=True)}
        return values

    @torch.no_grad()
    def curves(self) -> dict[str, Tensor]:
        """Curves that follow from the choices, for t = 1..T, float64 [T].

        They are the schedule, the bounds of σ², the weight of ‖ε − ε̂‖²/D in a loss, the density T p(t) of training
        times, and the weight of ‖ε − ε̂‖²/D in the expected loss, in which p counts unless a loss is divided by it. A
        learned variance is taken at an output of 0. Where L_0 is a sum over bins it is no multiple of ‖ε − ε̂‖², and
        the weights at t = 1 are not a number.
        """
        diffusion, objective = self.diffusion, self.choices.objective
        t = torch.arange(1, self.choices.horizon + 1, device=diffusion.device)
        step = diffusion.chain().step(t)
        nothing = torch.zeros(len(t), 1, dtype=torch.float64, device=diffusion.device)
        variance = self.choices.variance.trained_as
        log_variance = variance.log_variance(step, nothing, nothing, nothing[:, 0]).expand(-1, 1).flatten()
        weight = objective.eps_weight(levels_of(diffusion, step, lambda: diffusion.gamma.rate(t)[1]), log_variance)
        if objective.reads_decoder and diffusion.encoding.grey_levels:
            weight = torch.where(t == 1, math.nan, weight)
        density = self.timesteps.density()
        return {
            "alpha_bar": step.alpha_bar_t,
            "beta": step.beta,
            "beta_tilde": step.beta_tilde,
            "log_snr": -step.gamma_t,
            "eps_weight": weight,
            "density": density,
            "expected_weight": weight if self.choices.timesteps.reweighted else weight * density.to(weight),
        }
