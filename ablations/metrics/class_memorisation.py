"""Memorisation rate within classes: the memorisation rate r_c of each class c, where training, held-out and generated
images are those of the class alone.

Σ_c n_c r_c / Σ_c n_c   n_c generated images of class c

A copy of an image of another class is no copy here. A model that copies nothing scores about ⌈N/20⌉/(N + 1) with N
held-out images in a class: 5 % of thousands, 6.5 % of 45. Of a class with fewer than 20 nothing is said: 5 % of them
would be less than one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from ablations.metrics.memorisation import MEMORISED, memorisation_rate
from ablations.metrics.metric import Direction, Kind, Metric
from ablations.metrics.sets import Judged

FEWEST = math.ceil(1 / MEMORISED)
"""Held-out images that a class needs."""


@dataclass(frozen=True)
class ClassMemorisation(Metric):
    """Memorisation rate within classes, over those with 20 held-out images or more; of samples that have labels."""

    label: ClassVar[str] = "Memorisation rate within classes"
    unit: ClassVar[str | None] = "share"
    direction: ClassVar[Direction] = "none"
    digits: ClassVar[int | None] = 2
    counted: ClassVar[bool] = True
    of: ClassVar[tuple[Kind, ...]] = ("images",)
    reads_held_out: ClassVar[bool] = True
    reads_labels: ClassVar[bool] = True

    def compute(self, judged: Judged) -> float:
        rates = judged.once(_rates)
        return sum(count * rate for count, rate in rates.values()) / sum(count for count, _ in rates.values())

    def by_class(self, judged: Judged) -> dict[int, float]:
        return {label: rate for label, (_, rate) in judged.once(_rates).items()}


def _rates(judged: Judged) -> dict[int, tuple[int, float]]:
    """The number of generated images and their rate, of each class that has a rate; ValueError where none has."""
    held_out, labels = judged.held_out, judged.generated.labels
    assert held_out is not None, "a metric that reads held-out images is asked where there are some"
    if labels is None:
        raise ValueError("class_memorisation reads labels, and these samples have none: take conditioning=class")
    rates, most = {}, 0
    for label in sorted(set(labels.tolist()) - {-1}):
        generated, training, held = (side.of_class(label) for side in (judged.generated, judged.real, held_out))
        most = max(most, len(held))
        if len(training) and len(held) >= FEWEST:
            rates[label] = len(generated), memorisation_rate(generated, training, held)
    if not rates:
        raise ValueError(f"class_memorisation needs {FEWEST} held-out images of a class, got {most}: take more of them")
    return rates
