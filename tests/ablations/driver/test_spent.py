"""Time that is spent on a grid counts, whatever ended the command that spent it."""

from __future__ import annotations

import time

import pytest

from ablations.driver import spent
from ablations.driver.spent import Spent


@pytest.fixture
def clock(monkeypatch):
    """The seconds that a test says it is."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_what_a_killed_command_spent_counts_in_the_next(tmp_path, clock):
    folder = tmp_path / "results" / "tiny"
    first = Spent.on(folder, 0.0, begun=False)
    clock[0] += 3
    first.keep()
    assert not first.path.exists()
    clock[0] += 4
    first.keep()
    clock[0] += 2
    assert first.seconds == 9.0
    second = Spent.on(folder, 0.0, begun=True)
    assert second.seconds == 7.0
    clock[0] += spent.KEPT_SECONDS + 1
    second.keep()
    assert Spent.on(folder, 12.5, begun=True).seconds == 13.0
    assert Spent.on(folder, 20.0, begun=True).seconds == 20.0


def test_what_is_begun_anew_has_spent_nothing(tmp_path, clock):
    folder = tmp_path / "results" / "tiny"
    first = Spent.on(folder, 0.0, begun=False)
    clock[0] += 100
    first.keep()
    assert Spent.on(folder, 0.0, begun=False).seconds == 0.0
    first.path.write_text("damaged")
    assert Spent.on(folder, 3.0, begun=True).seconds == 3.0
