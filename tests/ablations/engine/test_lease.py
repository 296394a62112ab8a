"""A place is one process's at a time, whatever dies or stands still, and who has lost it leaves nothing there."""

from __future__ import annotations

import itertools
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

from ablations.engine import lease, shelves
from ablations.engine.lease import LOST, Elsewhere, Holder, LeaseLost, holder, leased, take
from ablations.engine.shelves import Folder


@pytest.fixture
def place(tmp_path):
    """A folder that is to be held."""
    return tmp_path / "a"


def write(place: Path, name: str, content: bytes) -> None:
    place.mkdir(exist_ok=True)
    (place / name).write_bytes(content)


def stand_still(place: Path, name: str, seconds: float) -> None:
    then = (place / name).stat().st_mtime - seconds
    os.utime(place / name, (then, then))


def by_another(place: Path, number: int = 1, since: float = 0.0, **changed: object) -> None:
    """A lease that a process of another machine has not touched for so many seconds."""
    other = replace(Holder.here(), **{"host": "elsewhere", "machine": "another", **changed})
    write(place, f"lease.{number}", json.dumps(asdict(other)).encode())
    stand_still(place, f"lease.{number}", since)


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_one_at_a_time_holds_a_place_and_leaves_nothing_there(place, tmp_path):
    with leased(place) as held:
        assert held is not None
        assert holder(place).pid == os.getpid()
        with leased(place) as second:
            assert second is None
        held.check()
    assert names(place) == []
    assert holder(place) is None
    assert holder(tmp_path / "never made") is None
    with leased(place) as third:
        assert third is not None


def test_who_waits_has_it_next(place):
    order = []

    def second():
        with leased(place, wait=True):
            order.append("second")

    with leased(place):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(2 * lease.WAITED)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


@pytest.mark.parametrize("lost", [False, True], ids=["free", "lost"])
def test_of_many_who_try_at_once_one_has_it(tmp_path, lost):
    start = threading.Barrier(6)

    def one(place: Path) -> lease.Lease | None:
        start.wait(10)
        return take(place)

    with ThreadPoolExecutor(6) as pool:
        for i in range(40):
            place = tmp_path / str(i)
            for number in (1, 2) if lost else ():
                by_another(place, number, LOST + 1)
            (winner,) = filter(None, pool.map(one, [place] * 6))
            winner.check()
            assert names(place) == [winner.name]


def test_a_process_that_was_killed_here_has_lost_it_at_once(place):
    code = f"import pathlib, time\nfrom ablations.engine.lease import take\ntake(pathlib.Path({str(place)!r}))\n"
    process = subprocess.Popen([sys.executable, "-c", f"{code}print('held', flush=True)\ntime.sleep(60)"], stdout=-1)
    assert process.stdout.readline() == b"held\n"
    assert holder(place).pid == process.pid
    assert take(place) is None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert take(place) is not None, "nobody has waited for it, and yet it has ended"
    process.wait()
    process.stdout.close()


def test_a_pid_that_another_process_has_by_now_holds_nothing(place):
    by_another(place, machine=Holder.here().machine)
    assert holder(place) is not None, "the same pid and start are this process"
    by_another(place, machine=Holder.here().machine, started="1")
    assert holder(place) is None


def test_another_machines_process_has_lost_it_once_the_clock_of_the_files_says_so(place, monkeypatch):
    """The clocks of hosts are wrong by a minute and more, say."""
    by_another(place, since=LOST - 5)
    monkeypatch.setattr(time, "time", lambda real=time.time: real() + 2 * LOST)
    assert str(holder(place)) == f"elsewhere (process {os.getpid()})"
    assert take(place) is None
    monkeypatch.undo()
    by_another(place, since=LOST + 5)
    monkeypatch.setattr(time, "time", lambda real=time.time: real() - 2 * LOST)
    assert holder(place) is None
    assert take(place).name == "lease.2"
    assert names(place) == ["lease.2"]


@pytest.mark.parametrize("content", [b"", b'{"host": "a', b'{"host": "a"}', b'{"host": "\xa0"}'])
def test_a_lease_that_is_being_written_or_was_altered_is_held_until_it_is_old(place, content):
    write(place, "lease.1", content)
    assert holder(place) is not None
    assert take(place) is None
    stand_still(place, "lease.1", LOST + 1)
    assert take(place) is not None


def test_it_is_renewed_while_it_is_held(place, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED", 0.01)
    with leased(place) as held:
        stand_still(place, held.name, 2 * LOST)
        deadline = time.monotonic() + 5
        while time.time() - (place / held.name).stat().st_mtime > LOST:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_who_stood_still_finds_that_it_is_anothers_and_leaves_that_alone(place):
    with leased(place) as held:
        stand_still(place, held.name, LOST + 1)
        second = take(place)
        assert second is not None
        with pytest.raises(LeaseLost, match=rf"not renewed for 60 seconds, .* \(process {os.getpid()}\) runs it now"):
            held.check()
        assert not held.renew(), "it does not come back"
        assert names(place) == [second.name]
    second.check()
    second.release()
    with pytest.raises(Elsewhere, match="it is run anew"):
        second.check()


def test_who_stood_still_has_lost_it_before_the_next_one_has_removed_it(place):
    with leased(place) as held:
        by_another(place, held.number + 1)
        with pytest.raises(LeaseLost, match=r"elsewhere .* runs it now"):
            held.check()


def test_a_lease_of_its_number_that_another_has_made_since_is_not_its_own(place):
    with leased(place) as held:
        (place / held.name).unlink()
        by_another(place, held.number)
        with pytest.raises(LeaseLost, match=r"elsewhere .* runs it now"):
            held.check()
    assert names(place) == [held.name]


def test_who_looked_before_others_had_it_takes_nothing_from_them(place, monkeypatch):
    """It saw lease 4 lost; meanwhile that was taken over and let go, and a third one has the first of a free folder."""
    by_another(place, 4, LOST + 1)
    numbers, views = lease._numbers, [[4]]
    third = []

    def looked(shelf):
        if views:
            (place / "lease.4").unlink()
            seen = views.pop()
            third.append(take(place))
            by_another(place, 4, LOST + 1)
            return seen
        return [one for one in numbers(shelf) if one != 4]

    monkeypatch.setattr(lease, "_numbers", looked)
    assert take(place) is None
    third[0].check()


def test_a_folder_that_is_cleaned_away_as_a_lease_is_made_is_made_again(tmp_path, monkeypatch):
    place, mkdir, made = tmp_path / "stage", Path.mkdir, []

    def made_and_cleaned(self, *given, **named):
        mkdir(self, *given, **named)
        made.append(self)
        if len(made) == 1:
            self.rmdir()

    monkeypatch.setattr(Path, "mkdir", made_and_cleaned)
    assert Folder(place).make("lease.1", "mine")
    assert (place / "lease.1").read_text() == "mine"
    assert made == [place, place]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupted_at_any_moment_it_holds_nothing_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "LOST", 0.2)
    moments = itertools.count()

    def interrupt(at):
        """Raise KeyboardInterrupt at so manieth line of this room's code."""
        left = itertools.count(at, -1)

        def trace(frame, event, argument):
            here = frame.f_code.co_filename in (lease.__file__, shelves.__file__)
            if not here or frame.f_code.co_name in ("_renew", "release", "check"):
                return None
            if event == "line" and next(left) == 0:
                raise KeyboardInterrupt
            return trace

        return trace

    interrupted = True
    while interrupted:
        place, interrupted = tmp_path / str(moment := next(moments)), False
        try:
            sys.settrace(interrupt(moment))
            with leased(place):
                sys.settrace(None)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.settrace(None)
        # What is not renewed any more is lost after a while.
        time.sleep(0.3 if list(place.glob("lease.*")) else 0)
        assert holder(place) is None, moment
    assert moment > 20


def test_interrupted_as_its_thread_starts_it_is_not_renewed_for_ever(tmp_path, monkeypatch):
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            leased(tmp_path).__enter__()
    assert holder(tmp_path) is None
    assert not any(thread.name.endswith("(_renew)") for thread in threading.enumerate())


FULL = """
import resource, sys
from pathlib import Path
from ablations.engine.lease import leased
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    with leased(Path(sys.argv[1])):
        print("held")
except OSError as error:
    print(error.strerror)
"""


def test_a_disk_that_is_full_as_it_is_taken_leaves_the_place_free(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert list(tmp_path.iterdir()) == []
