"""A few commands are really killed, and end with the numbers of unbroken ones; what would not is found out."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from evidence import faults, reliability
from tests.forked import code_of, forked


@pytest.mark.slow
@pytest.mark.parametrize("workload", faults.WORKLOADS)
def test_a_few_faults_leave_no_trace(workload, tmp_path, capfd):
    """Neither in a command whose trainings go side by side, nor in two that share their stages, nor in a search."""
    assert reliability.main(["faults=3", "seed=5", f"only={workload}", f"out={tmp_path / 'page.md'}"]) == 0
    assert "unbroken command: 0 of " in (tmp_path / "page.md").read_text(encoding="utf-8")


def paused():
    # A command that another test ran in this process has set the latter.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pause()
    return 0


@pytest.mark.parametrize(
    ("fault", "ended"),
    [
        ("SIGKILL", signal.SIGKILL),
        ("tree killed", signal.SIGKILL),
        ("SIGTERM", signal.SIGTERM),
        ("Ctrl-C", signal.SIGINT),
    ],
)
def test_a_command_ends_as_its_fault_says(fault, ended, tmp_path):
    child = forked(paused, tmp_path / "log")
    time.sleep(0.2)
    faults.strike(fault, child.pid, tmp_path, random.Random(0))
    assert code_of(child) == -ended


def test_workers_that_outlive_their_command_are_found_out(tmp_path):
    def command():
        os.setpgid(0, 0)
        if not os.fork():
            signal.pause()
        return 0

    child = forked(command, tmp_path / "log")
    with suppress(OSError):
        os.setpgid(child.pid, child.pid)
    assert code_of(child) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reliability, "PROMPT", 0.2)
        assert reliability.is_survived(child.pid)
    assert not reliability.is_survived(child.pid)


def test_stages_that_were_made_again_are_told():
    before = {"a": (1, 1), "b": (2, 2), "c": (3, 3)}
    assert reliability.made_again(before, before | {"d": (4, 4)}, set()) == []
    assert reliability.made_again(before, before | {"b": (9, 9)}, {"b"}) == []
    assert reliability.made_again(before, before | {"b": (9, 9)}, {"a"}) == ["finished stages were made again: b"]
    assert reliability.made_again(before, {"a": (1, 1)}, {"b"}) == ["finished stages were made again: c"]


def test_a_torn_write_names_the_stage_that_it_damaged(tmp_path):
    folder = tmp_path / ".stages" / "abc"
    folder.mkdir(parents=True)
    for seed in range(8):
        (folder / "result.json").write_bytes(b"0123456789")
        assert faults.torn(tmp_path, random.Random(seed)) == "abc"
        assert (folder / "result.json").read_bytes() != b"0123456789"
