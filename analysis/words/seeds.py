"""What is said of the seeds that a grid's means are over."""

from __future__ import annotations

from analysis.format.grid_json import Meta
from analysis.format.notation import counted, listed


def seeds_taken(meta: Meta) -> str:
    """How many seeds each cell has."""
    if meta.auto is None:
        return counted(len(meta.seeds), "paired seed" if len(meta.seeds) > 1 else "seed")
    taken = sorted(set(meta.auto.stopped.values()) or {meta.auto.looks[0]})
    return f"{taken[0]} to {taken[-1]} paired seeds" if len(taken) > 1 else f"{taken[0]} paired seeds"


def looked(meta: Meta) -> str:
    """How seeds were added; "" where their number was fixed."""
    if meta.auto is None:
        return ""
    looks = listed([str(n) for n in meta.auto.looks])
    return f", added where the declared comparisons needed them (looks at {looks} were planned)"
