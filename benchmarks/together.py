"""`python -m benchmarks.together`: the seconds of a training step for S trainings side by side, as Markdown.

python -m benchmarks.together [rounds=15] [threads=1] [out=FILE]

The baseline cell's network on 8×8 images, trained alone and in groups of S as a worker trains them, takes turns with
`diffusers` and its example's loop where that is installed. What each came to is compared with what it comes to alone.
Memory is what the steps of a process of its own add to what it had before, at their most.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from ablations.engine.side_by_side import side_by_side
from ablations.settings.exits import exit_code
from ablations.stages.devices import claim
from analysis.errors import InputError
from analysis.options import Option
from benchmarks.cases import SMALL, Workload
from benchmarks.machine import machine
from benchmarks.timing import interleaved
from diffusion_core.learner import DiffusionLearner
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from evidence.page_command import page_command

OPTIONS = {
    "rounds": Option("how often every case is timed; medians are compared", 15, int),
    "threads": Option("CPU threads", 1, int),
}
CPU = torch.device("cpu")
BATCHES = (32, 128)
MEMBERS = (1, 2, 4, 8)
STEPS = 4
"""Steps that are timed at once."""
HEAD = "| training | ms a step and training | × alone | MB in all |", "|---|---|---|---|"


def time_groups(given: dict[str, Any]) -> str:
    """Time; the page."""
    if min(given["rounds"], given["threads"]) < 1:
        raise InputError("rounds and threads must be at least 1")
    claim("cpu", given["threads"])
    lines = [
        "# Trainings side by side",
        "",
        f"By `python -m benchmarks.together rounds={given['rounds']} threads={given['threads']}`: medians of "
        f"{given['rounds']} rounds; a table's rows take turns.",
        f"{machine(CPU, given['threads'])}; torch {torch.__version__}.",
        "",
    ]
    for batch in BATCHES:
        lines += [f"## 8×8, batch {batch}", "", *table(Workload(SMALL, (1, 8, 8), batch, CPU), given["rounds"]), ""]
    return "\n".join(lines[:-1])


main = page_command("benchmarks.together", "Time trainings side by side.", OPTIONS, time_groups)
"""The command; its exit code."""


def table(workload: Workload, rounds: int) -> list[str]:
    """The table of a batch."""
    groups = {count: Companions(workload, count) for count in MEMBERS}
    cases: dict[str, tuple[int, Callable[[], object]]] = {
        "alone" if count == 1 else f"{count} side by side": (count, group.step) for count, group in groups.items()
    }
    names = set(cases)
    if importlib.util.find_spec("diffusers") is not None:
        from benchmarks.peer_cases import diffusers_peers

        for name, peer in diffusers_peers(workload, training=True).items():
            cases[f"{name}, float32"] = (1, lambda peer=peer: [peer.step("torch") for _ in range(STEPS)])  # type: ignore[misc]
    timings = interleaved({name: call for name, (_, call) in cases.items()}, rounds, CPU)
    each = {name: timings[name].seconds / count / STEPS * 1e3 for name, (count, _) in cases.items()}
    same = all(group.same_as(groups[1]) for group in groups.values())
    memory = {name: f"{memory_of(workload, count):.0f}" for name, (count, _) in cases.items() if name in names}
    return [
        *HEAD,
        *(f"| {name} | {ms:.1f} | {ms / each['alone']:.2f} | {memory.get(name, '')} |" for name, ms in each.items()),
        "",
        f"Weights after all of these steps are {'those' if same else 'NOT those'} of the training alone, bit by bit.",
    ]


def memory_of(workload: Workload, count: int) -> float:
    """The megabytes that a process takes at most for steps of so many trainings side by side."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_memory, workload, count).result()


def _memory(workload: Workload, count: int) -> float:
    claim("cpu", 1)
    before = _peak()
    Companions(workload, count).step()
    return _peak() - before


def _peak() -> float:
    """The megabytes that this process took at most; NaN where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text() if status.exists() else "", re.MULTILINE)
    return 1024 * int(found[1]) / 1e6 if found else math.nan


class Companions:
    """Trainings of different seeds, all of which take their steps side by side."""

    def __init__(self, workload: Workload, count: int) -> None:
        self.images = workload.images
        self.trainers = []
        for seed in range(count):
            model = workload.diffusion()
            model.initialise(seed)
            self.trainers.append(Trainer(DiffusionLearner(model), Training(batch=workload.batch), CPU))
        self.taken = 0

    def step(self) -> None:
        """A few steps of each."""

        def learn(place: int, member: Any) -> None:
            trainer = self.trainers[place]
            trainer.beside = member.exchange if len(self.trainers) > 1 else None
            for step in range(self.taken, self.taken + STEPS):
                trainer.step(self.images, place, step)

        for end in side_by_side(len(self.trainers), learn):
            end.result()
        self.taken += STEPS

    def same_as(self, other: Companions) -> bool:
        """True where the first of both have the same weights."""
        mine, theirs = self.trainers[0].state(), other.trainers[0].state()
        return all(torch.equal(value, theirs[name]) for name, value in mine.items())


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
