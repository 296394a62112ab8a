"""The guidance of a cell: how far samples go beyond what a worse model of the same data says.

    x̂_0 = x̂_0^guide + w (x̂_0 − x̂_0^guide)    where low < σ ≤ high, σ = √((1 − ᾱ)/ᾱ), and the model's own elsewhere

    by=class    the model itself, without the label        (Ho & Salimans 2022, arXiv:2207.12598)
    by=rung     its average at an earlier step             (Karras et al. 2024, arXiv:2406.02507)
    by=cell     the network of another cell, a smaller one, or one that is trained for less       (the same)

The interval is that of Kynkäänniemi et al. 2024, arXiv:2404.07724. Samples alone read it: a bound is the model's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Le, Lt

MOST_RUNG = 30
"""The most halvings of a training's steps."""
Scale = Annotated[float, Ge(0), Lt(math.inf)]


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
        """True where samples are guided."""
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
