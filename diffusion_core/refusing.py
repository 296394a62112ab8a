"""The core's refusals: a ValueError in one line that says what was given and what to take."""

from __future__ import annotations


def require(holds: bool, reason: str) -> None:
    """ValueError with this reason unless the condition holds."""
    refuse(None if holds else reason)


def refuse(reason: str | None) -> None:
    """ValueError with the reason, if there is one."""
    if reason is not None:
        raise ValueError(reason)
