"""Which cases of a product `pytest` runs by itself, and which are left to `pytest -m thorough`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def sampled(
    values: Sequence[Any], every: int, names: Sequence[str] | None = None, others: str = "thorough"
) -> list[Any]:
    """The values of a parameter, or of several, with their names if given; all but each `every`-th are marked."""
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            id=names[i] if names else None,
            marks=[getattr(pytest.mark, others)] if i % every else [],
        )
        for i, value in enumerate(values)
    ]
