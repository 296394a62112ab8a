"""How many inputs are drawn: some tens a test, the same ones each time; as many as are asked for by

HOSTILE=2000 pytest tests/ablations/hostile -n auto        2,000 a test, other ones each time
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

ASKED = int(os.environ.get("HOSTILE", "0"))
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def drawn(quick: int) -> settings:
    """The settings of a test that draws so many where none are asked for."""
    return settings(
        max_examples=ASKED or quick,
        derandomize=not ASKED,
        deadline=None,
        database=None,
        suppress_health_check=CHECKS,
    )
