"""A journal that is empty."""

from __future__ import annotations

import pytest

from ablations.engine.journal import Journal


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path)
