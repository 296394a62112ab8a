"""clock.csv: when the trainings of a results folder were at their steps, in seconds since 1970; at step 0 they began.

Only stores of runs read it, which lay points at their times. What a folder says besides is the same however often it is
made; this is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ablations.engine.journal import Curves
from ablations.results.csv_text import drawn
from ablations.stages.artifacts import CLOCK

TABLE = "clock.csv"
COLUMNS = ("cell_id", "seed", "step", "seconds")


def rows(curves: Mapping[tuple[str, int], Curves]) -> Iterator[dict[str, Any]]:
    """When each training began, by the (cell_id, seed) of its curves, and was at the steps of their points."""
    for (cell_id, seed), named in curves.items():
        if CLOCK in named:
            (begin, *steps), (began, *times) = named[CLOCK]
            for step, time in [(begin, began), *drawn(steps, times)]:
                yield dict(zip(COLUMNS, (cell_id, seed, f"{step:.0f}", f"{time:.3f}"), strict=True))
