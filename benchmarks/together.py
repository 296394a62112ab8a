"""`python -m benchmarks.together`: the seconds of a training step for S trainings side by side, as Markdown.

python -m benchmarks.together [rounds=7] [threads=1] [out=FILE]

The baseline cell's network on 8×8 images, trained alone and in groups of S as a worker trains them, takes turns with
`diffusers` and its example's loop where that is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from typing import Any

import torch

from ablations.engine.stage import Member, side_by_side
from ablations.stages.devices import claim
from analysis.shell import exit_code
from benchmarks import cases
from benchmarks.cases import SMALL, Workload
from benchmarks.peer_cases import diffusers
from benchmarks.timing import interleaved, machine
from evidence.page_command import page_command, table

OPTIONS = {key: cases.OPTIONS[key] for key in ("rounds", "threads")}
CPU = torch.device("cpu")
BATCHES = (32, 128)
MEMBERS = {"alone": 1, "2 side by side": 2, "4 side by side": 4, "8 side by side": 8}
STEPS = 4


def time_groups(given: dict[str, Any]) -> str:
    """Time both batches; the section."""
    claim("cpu", given["threads"])
    words = " ".join(f"{key}={given[key]}" for key in OPTIONS)
    lines = [f"## {machine(CPU, given['threads'])}", "", f"`python -m benchmarks.together {words}`", ""]
    groups = [times(Workload(SMALL, (1, 8, 8), batch, CPU), given["rounds"]) for batch in BATCHES]
    head = ("training", *(f"{what}, batch {batch}" for batch in BATCHES for what in ("ms a step", "× alone")))
    rows = ((name, *(column for own in groups for column in own[name])) for name in groups[0])
    return "\n".join([*lines, *table(head, rows)])


def times(workload: Workload, rounds: int) -> dict[str, tuple[str, str]]:
    """Milliseconds of a step and training, and how many times one alone that is, by the name of the row."""
    each: dict[str, Callable[[], object]] = {name: companions(workload, most) for name, most in MEMBERS.items()}
    if find_spec("diffusers") is not None:
        peer = diffusers(workload)
        each["diffusers, float32"] = lambda: [peer.step(bf16=False) for _ in range(STEPS)]
    found = [(name, one, MEMBERS.get(name, 1)) for name, one in interleaved(each, rounds, CPU).items()]
    return {name: (f"{1000 * one.seconds / n / STEPS:.1f}", f"{one.ratio / n:.2f}") for name, one, n in found}


def companions(workload: Workload, most: int) -> Callable[[], None]:
    """A few steps of so many trainings of different seeds, all of which take theirs side by side."""
    images, taken = workload.images, count(step=STEPS)
    trainers = [workload.trainer(workload.diffusion(seed)) for seed in range(most)]

    def step() -> None:
        first = next(taken)

        def learn(place: int, member: Member) -> None:
            trainers[place].beside = member.exchange if most > 1 else None
            for number in range(first, first + STEPS):
                trainers[place].step(images, place, number)

        for end in side_by_side(most, learn):
            end.result()

    return step


main = page_command("benchmarks.together", "Time trainings side by side.", OPTIONS, time_groups)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
