"""Which names classes from outside have, as far as that is known without importing any: for `--help` and for errors."""

from __future__ import annotations

import inspect

from ablations.settings.packages import offers

REGISTERED: dict[tuple[str, str], type] = {}
"""(axis, name) → class: what this process has registered or imported (`plugins.py`)."""


def unnamed(axis: str) -> dict[str, str]:
    """The names of classes from outside, for which no file is needed, with a line on each."""
    lines = {offer.name: f"from {offer.of_package}" for offer in offers() if offer.axis == axis and not offer.trouble}
    return lines | {name: _first_line(cls) for (door, name), cls in REGISTERED.items() if door == axis}


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "a class from outside").splitlines()[0]
