"""Whole commands with worker processes, killed, stopped, or several at once: the results are those of one unbroken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.ablations.engine.toys import RUNS, SUMS

SECONDS = 60.0
"""Within so many seconds everything here has happened."""


@pytest.fixture
def command(journal):
    """(words) → a command of toys, begun in a process group of its own."""
    begun = []

    # Where pytest runs in the background, children would inherit that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def of(*words):
        call = [sys.executable, "-m", "tests.ablations.engine.toys", str(journal.root), *words]
        begun.append(subprocess.Popen(call, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return begun[-1]

    yield of
    for one in begun:
        one.kill()
        one.communicate()


def ended(command):
    """The exit code of a command that has printed nothing."""
    printed, _ = command.communicate(timeout=SECONDS)
    assert printed == b""
    return command.returncode


def under_way(journal):
    """Wait until some stages are under way and some have yet to start; the pids of their workers."""
    began = time.monotonic()
    while not any(journal.progress(name) for name in SUMS):
        assert time.monotonic() - began < SECONDS
        time.sleep(0.01)
    return [int(line) for path in journal.root.glob(f"*/{RUNS}") for line in path.read_text().splitlines()]


def sums(journal):
    return {name: journal.result(name).metrics["sum"] for name in SUMS}


def test_a_command_that_is_killed_takes_its_workers_along_and_goes_on_at_once(command, journal):
    first = command()
    workers = {pid: psutil.Process(pid) for pid in under_way(journal)}
    first.send_signal(signal.SIGKILL)
    assert ended(command()) == 0
    assert sums(journal) == SUMS
    _, alive = psutil.wait_procs(workers.values(), timeout=SECONDS)
    assert alive == []


def test_commands_at_once_run_each_stage_once_though_their_groups_are_in_opposite_order(command, journal):
    both = command(), command("reversed")
    assert [ended(one) for one in both] == [0, 0]
    assert sums(journal) == SUMS
    assert [len((journal.folder(name) / RUNS).read_text().splitlines()) for name in SUMS] == [1] * len(SUMS)


def test_ctrl_c_ends_everything_within_seconds_and_the_same_command_goes_on(command, journal):
    first = command()
    workers = under_way(journal)
    os.killpg(first.pid, signal.SIGINT)
    began = time.monotonic()
    assert ended(first) == 130
    assert time.monotonic() - began < 10
    assert not any(psutil.pid_exists(pid) for pid in workers)
    failures = [journal.failure(name) for name in SUMS]
    assert {failure.status for failure in failures if failure} == {"interrupted"}
    assert ended(command()) == 0
    assert sums(journal) == SUMS
