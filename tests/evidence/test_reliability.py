"""A few commands are really killed, and end with the numbers of unbroken ones; what would not is found out."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from mmap import mmap
from pathlib import Path

import pytest

import evidence.child
from evidence import ended
from evidence.child import AT_BYTES, Child, Hung, saying
from evidence.faults import FAULTS, MEGABYTE, Kill, OutOfMemoryKiller, Terminate, TornWrite

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_few_faults_leave_no_trace(tmp_path):
    command = [sys.executable, "-m", "evidence.reliability", "faults=3", "seed=5", "only=grid", f"out={tmp_path}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "`python -m evidence.reliability faults=3 seed=5 only=grid`: 3 faults" in ran.stdout
    assert "Rounds that did not end with the numbers of an unbroken command: 0 of" in ran.stdout
    with (tmp_path / "reliability.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 3
    assert {row["fault"] for row in found} <= {kind.name for kind in FAULTS}
    assert (tmp_path / "reliability.md").read_text(encoding="utf-8") == ran.stdout[ran.stdout.index("`python") :]


@pytest.mark.slow
def test_a_hundred_faults_leave_no_trace(tmp_path):
    command = [sys.executable, "-m", "evidence.reliability", "faults=100", f"out={tmp_path}"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_a_child_says_what_it_is_at_and_how_it_ended(tmp_path):
    at = mmap(-1, AT_BYTES)

    def command():
        with saying(at, "training"):
            signal.pause()
        return 0

    child = Child.start(command, tmp_path / "log", at)
    while child.moment == "beginning":
        assert not child.ended
    assert child.moment == "training"
    Kill().strike(child, tmp_path, random.Random())
    assert child.finish() == -signal.SIGKILL
    assert Child.start(lambda: 3, tmp_path / "log", at).finish() == 3
    assert Child.start(lambda: 1 / 0, tmp_path / "log", at).finish() == 70
    assert "ZeroDivisionError" in (tmp_path / "log").read_text(encoding="utf-8")


def test_workers_that_outlive_their_command_are_found_out(tmp_path):
    def command():
        if not os.fork():
            signal.pause()
        return 0

    child = Child.start(command, tmp_path / "log", mmap(-1, AT_BYTES))
    assert child.finish() == 0
    assert child.is_survived()
    assert not child.is_survived()


def test_who_goes_on_when_told_to_stop_is_hung(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence.child, "PROMPT", 0.2)

    def command():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with saying(at, "busy"):
            while True:
                signal.pause()

    at = mmap(-1, AT_BYTES)
    child = Child.start(command, tmp_path / "log", at)
    while child.moment != "busy":
        assert not child.ended
    with pytest.raises(Hung, match="'busy'"):
        Terminate().strike(child, tmp_path, random.Random())


def test_stages_that_were_made_again_are_told():
    before = {"a": (1, 1), "b": (2, 2), "c": (3, 3)}
    assert list(ended.made_again(before, before | {"d": (4, 4)}, set())) == []
    assert list(ended.made_again(before, before | {"b": (9, 9)}, {"b"})) == []
    assert list(ended.made_again(before, before | {"b": (9, 9)}, {"a"})) == ["finished stages were made again: b"]
    gone = {"a": (1, 1), "b": (2, 2)}
    assert list(ended.made_again(before, gone, set())) == ["finished stages were made again: c"]


def test_a_torn_write_names_the_stage_that_it_damaged(tmp_path):
    folder = tmp_path / ".stages" / "abc"
    folder.mkdir(parents=True)
    (folder / "result.json").write_bytes(b"0123456789")
    for seed in range(8):
        child = Child.start(signal.pause, tmp_path / "log", mmap(-1, AT_BYTES))
        assert TornWrite().strike(child, tmp_path, random.Random(seed)) == "abc"
        assert (folder / "result.json").read_bytes() != b"0123456789"
        (folder / "result.json").write_bytes(b"0123456789")


@pytest.mark.skipif(not OutOfMemoryKiller.is_possible(), reason="no control group can be made here")
def test_the_kernel_kills_what_asks_for_more_memory(tmp_path):
    def command():
        kept = [bytearray(MEGABYTE)]
        while True:
            kept.append(bytearray(MEGABYTE))
            time.sleep(0.01)

    child = Child.start(command, tmp_path / "log", mmap(-1, AT_BYTES))
    OutOfMemoryKiller().strike(child, tmp_path, random.Random(0))
    assert child.finish() == -signal.SIGKILL


def test_numbers_are_all_but_costs(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("cell_id,code,cost/train_seconds,nll/test\na,1.0,3,2.5\n", encoding="utf-8")
    assert ended._without_costs(path) == "cell_id,nll/test\na,2.5"
