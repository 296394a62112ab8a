"""The denoiser: a network, the meaning of its output, and its inputs; it gives x̂_0 and ε̂ at a noise level.

    x_t ─▶ network(c_in x_t, time) ─▶ output ─▶ x̂_0 ─▶ clipped, or not ─▶ ε̂ = (x_t − √ᾱ x̂_0)/√(1 − ᾱ)

Clipping acts on x̂_0, so it means the same for every parameterization: ε̂ is rebuilt from the clipped x̂_0. A network
may also be told a label, and be shown its own x̂_0 beside x_t (`conditioning.py`).
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from diffusion_core.choices import Choices
from diffusion_core.forward import Step
from diffusion_core.gamma import Gamma
from diffusion_core.networks.network import TIME_SCALE
from diffusion_core.precision import Precision, is_compiled, network_call
from diffusion_core.randomness import Values

PLACES = 2**21
"""The most pixels, of all examples together, in a call of a network without a gradient.

512 images of 64×64, 32 of 256×256: the feature maps of more would outgrow the memory.
"""

PLACES_WITH_GRADIENT = 2**17
"""The most pixels where a scored quantity is a gradient in x_t, for which every layer keeps its feature maps.

128 images of 32×32: by a network of DDPM's size, whose layers keep about 50 kB a pixel, 6 GB.
"""


def at_once(shape: tuple[int, ...], places: int) -> int:
    """The number of examples of this shape [C, …] that together have `places` pixels, at least one."""
    return max(1, places // math.prod(shape[1:]))


class Denoiser(nn.Module):
    """A network with the `choices` that give its output a meaning, for the noise levels of `gamma`.

    If σ² is learned, the output's channels are two halves, the second for it. `classes` is K if the network is told
    labels, else 0. With self-conditioning it is shown its own estimate of x_0, as that of `bounded` data or of others.
    `precision` is that of the network alone, which may be compiled (`precision.py`).
    """

    def __init__(self, network: nn.Module, gamma: Gamma, choices: Choices, classes: int, bounded: bool) -> None:
        super().__init__()
        self.network = network
        self.gamma = gamma
        self.choices = choices
        self.classes = classes
        self.bounded = bounded
        self.precision: Precision = "float32"

    def forward(self, x_t: Tensor, t: Tensor, step: Step, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(output, raw) at times t [B], whole or real in [1, T], whose noise levels are γ_t of `step`.

        The output is for the parameterization, `raw` for a learned variance: [B, 0, …] where there is none. A `label`
        [B] counts only if the network is told labels; None means that no example has one.
        """
        return self.split(self.evaluate(self.inputs(x_t, t, step, label)), x_t)

    def inputs(
        self, x_t: Tensor, t: Tensor, step: Step, label: Tensor | None = None, self_conditioned: Tensor | None = None
    ) -> Values:
        """The network's inputs at x_t: `x`, `time` and, if it is told labels, `label`.

        With self-conditioning, `self_conditioned` [B] says which examples of a training are shown its own estimate,
        without a gradient; the others are shown zeros.
        """
        shown = self.choices.parameterization.network_input(x_t, step)
        inputs = {"x": shown, "time": self.time(t, step.gamma_t).to(x_t.dtype)}
        if self.classes:
            nothing = torch.full_like(t, self.classes, dtype=torch.int64)
            inputs["label"] = nothing if label is None else label
        if not self.choices.conditioning.self_conditioning:
            return inputs
        with nullcontext() if self_conditioned is None else torch.no_grad():
            estimate = self.first_estimate(inputs, x_t, step)
        if self_conditioned is not None:
            estimate = torch.where(self_conditioned.reshape(-1, *[1] * (x_t.ndim - 1)), estimate, 0)
        return inputs | {"x": torch.cat([shown, estimate], 1)}

    def first_estimate(self, inputs: Values, x_t: Tensor, step: Step) -> Tensor:
        """The network's own estimate in the form that it is shown, made with zeros in its place."""
        blank = torch.cat([inputs["x"], torch.zeros_like(x_t)], 1)
        output, _ = self.split(self.evaluate(inputs | {"x": blank}), x_t)
        x0 = self.choices.parameterization.x0(output, x_t, step)
        return clipped(x0) if self.bounded else step.signal(x0)

    def evaluate(self, inputs: Values) -> Tensor:
        """The network's output. Without a gradient, large examples are processed some at a time."""
        if torch.is_grad_enabled():
            return self._evaluate(inputs)
        count = at_once(tuple(inputs["x"].shape[1:]), PLACES)
        rows = [slice(i, i + count) for i in range(0, len(inputs["x"]), count)]
        return torch.cat([self._evaluate({name: value[part] for name, value in inputs.items()}) for part in rows])

    def split(self, out: Tensor, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """(output, raw) of a network's output at x_t."""
        out = out.to(x_t.dtype)
        output, raw = out.chunk(2, dim=1) if self.choices.variance.learned else (out, out[:, :0])
        return output, raw

    def _evaluate(self, values: Values) -> Tensor:
        """The network's output for these inputs, in the precision that it is to compute in."""
        with network_call(self.precision, values["x"].device):
            out = self.network(*values.values())
        return out.clone() if is_compiled(self.network) else out

    def time(self, t: Tensor, gamma_t: Tensor) -> Tensor:
        """The network's second input, for the time t [B] with the noise level γ_t [B], float64."""
        if self.choices.time_input == "t":
            return t.double() * (TIME_SCALE / self.gamma.horizon)
        start, end = self.gamma.input_ends
        return (gamma_t - start) * (TIME_SCALE / (end - start))


def clipped(x0: Tensor) -> Tensor:
    """x̂_0 held within [−1, 1], where bounded data lie."""
    return x0.clamp(-1, 1)
