"""The reverse process p_θ of a denoiser, for a chain of any steps: all axes meet in it.

`Diffusion` binds a network to one choice of each axis and answers what likelihood and sampling ask: p_θ of a step, a
term of the bound, x̂_0 and ε̂ at any time. How it learns is in `learner.py`. With labels given it is p_θ(· | y), a view
with a row for each label; for some of the rows, take a view of these.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from diffusion_core.chain import Chain, Spacing, whole
from diffusion_core.choices import Choices, level_refusal, sensible
from diffusion_core.conditioning import Data, Guide, Labelled, check_labels
from diffusion_core.denoiser import Denoiser, clipped
from diffusion_core.encodings import Encoding
from diffusion_core.fast.forms import accelerated
from diffusion_core.forward import Step, diffuse
from diffusion_core.gamma import Gamma, interpolated
from diffusion_core.precision import Compile, Precision, compile_network, resolve_compile
from diffusion_core.randomness import built, initialise
from diffusion_core.refusing import refuse, require
from diffusion_core.terms import ReverseStep, bound_term, noise_of, prior_term
from diffusion_core.variances import Variance

Progress = Callable[[float], None]
"""A function that is told the share of a long computation that is done."""


def silent(share: float) -> None:
    """Tell nobody."""


class Diffusion(nn.Module):
    """A denoiser, σ² and the encoding of the data; the state_dict carries all that was learned.

    Var(x_0 | x_t) and the terms of the bound, which are fitted to a trained network, are not in it. `labels` are those
    of a view (`with_labels`), and so is a `guide` (`samplers.guided`). If `clip`, x̂_0 of bounded data is held within
    their bounds (`with_clip`).
    """

    all_times: Tensor
    x0_variance: Tensor
    terms: Tensor
    labels: Tensor | None = None
    clip: bool = True
    guide: Guide[Diffusion] | None = None

    def __init__(self, choices: Choices, encoding: Encoding, shape: tuple[int, ...], classes: int = 0) -> None:
        """A diffusion of data x_0 of `shape` [C, …], of `classes` classes, 0 for data without labels; ValueError where
        the choices do not go together."""
        super().__init__()
        sensible(choices)
        if choices.conditioning.labelled and not classes:
            reason = "conditioning={conditioning} tells the network labels, and these data have none: take data with "
            raise ValueError(choices.formatted(reason + "labels, or conditioning=unconditional"))
        self.choices, self.encoding, self.shape = choices, encoding, shape
        self.classes = classes if choices.conditioning.labelled else 0
        unknown = torch.full((choices.horizon + 1,), math.nan, dtype=torch.float64)
        self.register_buffer("all_times", torch.arange(choices.horizon + 1), persistent=False)
        self.register_buffer("x0_variance", unknown, persistent=False)
        self.register_buffer("terms", unknown[:0, None], persistent=False)
        self._full: Chain | None = None
        self.register_load_state_dict_post_hook(Diffusion._forget)  # type: ignore[no-untyped-call]
        network, gamma = accelerated(built(self._network)), choices.schedule.gamma(choices.horizon)
        self.denoiser = Denoiser(network, gamma, choices, self.classes, encoding.bounded)

    @property
    def gamma(self) -> Gamma:
        """γ(t), the schedule's."""
        return self.denoiser.gamma

    @property
    def network(self) -> nn.Module:
        """The network alone."""
        return self.denoiser.network

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _network(self) -> nn.Module:
        # Its own estimate of x_0 takes as many channels as x_t.
        shown = (self.shape[0] * (2 if self.choices.conditioning.self_conditioning else 1), *self.shape[1:])
        channels_out = self.shape[0] * (2 if self.choices.variance.learned else 1)
        if self.classes:
            return self.choices.network.labelled(shown, channels_out, self.classes)
        return self.choices.network.build(shown, channels_out)

    def initialise(self, seed: int) -> None:
        """Draw the network's weights: each layer's by the seed and its name (`randomness.initialise`). Those of a
        published network stay.

        A parameter or buffer that a constructor fills with noise, and no layer draws, is drawn as in a network built by
        the seed: it depends on the seed and on what the constructor drew before it. If networks with different outputs
        must agree in it, the module that holds it needs a `reset_parameters`.
        """
        if self.choices.network.pretrained:
            return
        self.network.load_state_dict(built(self._network, seed).state_dict())
        initialise(self.network, seed)

    @contextmanager
    def network_in(self, precision: Precision, compile: Compile = "none") -> Iterator[None]:
        """A context in which the network, and nothing around it, computes in a precision; samples are drawn in it.

        It is compiled if that is asked for, and stays so.
        """
        denoiser = self.denoiser
        before, denoiser.precision = denoiser.precision, precision
        if resolve_compile(compile, self.device) != "none":
            compile_network(self.network)
        try:
            with self.guide.diffusion.network_in(precision, compile) if self.guide else nullcontext():
                yield
        finally:
            denoiser.precision = before

    def view(self, **changes: Any) -> Diffusion:
        """This diffusion with other attributes, as `dataclasses.replace` gives them: its denoiser is shared."""
        self.chain()  # Views share what the full chain has computed.
        view = copy.copy(self)
        view._buffers = dict(self._buffers)  # A fit to a view must not change the diffusion.
        for name, value in changes.items():
            setattr(view, name, value)
        return view

    def with_labels(self, labels: Tensor | None) -> Diffusion:
        """p_θ(· | y) with a row for each of the labels int64 [N], 0..K − 1, or −1 or K for none; with None, for any
        number of rows without labels. A diffusion that takes no labels returns itself."""
        says = "labels are given to a diffusion before it is guided: guided(diffusion.with_labels(labels), guide)"
        require(self.guide is None, says)
        if not self.classes:
            return self
        if labels is not None:
            check_labels(labels, self.classes)
            labels = torch.where(labels < 0, self.classes, labels).to(self.device)
        return self.view(labels=labels)

    def for_data(self, data: Data) -> tuple[Diffusion, Tensor]:
        """The diffusion with the labels of stored data, if they have any, and the data [N, …].

        ValueError where these are not what it was made for.
        """
        values, labels = data if isinstance(data, Labelled) else (data, None)
        self.encoding.check(values, self.shape)
        return (self if labels is None else self.with_labels(labels)), values

    def select(self, places: slice | Tensor) -> Diffusion:
        """This view for the rows at these places alone; the diffusion itself if no labels were given."""
        guide = self.guide and replace(self.guide, diffusion=self.guide.diffusion.select(places))
        labels = None if self.labels is None else self.labels[places]
        return self if labels is None and guide is None else self.view(labels=labels, guide=guide)

    def denoised(self, x_t: Tensor, t: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """(output, raw) of the denoiser at times t [B], with the labels of its rows."""
        labelled = len(x_t) if self.labels is None else len(self.labels)
        if labelled != len(x_t):
            raise ValueError(
                f"labels of {labelled} rows are given, and {len(x_t)} rows are asked: take "
                "diffusion.select(slice(i, j))"
            )
        return self.denoiser(x_t, t, step, self.labels)

    def fit(self, x0_variance: Tensor) -> None:
        """Give a fitted σ² its Var(x_0 | x_t) at t = 1..T [T] (`fitting.py`); until then it is not a number."""
        # A new buffer: diffusions that share a denoiser share its fit until one of them is fitted anew.
        self.x0_variance = torch.cat([self.x0_variance[:1], x0_variance.to(self.x0_variance)])

    def fit_terms(self, terms: Tensor) -> None:
        """Give a fitted spacing the terms of the bound [T + 1, T + 1] (`fitting.bound_terms`)."""
        self.terms = terms.to(self.device)

    def with_variance(self, variance: Variance) -> Diffusion:
        """This diffusion with another σ²; ValueError where a network is taught its variance.

        A fitted one is not a number until it is fitted (`fitting.with_fitted_variance`).
        """
        asked = replace(self.choices, variance=variance)
        taught = self.choices if self.choices.variance.learned else asked
        if taught.variance.learned and variance != self.choices.variance:
            reason = "variance={variance} is taught to a network, and cannot be swapped: train one with it"
            raise ValueError(taught.formatted(reason))
        return self.view(choices=sensible(asked), x0_variance=torch.full_like(self.x0_variance, math.nan))

    def with_spacing(self, spacing: Spacing) -> Diffusion:
        """This diffusion with another choice of the times that a chain of fewer steps visits.

        A fitted one asks to be fitted first (`fitting.with_optimal_spacing`).
        """
        return self.view(choices=sensible(replace(self.choices, spacing=spacing)), terms=self.terms[:0])

    def with_clip(self, clip: bool) -> Diffusion:
        """A view whose x̂_0 of bounded data is clipped, or not, where it is scored, fitted or sampled."""
        return self.view(clip=clip)

    def chain(self, steps: int | None = None, *, real: bool = False) -> Chain:
        """The full chain, or one of `steps` times that the spacing chooses.

        Times are rounded, unless they may be `real` and the network knows what lies between 1..T.
        """
        own_rule = self.encoding.grey_levels and self.choices.first_step == "schedule"
        first_step = self.choices.schedule.first_step if own_rule else "beta_1"
        if steps is not None and steps != self.choices.horizon:
            times = self.choices.spacing.times(self.gamma, steps, self.terms)
            kept = times if real and self.choices.knows_between else whole(times)
            return Chain(self.gamma, kept.to(self.device), first_step)
        # Every training step asks for the full one, and can use what it has computed before, unless γ has moved.
        full = self._full
        if full is None or self.gamma.learns or full.gamma is not self.gamma or full.first_step != first_step:
            full = self._full = Chain(self.gamma, self.all_times, first_step)
        return full

    def _forget(self, *_: Any) -> None:
        self._full = None

    def _apply(self, *arguments: Any, **options: Any) -> Diffusion:
        """Move or cast, but not to float64; what the full chain has computed is dropped."""
        self._forget()
        before = next(self.network.parameters()).dtype
        moved: Diffusion = super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        if next(self.network.parameters()).dtype == torch.float64 != before:
            raise ValueError("networks compute in float32, or bf16 by autocast, and not in float64: model.float()")
        return moved

    def clipped(self, x0: Tensor) -> Tensor:
        """x̂_0 within the data's bounds, where they have any and it is to be clipped."""
        return clipped(x0) if self.clip and self.encoding.bounded else x0

    def reverse(self, x_t: Tensor, chain: Chain, k: Tensor) -> ReverseStep:
        """p_θ of the chain's steps k int64 [B], at x_t [B, …]."""
        step = chain.step(k)
        trained = chain.trained_step(k) if self.choices.parameterization.needs_step and not chain.full else step
        t = chain.times[k]
        output, raw = self.denoised(x_t, t, trained)
        x0 = self.estimate(output, x_t, trained, lambda guide: guide.reverse(x_t, chain, k).x0)
        fitted = interpolated(self.x0_variance, t.double(), 1)
        return ReverseStep(step, x_t, x0, self.choices.variance.log_variance(step, raw, x_t, fitted))

    def estimate(
        self, output: Tensor, x_t: Tensor, trained: Step, of_guide: Callable[[Diffusion], Tensor] | None = None
    ) -> Tensor:
        """x̂_0 that the denoiser's output at x_t stands for, guided by what is asked `of_guide`, and clipped.

        `trained` is the step that it was trained on.
        """
        x0 = self.choices.parameterization.x0(output, x_t, trained)
        if self.guide is not None and of_guide is not None:
            x0 = self.guide.x0(x0, trained.gamma_t, of_guide)
        return self.clipped(x0)

    def predict(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(x̂_0, ε̂) at real times t [B] in [1, T]; ValueError where an output means nothing without a step."""
        refuse(level_refusal(self.choices))
        level = Step.level(self.gamma(t))
        output, _ = self.denoised(x_t, t, level)
        x0 = self.estimate(output, x_t, level, lambda guide: guide.predict(x_t, t)[0])
        return x0, noise_of(x0, x_t, level)

    def term(self, x0: Tensor, eps: Tensor, chain: Chain, k: Tensor) -> Tensor:
        """L_{k−1} (L_0 where k = 1) in nats [B], at x_t = √ᾱ x_0 + √(1 − ᾱ) ε."""
        p = self.reverse(diffuse(x0, eps, self.gamma(chain.times[k])), chain, k)
        return bound_term(x0, p, self.encoding.decoder_term)

    def prior(self, x0: Tensor) -> Tensor:
        """L_T in nats [B]."""
        return prior_term(x0, self.gamma(self.all_times[-1:].expand(len(x0))))

    def direct(self, x0: Tensor, eps: Tensor) -> Tensor:
        """L_0 in nats [B] by the decoder that needs no network."""
        return self.encoding.direct_term(x0, eps, self.gamma(self.all_times[1:2].expand(len(x0))))
