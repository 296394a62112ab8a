"""`python -m benchmarks.changes`: the gain of each measure for speed, by taking it back, as Markdown.

python -m benchmarks.changes [rounds=15] [threads=1] [out=FILE]

A step as cells are trained on a CPU, and the same with one measure undone, take turns in one process; so does a network
call of sampling. What is undone is what any code in PyTorch does at first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from benchmarks.cases import BASE, LARGE, SMALL, Workload
from benchmarks.machine import machine
from benchmarks.timing import interleaved
from diffusion_core.diffusion import Diffusion
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks import fused, layers, unet
from diffusion_core.objectives import Objective, Vlb
from diffusion_core.population import Member
from diffusion_core.precision import resolve_precision
from diffusion_core.samplers import Ddim
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from evidence.page_command import page_command

OPTIONS = {
    "rounds": Option("how often every case is timed; medians are compared", 15, int),
    "threads": Option("CPU threads", 1, int),
}
CPU = torch.device("cpu")
SIZES = {
    "8×8, batch 128": Workload(SMALL, (1, 8, 8), 128, CPU),
    "32×32, batch 64": Workload(LARGE, (3, 32, 32), 64, CPU),
}
Precision = Literal["auto", "float32", "bf16"]


class ByParameter(Trainer):
    """A trainer with torch's AdamW, and an average of each parameter by itself."""

    def __init__(self, learner: Learner, plan: Training, device: torch.device) -> None:
        super().__init__(learner, plan, device)
        self.optimiser = TorchAdamW(learner.parameter_groups())  # type: ignore[assignment]
        self.member = Member(learner, self.optimiser, self.precision, device)
        self.averages.follow = self._average  # type: ignore[method-assign]

    @torch.no_grad()
    def _average(self, shares: Iterable[float | Tensor]) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.learner.parameters()), 0.1)


class TorchAdamW:
    """torch's AdamW, told as ours is."""

    def __init__(self, groups: Mapping[str, list[nn.Parameter]]) -> None:
        self.groups = groups
        self.gradients: list[Tensor] = []
        self.optimiser = torch.optim.AdamW([{"params": own} for own in groups.values()], fused=True)

    def receive(self, group: str, loss: Tensor, *, first: bool, last: bool) -> None:
        """The gradient of a loss in the parameters of a group."""
        loss.backward(inputs=self.groups[group], retain_graph=not last)  # type: ignore[no-untyped-call]

    def step(self, learning_rate: float) -> None:
        """A step with the gradients that were received."""
        for settings in self.optimiser.param_groups:
            settings["lr"] = learning_rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


def each_of_its_own(blocks: Sequence[layers.ResidualBlock], time: Tensor) -> list[Tensor]:
    """The time as each block reads it, by a product for each."""
    return [block.time(silu(time))[0] for block in blocks if block.time is not None]


def compiled(network: nn.Module) -> None:
    """A network whose calls are torch.compile's; the first takes a minute, and is not timed."""
    network.forward = torch.compile(network.forward, dynamic=False)


def as_it_is(network: nn.Module) -> None:
    """A network that is left as it is."""


@dataclass(frozen=True)
class Measure:
    """A measure for speed, in `words`, and how it is undone: `around` a step, in another precision or trainer, or
    by what is made of the `network`.

    It has a part in sampling where `samples`; `objective` is what is trained by.
    """

    words: str
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    precision: Precision = "auto"
    trainer: type[Trainer] = Trainer
    network: Callable[[nn.Module], None] = as_it_is
    objective: Objective = BASE.objective
    samples: bool = True


NOTHING = Measure("")
MEASURES = (
    Measure("bf16, where it was float32", precision="float32"),
    Measure(
        "group norm, scale, shift and SiLU in one kernel, where they were torch's operations",
        around=lambda: patch.object(fused, "works", lambda: False),
    ),
    Measure(
        "our own kernels, where torch.compile's took their place (its compilation, a minute and more, not counted)",
        around=lambda: patch.object(fused, "works", lambda: False),
        network=compiled,
    ),
    Measure(
        "attention by products, where it was torch's fused one",
        around=lambda: patch.object(layers, "attend", scaled_dot_product_attention),
    ),
    Measure(
        "one product that tells all blocks of time, where each had its own",
        around=lambda: patch.object(unet, "modulations", each_of_its_own),
    ),
    Measure(
        "AdamW and the average over flat vectors, where they went by parameter", trainer=ByParameter, samples=False
    ),
    Measure(
        "with the bound as loss, L_0 in the rows that have it, where it was worked out in all",
        around=lambda: patch.object(Diffusion, "term_of", Diffusion.term_in_all_rows),
        objective=Vlb(),
        samples=False,
    ),
)


def time_all(given: dict[str, Any]) -> str:
    """Time; the page."""
    if min(given["rounds"], given["threads"]) < 1:
        raise InputError("rounds and threads must be at least 1")
    torch.set_num_threads(given["threads"])
    return page(given["rounds"], given["threads"])


main = page_command("benchmarks.changes", "What each measure for speed gives.", OPTIONS, time_all)
"""The command; its exit code."""


def page(rounds: int, threads: int) -> str:
    """All measures at all sizes."""
    lines = [
        "# What each measure for speed gives",
        "",
        f"By `python -m benchmarks.changes rounds={rounds} threads={threads}`: × is how much longer it takes with the "
        "measure undone, the",
        "median over rounds of what took turns in one process.",
        machine(CPU, threads),
    ]
    for name, workload in SIZES.items():
        lines += ["", f"## {name}", "", "| measure | training step, × | network call of sampling, × |", "|---|---|---|"]
        lines += [row(measure, workload, rounds) for measure in MEASURES]
    return "\n".join(lines)


def row(measure: Measure, workload: Workload, rounds: int) -> str:
    """A measure with its ratios."""

    def ratio(case: Callable[[Workload, Measure, Objective], Callable[[], object]]) -> str:
        cases = {undone.words: case(workload, undone, measure.objective) for undone in (NOTHING, measure)}
        return f"{interleaved(cases, rounds, workload.device)[measure.words].ratio:.2f}"

    return f"| {measure.words} | {ratio(training_step)} | {ratio(sampling_call) if measure.samples else ''} |"


def training_step(workload: Workload, undone: Measure, objective: Objective) -> Callable[[], object]:
    """A step of training with a measure undone."""
    plan = Training(batch=workload.batch, precision=undone.precision)
    diffusion = workload.diffusion(objective=objective)
    trainer = undone.trainer(DiffusionLearner(diffusion), plan, workload.device)
    undone.network(diffusion.network)
    images = workload.images

    def step() -> None:
        with undone.around():
            trainer.step(images, 0, 0)

    return step


def sampling_call(workload: Workload, undone: Measure, objective: Objective) -> Callable[[], object]:
    """A network call of DDIM with a measure undone."""
    diffusion = workload.diffusion(objective=objective).eval()
    undone.network(diffusion.network)
    precision = resolve_precision(undone.precision, workload.device)

    def call() -> None:
        with undone.around(), diffusion.network_in(precision):
            Ddim(steps=1).sample(diffusion, workload.batch, seed=0, batch=workload.batch)

    return call


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
