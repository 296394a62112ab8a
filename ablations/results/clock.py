"""clock.csv: the times at which the trainings of a results folder reached their steps, in seconds since 1970; at step 0
they began.

Only tracking stores read it, to give points their times. All other files of a folder are the same however often they
are made; this one is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ablations.engine.journal import Curves
from ablations.results.csv_text import drawn
from ablations.stages.artifacts import CLOCK
from analysis.errors import InputError

TABLE = "clock.csv"
COLUMNS = ("cell_id", "seed", "step", "seconds")


def rows(curves: Mapping[tuple[str, int], Curves]) -> Iterator[dict[str, Any]]:
    """Rows with the times at which trainings, by the (cell_id, seed) of their curves, began and reached their steps."""
    for (cell_id, seed), named in curves.items():
        if CLOCK in named:
            (begin, *steps), (began, *times) = named[CLOCK]
            for step, time in [(begin, began), *drawn(steps, times)]:
                yield dict(zip(COLUMNS, (cell_id, seed, f"{step:.0f}", f"{time:.3f}"), strict=True))


def of(rows: Iterable[Mapping[str, str]], folder: Path) -> dict[float, float]:
    """A training's steps → the time at each, from its rows in a folder; InputError where these are damaged."""
    steps: dict[float, float] = {}
    for row in rows:
        if not row["step"].isdecimal() or not re.fullmatch(r"\d{1,11}(\.\d+)?", row["seconds"]):
            raise InputError(f"{folder / TABLE} holds a time that is none: {row['seconds']} at step {row['step']}")
        steps[float(row["step"])] = float(row["seconds"])
    return steps
