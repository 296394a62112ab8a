"""The evaluation of a cell: which likelihoods and which samples, on which held-out split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

from ablations.settings.guidance import MOST_RUNG

HeldOut = Literal["validation", "test"]
HELD_OUT: tuple[HeldOut, ...] = get_args(HeldOut)
SHORT: dict[HeldOut, str] = {"validation": "val", "test": "test"}
"""Splits as metric names write them."""

Budget = Literal["steps", "flops"]
Reference = Literal["train", "test"]

LIKELIHOODS = ("continuous", "ode", "iwae", "estimates")
"""Fields of `Evaluation` that ask for more likelihoods than the bound, or for more of it."""

SEEDS = 2**31
"""Seeds are smaller than this."""
LEAST: dict[str, tuple[int, str]] = {
    **dict.fromkeys(("exact", "strata", "ode_steps", "fit"), (1, "")),
    "estimates": (2, ", or 0 for none"),
    **dict.fromkeys(("continuous", "ode"), (1, ", or 0 for none")),
    "iwae": (2, ", or 0 for none (by 1 draw it is the bound itself)"),
}
"""The least value of each number, and the words for 0 where 0 asks for none."""
MOST: dict[str, tuple[int, str]] = {
    "fit": (65_536, "so many images are held in memory at once"),
    "rungs": (MOST_RUNG, "no training's steps can be halved so often"),
    **dict.fromkeys(("exact", "strata"), (100_000, "no chain has more steps")),
    **dict.fromkeys(
        ("sets", "continuous", "ode", "ode_steps", "iwae", "estimates"), (10_000, "no command would come to its end")
    ),
}
"""The greatest value of each number, and why."""
MOST_N = 100_000
"""The most images of a generated set, which are held in memory at once."""
MOST_SETS = 16
"""The number of generated sets of a cell and seed where it is `auto`: drawing then adds little to the variance."""


def against_test(extractor: str | None, reference: Reference | None = None) -> Reference:
    """The real data that samples for the test split are compared with, as columns call it."""
    return reference or ("test" if extractor is None else "train")


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a cell, alike for every cell.

    Each half of the bound's draws takes the first and the last `exact` times and one from each of `strata` runs between
    them, over the full chain or one of `horizon` steps; `sets` (auto: 16) disjoint sets of generated images are judged
    at the splits in `quality`. `clip` holds x̂_0 in [−1, 1] in both. A fitted variance rests on `fit` training images at
    every t.

    Where asked for (not 0), the bound in continuous time takes `continuous` draws of γ per image, and the likelihood
    of the probability flow `ode` probes per image over `ode_steps` steps, and the variance of the bound's estimate by
    one t an image `estimates` repetitions, and the importance-weighted bound K = `iwae` draws in each of two halves.

    A set is of `n` images or points, or of as many as are held out, and samples of the test split are held against
    `reference`, or, where it is not named, images against the training images and points against the test points.
    `weights` is the file of the extractor's weights where it is not one that ships, or `download`, which fetches it.
    `metrics` names further metrics of the samples.

    A training is scored on its way at `rungs`, a half, a quarter, … of its steps, by the bound on validation images, of
    fewer draws (`at_rung`); at the last `judged_rungs` of them one set of samples is drawn and judged as well.
    """

    clip: bool = True
    horizon: int | None = None
    exact: int = 3
    strata: int = 13
    sets: int | Literal["auto"] = 2
    quality: tuple[HeldOut, ...] = ("test",)
    seed: int = 0
    continuous: int = 0
    ode: int = 0
    ode_steps: int = 32
    fit: int = 128
    estimates: int = 0
    weights: str | None = None
    metrics: tuple[str, ...] = ()
    rungs: int = 0
    judged_rungs: int = 0
    iwae: int = 0
    n: int | None = None
    reference: Reference | None = None

    where: ClassVar[tuple[str, ...]] = ("weights",)
    unread: ClassVar[tuple[str, ...]] = ("metrics", "rungs", "judged_rungs")
    """Fields that only ask for more to be measured, and change no other number."""
    younger: ClassVar[tuple[str, ...]] = ("iwae", "n", "reference")

    @property
    def drawn_sets(self) -> int:
        """The number of sets that are drawn."""
        return MOST_SETS if self.sets == "auto" else self.sets

    @property
    def at_rung(self) -> Evaluation:
        """The evaluation of a training on its way: the bound alone, with a quarter of the strata."""
        return replace(self, strata=max(1, self.strata // 4), estimates=0, continuous=0, ode=0, iwae=0)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"evaluation.seed must not be negative, and below {SEEDS}, got {self.seed}")
        if self.sets != "auto" and self.sets < 1:
            raise ValueError(f"evaluation.sets must be at least 1, or auto, got {self.sets}")
        for name, (least, or_none) in LEAST.items():
            value = getattr(self, name)
            if value < least and not (or_none and value == 0):
                raise ValueError(f"evaluation.{name} must be at least {least}{or_none}, got {value}")
        if self.n is not None and not 2 <= self.n <= MOST_N:
            raise ValueError(f"evaluation.n must be 2 to {MOST_N}, or null for as many as are held out, got {self.n}")
        for name, (most, why) in MOST.items():
            value = getattr(self, name)
            if isinstance(value, int) and value > most:
                raise ValueError(f"evaluation.{name} must be at most {most}, got {value}: {why}")
        self._check_reference()
        for name in ("rungs", "judged_rungs"):
            if getattr(self, name) < 0:
                raise ValueError(f"evaluation.{name} must be 0 or more, got {getattr(self, name)}")
        if self.judged_rungs > self.rungs:
            raise ValueError(
                f"evaluation.judged_rungs={self.judged_rungs} judges samples at so many of evaluation.rungs="
                f"{self.rungs}, and can be no more than there are"
            )
        if self.judged_rungs and "test" not in self.quality:
            raise ValueError(
                f"evaluation.judged_rungs={self.judged_rungs} sets samples beside those of the whole training, and "
                f"evaluation.quality={list(self.quality)} judges none of these: leave one of them out"
            )
        if self.metrics and not self.quality:
            raise ValueError(
                f"evaluation.metrics={list(self.metrics)} judges samples, and evaluation.quality=[] draws none: leave "
                "one of them out"
            )
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"evaluation.horizon must be at least 1 or null for all steps, got {self.horizon}")

    def _check_reference(self) -> None:
        """ValueError where the reference of samples contradicts the other fields."""
        if self.reference is None:
            return
        if self.reference not in get_args(Reference):
            raise ValueError(f"evaluation.reference must be train or test, got {self.reference}")
        asked = f"evaluation.reference={self.reference} is what samples of the test split are held against"
        if "test" not in self.quality:
            raise ValueError(f"{asked}, and evaluation.quality={list(self.quality)} judges none: leave one of them out")
        if self.reference == "test" and self.judged_rungs:
            raise ValueError(
                f"{asked}, which is read once, when a training is over: leave evaluation.judged_rungs="
                f"{self.judged_rungs} out (evaluation.rungs=… takes the bound)"
            )
