"""A folder is one process's at a time, whatever dies or stands still, and who has lost it leaves nothing there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ablations.stages import lease
from ablations.stages.lease import LOST, Elsewhere, Holder, LeaseLost, holder, leased, take


def by_another(folder: Path, number: int = 1, since: float = 0.0, **changed: object) -> Path:
    """A lease that a process of another machine has not touched for so many seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"lease.{number}"
    other = replace(Holder.here(), **{"host": "elsewhere", "machine": "another", **changed})
    path.write_text(json.dumps(asdict(other)))
    stand_still(path, since)
    return path


def stand_still(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_one_at_a_time_holds_a_folder_and_leaves_nothing_there(tmp_path):
    with leased(tmp_path / "a") as held:
        assert held is not None
        assert holder(tmp_path / "a").pid == os.getpid()
        with leased(tmp_path / "a") as second:
            assert second is None
        held.check()
    assert list((tmp_path / "a").iterdir()) == []
    assert holder(tmp_path / "a") is None
    assert holder(tmp_path / "never made") is None
    with leased(tmp_path / "a") as third:
        assert third is not None


def test_who_waits_has_it_next(tmp_path):
    order = []

    def second():
        with leased(tmp_path, wait=True):
            order.append("second")

    with leased(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(2 * lease.WAITED)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


@pytest.mark.parametrize("lost", [False, True], ids=["free", "lost"])
def test_of_many_who_try_at_once_one_has_it(tmp_path, lost):
    def race(folder: Path) -> list[lease.Lease]:
        start = threading.Barrier(6)

        def one() -> lease.Lease | None:
            start.wait(10)
            return take(folder)

        return [found for found in [other.result() for other in [pool.submit(one) for _ in range(6)]] if found]

    with ThreadPoolExecutor(6) as pool:
        for i in range(40):
            folder = tmp_path / str(i)
            if lost:
                by_another(folder, 1, LOST + 1)
                by_another(folder, 2, LOST + 1)
            (winner,) = race(folder)
            winner.check()
            assert [path.name for path in folder.iterdir()] == [winner.path.name]


def test_a_process_that_was_killed_here_has_lost_it_at_once(tmp_path):
    code = f"import pathlib, time\nfrom ablations.stages.lease import take\ntake(pathlib.Path({str(tmp_path)!r}))\n"
    process = subprocess.Popen([sys.executable, "-c", f"{code}print('held', flush=True)\ntime.sleep(60)"], stdout=-1)
    assert process.stdout.readline() == b"held\n"
    assert holder(tmp_path).pid == process.pid
    assert take(tmp_path) is None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert take(tmp_path) is not None, "nobody has waited for it, and yet it has ended"
    process.wait()
    process.stdout.close()


def test_a_pid_that_another_process_has_by_now_holds_nothing(tmp_path):
    by_another(tmp_path, machine=Holder.here().machine)
    assert holder(tmp_path) is not None, "the same pid and start are this process"
    by_another(tmp_path, machine=Holder.here().machine, started="1")
    assert holder(tmp_path) is None


def test_another_machines_process_has_lost_it_once_the_file_systems_clock_says_so(tmp_path, monkeypatch):
    """The clocks of hosts are wrong by an hour, say."""
    monkeypatch.setattr(time, "time", lambda: 3600.0)
    by_another(tmp_path, since=LOST - 5)
    assert str(holder(tmp_path)) == f"elsewhere (process {os.getpid()})"
    assert take(tmp_path) is None
    by_another(tmp_path, since=LOST + 5)
    assert holder(tmp_path) is None
    assert take(tmp_path).path.name == "lease.2"
    assert [path.name for path in tmp_path.iterdir()] == ["lease.2"]


@pytest.mark.parametrize("text", ["", '{"host": "a', '{"host": "a"}'])
def test_a_lease_that_is_being_written_is_held_until_it_is_old(tmp_path, text):
    path = tmp_path / "lease.1"
    path.write_text(text)
    assert holder(tmp_path) is not None
    assert take(tmp_path) is None
    stand_still(path, LOST + 1)
    assert take(tmp_path) is not None


def test_it_is_renewed_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED", 0.01)
    with leased(tmp_path) as held:
        stand_still(held.path, 2 * LOST)
        late = held.path.stat().st_mtime
        for _ in range(500):
            if held.path.stat().st_mtime > late:
                break
            time.sleep(0.01)
        assert time.time() - held.path.stat().st_mtime < LOST


def test_who_stood_still_finds_that_it_is_anothers_and_leaves_that_alone(tmp_path):
    with leased(tmp_path) as held:
        stand_still(held.path, LOST + 1)
        second = take(tmp_path)
        assert second is not None
        with pytest.raises(LeaseLost, match=rf"not renewed for 60 seconds, .* \(process {os.getpid()}\) runs it now"):
            held.check()
    second.check()
    second.release()
    with pytest.raises(Elsewhere, match="it is run anew"):
        second.check()


def test_who_looked_before_others_had_it_takes_nothing_from_them(tmp_path, monkeypatch):
    """It saw lease 4 lost; meanwhile that was taken over and let go, and a third one has the first of a free folder."""
    by_another(tmp_path, 4, LOST + 1)
    numbers, views = lease._numbers, [[4]]
    third = []

    def looked(folder):
        if views:
            (tmp_path / "lease.4").unlink()
            seen = views.pop()
            third.append(take(tmp_path))
            by_another(tmp_path, 4, LOST + 1)
            return seen
        return [one for one in numbers(folder) if one != 4]

    monkeypatch.setattr(lease, "_numbers", looked)
    assert take(tmp_path) is None
    third[0].check()
