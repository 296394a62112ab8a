"""Times as files hold them, which sort as texts."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """The present time in UTC, to the millisecond: 2026-11-29T08:05:03.120Z."""
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
