"""Whoever waits sees a line, and whoever does not wait sees none."""

from __future__ import annotations

import time

import pytest

from ablations.driver import command


@pytest.mark.parametrize(("seconds", "told"), [(0.05, "planning …\n"), (60.0, "")])
def test_a_line_says_what_takes_a_while(seconds, told, monkeypatch, capsys):
    monkeypatch.setattr(command, "SECONDS", seconds)
    with command.soon("planning …"):
        time.sleep(0.5)
    assert capsys.readouterr().err == told


def test_what_fails_says_nothing_more(monkeypatch, capsys):
    monkeypatch.setattr(command, "SECONDS", 0.2)
    with pytest.raises(ValueError, match="no"), command.soon("planning …"):
        raise ValueError("no")
    time.sleep(0.4)
    assert capsys.readouterr().err == ""
