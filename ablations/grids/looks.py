"""The looks of `seeds=auto`, planned before the first: the numbers of seeds at which a grid is looked at.

What each may spend of the error rate is said by `analysis.statistics.looks`.
"""

from __future__ import annotations

from analysis.format.errors import InputError

MOST = 12
"""Seeds up to which is gone unless told otherwise."""
SEEDS = (3, 5, 8, 12, 20, 32, 50, 80)
"""The numbers of seeds at which it is looked, as far as the most allows: each about 1.6 times the one before."""


def looks_of(most: int = MOST) -> tuple[int, ...]:
    """The looks up to so many seeds, ascending; InputError where they are fewer than the first look takes."""
    if most < SEEDS[0]:
        raise InputError(f"seeds.max={most}: the first look takes {SEEDS[0]} seeds, got {most} at most")
    return (*(n for n in SEEDS if n < most), most)
