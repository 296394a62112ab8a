"""The evaluation of a cell: which likelihoods and which samples, on which held-out split; and the guidance of these:
how far samples go beyond what a worse model of the same data says.

    x̂_0 = x̂_0^guide + w (x̂_0 − x̂_0^guide)    where low < σ ≤ high, σ = √((1 − ᾱ)/ᾱ), and the model's own elsewhere

    by=class    the model itself, without the label        (Ho & Salimans 2022, arXiv:2207.12598)
    by=rung     its average at an earlier step             (Karras et al. 2024, arXiv:2406.02507)
    by=cell     the network of another cell, a smaller one, or one that is trained for less       (the same)

The interval is that of Kynkäänniemi et al. 2024, arXiv:2404.07724. Samples alone read it: a bound is the model's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, get_args

from annotated_types import Ge, Le, Lt

from analysis.schema import MOST_SETS

HeldOut = Literal["validation", "test"]
HELD_OUT: tuple[HeldOut, ...] = get_args(HeldOut)
SHORT: dict[HeldOut, str] = {"validation": "val", "test": "test"}

Budget = Literal["steps", "flops"]
Reference = Literal["train", "test"]

LIKELIHOODS = ("continuous", "ode", "iwae", "estimates")
"""Fields of `Evaluation` that ask for more likelihoods than the bound, or for more of it."""

SEEDS = 2**31
MOST_RUNG = 30

Scale = Annotated[float, Ge(0), Lt(math.inf)]
Times = Annotated[int, Ge(1), Le(100_000)]
Draws = Annotated[int, Ge(0), Le(10_000)]
"""With more, no command would come to its end; 0 asks for none."""
Several = Literal[0] | Annotated[int, Ge(2), Le(10_000)]
"""A variance takes two values; the importance-weighted bound by one draw is the bound itself."""
Images = Annotated[int, Ge(1), Le(65_536)]
"""So many are held in memory at once."""


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
    `metrics` names further metrics of the samples. Sets are drawn in turn from the averages at the last `checkpoints`
    of a training, a tenth of its steps apart, since the noise of its seed changes on the way (docs/statistics.md).

    A training is scored on its way at `rungs`, a half, a quarter, … of its steps, by the bound on validation images, of
    fewer draws (`at_rung`); at the last `judged_rungs` of them one set of samples is drawn and judged as well.
    """

    clip: bool = True
    horizon: Annotated[int, Ge(1)] | None = None
    exact: Times = 3
    strata: Times = 13
    sets: Annotated[int, Ge(1), Le(10_000)] | Literal["auto"] = 2
    quality: tuple[HeldOut, ...] = ("test",)
    seed: Annotated[int, Ge(0), Lt(SEEDS)] = 0
    continuous: Draws = 0
    ode: Draws = 0
    ode_steps: Annotated[int, Ge(1), Le(10_000)] = 32
    fit: Images = 128
    estimates: Several = 0
    weights: str | None = None
    metrics: tuple[str, ...] = ()
    rungs: Annotated[int, Ge(0), Le(MOST_RUNG)] = 0
    judged_rungs: Annotated[int, Ge(0)] = 0
    iwae: Several = 0
    n: Annotated[int, Ge(2), Le(100_000)] | None = None
    reference: Reference | None = None
    checkpoints: Annotated[int, Ge(1), Le(5)] = 1

    where: ClassVar[tuple[str, ...]] = ("weights",)
    unread: ClassVar[tuple[str, ...]] = ("metrics", "rungs", "judged_rungs")
    """Fields that only ask for more to be measured, and change no other number."""
    younger: ClassVar[tuple[str, ...]] = ("iwae", "n", "reference", "checkpoints")

    @property
    def drawn_sets(self) -> int:
        return MOST_SETS if self.sets == "auto" else self.sets

    @property
    def at_rung(self) -> Evaluation:
        """The evaluation of a training on its way: the bound alone, with a quarter of the strata."""
        return replace(self, strata=max(1, self.strata // 4), estimates=0, continuous=0, ode=0, iwae=0)

    def __post_init__(self) -> None:
        if self.drawn_sets % self.checkpoints:
            raise ValueError(
                f"evaluation.checkpoints={self.checkpoints} have equally many sets each, and evaluation.sets="
                f"{self.sets} cannot be shared among them: take evaluation.sets={self.checkpoints} or a multiple of it"
            )


@dataclass(frozen=True)
class Guidance:
    """Guidance of samples by w = `scale` at noise levels σ above `low` and up to `high` (None: all); 1 is none.

    With `auto` it is the one of `scales` whose samples are nearest to the validation split. The guide is the average
    at steps/2^`rung` where it is a rung, and where it is a cell, the one with the settings `guide` in place of its own.
    """

    scale: Scale | Literal["auto"] = 1.0
    scales: tuple[Scale, ...] = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
    low: Scale = 0.0
    high: float | None = None
    by: Literal["class", "rung", "cell"] = "class"
    rung: Annotated[int, Ge(1), Le(MOST_RUNG)] = 1
    guide: tuple[str, ...] = ()

    @property
    def guides(self) -> bool:
        return self.scale != 1

    @property
    def asked(self) -> str:
        """The setting by which guidance was asked for."""
        return f"guidance.scale={self.scale if isinstance(self.scale, str) else f'{self.scale:g}'}"

    @property
    def unread(self) -> tuple[str, ...]:
        """Fields that no sample reads; without guidance, all of them."""
        read = {"scales": self.scale == "auto", "rung": self.by == "rung", "guide": self.by == "cell"}
        return tuple(field.name for field in fields(self) if not (self.guides and read.get(field.name, True)))

    def __post_init__(self) -> None:
        if 1 not in self.scales or len(self.scales) < 2 or any(a >= b for a, b in pairwise(self.scales)):
            raise ValueError(
                f"guidance.scales must be two numbers or more, rising, with 1 among them, got {list(self.scales)}"
            )
        if self.high is not None and not self.high > self.low:
            raise ValueError(f"guidance.high={self.high:g} must be above guidance.low={self.low:g}, or null for no end")
        if (self.by == "cell") != bool(self.guide):
            raise ValueError(
                "guidance.by=cell and guidance.guide, the settings in which the guiding cell differs, go together: "
                "guidance.guide='[\"network.channels=8\"]'"
            )
