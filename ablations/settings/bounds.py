"""Bounds on what a text may expand to: a few characters can stand for more than a memory holds."""

from __future__ import annotations

from pathlib import Path

import yaml
from hydra.core.override_parser.types import RangeSweep

from analysis.errors import InputError

MOST_VALUES = 100_000
"""The most steps of a range, and the most cells of a grid."""
MOST_BYTES = 1_000_000
MOST_NODES = 50_000
"""The most names, values, lists and mappings of a file, each alias counted as what it stands for; reading so many takes
3 s."""


def refuse_many(sweep: RangeSweep) -> None:
    """ValueError where range(…) has no value, or more than can be tried; nothing is expanded to find out."""
    start, stop, step = float(sweep.start or 0), float(sweep.stop or 0), float(sweep.step)
    if step == 0 or (stop - start) / step <= 0:
        raise ValueError(f"range holds no value from {start:g} to {stop:g} by {step:g}")
    if not (stop - start) / step <= MOST_VALUES:
        raise ValueError(f"range may hold at most {MOST_VALUES} values: take a larger step, or ends closer together")


def refuse_vast(path: Path) -> None:
    """InputError where a file is too long, or too large once its aliases are expanded."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise InputError(f"{path} may have at most {MOST_BYTES} bytes, got {size}")
    text = path.read_text(encoding="utf-8")
    # Without an alias there are no more nodes than characters.
    node = yaml.compose(text, Loader=yaml.SafeLoader) if "*" in text or size > MOST_NODES else None
    if node is not None and _nodes(node, {}) > MOST_NODES:
        raise InputError(
            f"{path} may come to at most {MOST_NODES} names and values, its aliases (*) spelt out: leave some out"
        )


def _nodes(node: yaml.Node, counts: dict[int, int]) -> int:
    """The number of nodes below a node, with its aliases expanded."""
    if id(node) not in counts:
        # What holds itself has no end.
        counts[id(node)] = MOST_NODES
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
        counts[id(node)] = 1 + sum(_nodes(part, counts) for part in inner)
    return counts[id(node)]
