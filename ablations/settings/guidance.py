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
from typing import Literal, get_args

By = Literal["class", "rung", "cell"]

MOST_RUNG = 30
"""The most halvings of a training's steps."""


@dataclass(frozen=True)
class Guidance:
    """Guidance of samples by w = `scale` at noise levels σ above `low` and up to `high` (None: all); 1 is none.

    With `auto` it is the one of `scales` whose samples are nearest to the validation split. The guide is the average
    at steps/2^`rung` where it is a rung, and where it is a cell, the one with the settings `guide` in place of its own.
    """

    scale: float | Literal["auto"] = 1.0
    scales: tuple[float, ...] = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
    low: float = 0.0
    high: float | None = None
    by: By = "class"
    rung: int = 1
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
        if not self.guides:
            return tuple(field.name for field in fields(self))
        read = {"scales": self.scale == "auto", "rung": self.by == "rung", "guide": self.by == "cell"}
        return tuple(name for name, is_read in read.items() if not is_read)

    def __post_init__(self) -> None:
        if self.scale != "auto" and not _is_scale(self.scale):
            raise ValueError(f"guidance.scale must be 0 or more (1 is no guidance), or auto, got {self.scale}")
        rising = all(a < b for a, b in zip(self.scales, self.scales[1:], strict=False))
        if len(self.scales) < 2 or not rising or 1 not in self.scales or not all(map(_is_scale, self.scales)):
            raise ValueError(
                "guidance.scales must be two numbers or more, from 0 on and rising, with 1 among them, which is no "
                f"guidance, got {list(self.scales)}"
            )
        if not 0 <= self.low < math.inf:
            raise ValueError(f"guidance.low must be a noise level of 0 or more, got {self.low}")
        if self.high is not None and not self.high > self.low:
            raise ValueError(
                f"guidance.high={self.high:g} is not above guidance.low={self.low:g}, and nothing between them would "
                "be guided: take a larger one, or null for all noise levels above"
            )
        if self.by not in get_args(By):
            raise ValueError(f"guidance.by must be {', '.join(get_args(By)[:-1])} or {get_args(By)[-1]}, got {self.by}")
        if not 1 <= self.rung <= MOST_RUNG:
            raise ValueError(
                f"guidance.rung must be 1, the average at half of the steps, to {MOST_RUNG}, got {self.rung}"
            )
        if self.by == "cell" and not self.guide:
            raise ValueError(
                "guidance.by=cell lacks guidance.guide, the settings in which the guiding cell differs: "
                "guidance.guide='[\"network.channels=8\"]'"
            )
        if self.by != "cell" and self.guide:
            raise ValueError(
                f"guidance.guide={list(self.guide)} are the settings of a guiding cell, and guidance.by={self.by} has "
                "none: take guidance.by=cell, or leave them out"
            )


def _is_scale(value: float | str) -> bool:
    return not isinstance(value, str) and 0 <= value < math.inf
