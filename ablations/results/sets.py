"""The values of generated sets that several stages drew and judged, as one: what all of them in one stage would say.

mean m of k sets       Σ k_i m_i / k
deviation s of k       (k − 1) s² = Σ (k_i − 1) s_i² + k_i (m_i − m)²
seconds                added
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.format.names import SET_SPREAD

Part = tuple[int, dict[str, float]]
"""The number of sets that a stage drew, and its numbers for them by column."""


def of_all(parts: Sequence[Part]) -> dict[str, float]:
    """The columns of all parts together; those that some part lacks are left out."""
    if len(parts) == 1:
        return dict(parts[0][1])
    common = [name for name in parts[0][1] if all(name in metrics for _, metrics in parts)]
    return {name: _joined(parts, name) for name in common}


def _joined(parts: Sequence[Part], name: str) -> float:
    if name.endswith("_seconds"):
        return sum(metrics[name] for _, metrics in parts)
    if not name.endswith(SET_SPREAD):
        return _mean(parts, name)
    of = name.removesuffix(SET_SPREAD)
    mean = _mean(parts, of)
    squares = sum((k - 1) * metrics[name] ** 2 + k * (metrics[of] - mean) ** 2 for k, metrics in parts)
    return math.sqrt(squares / (sum(k for k, _ in parts) - 1))


def _mean(parts: Sequence[Part], name: str) -> float:
    return sum(k * metrics[name] for k, metrics in parts) / sum(k for k, _ in parts)
