"""The plan of a training: its budget, its optimiser, and its learning rate, a peak η times a rise and a shape.

    constant        1
    linear          1 − n/N
    cosine          (1 + cos(π n/N))/2                Loshchilov & Hutter 2017, arXiv:1608.03983
    inverse_sqrt    √(w/max(n, w))                    Karras et al. 2024, arXiv:2312.02696, Eq. 67
    wsd             min(1, (1 − n/N)/c)               Hägele et al. 2024, arXiv:2405.18392

at step n of N, after a rise over the first w steps. A rate that falls to zero leaves less of the noise of single
batches in the weights, which is most visible in samples. Before its cooldown, the last share c of all steps, `wsd` does
not depend on N: trainings of any length share one trunk, and each is a branch of it (`trunk_steps`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from diffusion_core.refusing import require

Rate = Literal["constant", "linear", "cosine", "inverse_sqrt", "wsd"]
RATES: tuple[Rate, ...] = get_args(Rate)
COOLDOWN = 0.3
"""c, the share of a training's steps over which `wsd` falls, unless it is chosen."""

SHAPES: dict[Rate, Callable[[Training, int], float]] = {
    "constant": lambda plan, n: 1.0,
    "linear": lambda plan, n: 1 - n / plan.steps,
    "cosine": lambda plan, n: (1 + math.cos(math.pi * n / plan.steps)) / 2,
    "inverse_sqrt": lambda plan, n: math.sqrt(plan.warmup / max(n, plan.warmup)),
    "wsd": lambda plan, n: 1.0 if n <= trunk_steps(plan.steps, plan.cooldown) else (1 - n / plan.steps) / plan.cooldown,
}
"""Shape → its share of the peak at step n of a plan, after its rise."""


def trunk_steps(steps: int, cooldown: float) -> int:
    """The first (1 − c) N steps of `wsd`, before its cooldown, which are those of any longer training too."""
    # A share such as 0.3 is no binary fraction: (1 - 0.3) * 10 is below 7.
    return math.floor((1 - cooldown) * steps + 1e-9 * steps)


Optimizer = Literal["adamw", "muon"]
Start = Literal["seed", "published"]

MOST_STEPS = 1_000_000_000
"""The most steps: at a millisecond each, they take twelve days."""
MOST_BATCH = 65_536
"""The largest batch, beyond any published recipe."""
MOST_SNAPSHOTS = 256
"""The most snapshots: they give every width that an average may have (`averages.py`)."""


@dataclass(frozen=True)
class Training:
    """The budget, `steps` of `batch` examples, and the `optimizer`, AdamW or Muon (`optimiser.py`).

    The `learning_rate` is the peak of its `rate`, which rises over `warmup` steps; `weight_decay` acts on
    the network; `beta_1` and `beta_2` are AdamW's decays, `ema` that of the weights' average. `precision` auto is bf16
    autocast where the hardware has it, else float32. Reports come every `report_every` steps. If `micro_batch` is
    given, a batch is processed that many examples at a time, so that it need not fit the memory at once. On a GPU the
    network is compiled if `compile` is auto (`precision.py`). `snapshots` is the number of snapshots of two further
    averages, from which averages of any length follow later (`averages.py`).

    `clip` is the norm above which the gradient of the normalised objective is shortened (`trainable.py`), and `flips`
    mirrors images at random (`trainer.py`). `cooldown` is the share of its steps over which `rate=wsd` falls. It begins
    with weights that are drawn by the seed, or at `start`=published with those of a network that others trained.
    """

    steps: int = 1000
    batch: int = 128
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    ema: float = 0.995
    precision: Literal["auto", "float32", "bf16"] = "auto"
    report_every: int = 50
    micro_batch: int | None = None
    compile: Literal["none", "auto"] = "none"
    optimizer: Optimizer = "adamw"
    rate: Rate = "constant"
    snapshots: int = 0
    clip: float | None = None
    flips: bool = False
    cooldown: float = COOLDOWN
    start: Start = "seed"

    younger: ClassVar = (
        "micro_batch",
        "compile",
        "optimizer",
        "rate",
        "snapshots",
        "clip",
        "flips",
        "cooldown",
        "start",
    )

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """The steps after which snapshots are taken, evenly spaced up to the last; all steps where they are fewer."""
        marks = (round(k * self.steps / self.snapshots) for k in range(1, self.snapshots + 1))
        return tuple(dict.fromkeys(mark for mark in marks if mark))

    @property
    def unread(self) -> tuple[str, ...]:
        """Fields that change no number here."""
        return () if self.rate == "wsd" else ("cooldown",)

    def __post_init__(self) -> None:
        for name, most in (("steps", MOST_STEPS), ("batch", MOST_BATCH), ("report_every", math.inf)):
            value = getattr(self, name)
            require(value >= 1, f"training.{name} must be at least 1, got {value}")
            require(value <= most, f"training.{name} must be at most {most}, got {value}")
        for name, allowed in (("optimizer", get_args(Optimizer)), ("rate", RATES), ("start", get_args(Start))):
            value = getattr(self, name)
            require(value in allowed, f"training.{name} must be {' or '.join(allowed)}, got {value!r}")
        pieces = self.micro_batch is None or self.micro_batch >= 1
        require(pieces, f"training.micro_batch must be at least 1, or null for all, got {self.micro_batch}")
        some = f"training.snapshots must be 0 for none, or 1 to {MOST_SNAPSHOTS}, enough for any average"
        require(0 <= self.snapshots <= MOST_SNAPSHOTS, f"{some}, got {self.snapshots}")
        require(
            self.warmup >= 0 and self.learning_rate > 0 and self.weight_decay >= 0,
            "training needs learning_rate > 0, warmup >= 0 and weight_decay >= 0, got "
            f"{self.learning_rate}, {self.warmup} and {self.weight_decay}",
        )
        decays = self.ema, self.beta_1, self.beta_2
        says = "training needs ema, beta_1 and beta_2 in [0, 1), got {}, {} and {}".format(*decays)
        require(all(0 <= decay < 1 for decay in decays), says)
        norm = self.clip is None or 0 < self.clip < math.inf
        require(norm, f"training.clip is a norm above 0, or null for no clipping, got {self.clip}")
        says = "training.cooldown is a share of the steps, above 0 and at most 1, got"
        require(0 < self.cooldown <= 1, f"{says} {self.cooldown}")
        says = "training.rate=inverse_sqrt falls from the end of its warm-up: take training.warmup >= 1"
        require(self.rate != "inverse_sqrt" or self.warmup > 0, says)
        trunk = trunk_steps(self.steps, self.cooldown)
        require(
            self.rate != "wsd" or self.warmup <= trunk,
            f"training.rate=wsd has a warm-up and a cooldown longer than its training: training.cooldown="
            f"{self.cooldown} leaves {trunk} of training.steps={self.steps}, fewer than "
            f"training.warmup={self.warmup}: take more steps, or less of one of them",
        )

    def share_of_peak(self, step: int) -> float:
        """The learning rate of step 0, 1, … as a share of its peak."""
        return min(1.0, (step + 1) / max(1, self.warmup)) * SHAPES[self.rate](self, step)
