"""Stages in threads of one process: one works at a time, each gets its share, and nobody waits for who has left."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import pytest

from ablations.engine.stage import code_version, side_by_side

TIMEOUT = 30.0
"""Seconds after which a group has come to a standstill: each is over in milliseconds."""


def group(members, work):
    """What `side_by_side` comes to, in results and errors; a failure of the test where it does not end."""
    ends = []
    thread = threading.Thread(target=lambda: ends.append(side_by_side(members, work)), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "it has come to a standstill"
    return [end.exception() or end.result() for end in ends[0]]


def squares(numbers):
    return [number**2 for number in numbers]


def test_who_is_done_earlier_leaves_the_others_to_go_on():
    made = []

    def work(numbers):
        made.append(len(numbers))
        return squares(numbers)

    ends = group(3, lambda place, member: [member.exchange(n, work) for n in range(place * 2)])
    assert ends == [[], [0, 1], [0, 1, 4, 9]]
    assert made == [2, 2, 1, 1]


def test_one_works_at_a_time():
    inside, seen = [], []

    def work(numbers):
        seen.append(list(inside))
        return numbers

    def sit(place, member):
        for _ in range(5):
            assert not inside
            inside.append(place)
            time.sleep(0.001)
            assert inside == [place]
            inside.clear()
            member.exchange(place, work)

    assert group(3, sit) == [None] * 3
    assert seen == [[]] * 5


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_one_that_fails_leaves_the_others_and_its_end_is_its_error(error):
    def sit(place, member):
        member.exchange(place, squares)
        if place == 1:
            raise error
        return [member.exchange(n, squares) for n in (2, 3)]

    assert group(3, sit) == [[4, 9], error, [4, 9]]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_where_the_work_fails_on_all_each_does_its_own_and_one_alone_fails(error):
    made = []

    def work(numbers):
        made.append(len(numbers))
        if 1 in numbers:
            raise error
        return squares(numbers)

    ends = group(3, lambda place, member: [member.exchange(place, work), member.exchange(5, work)])
    assert ends == [[0, 25], error, [4, 25]]
    # All three, each by itself, and the two that are left.
    assert made == [3, 1, 1, 1, 2]


def test_whose_share_is_an_exception_does_its_own_again_and_the_others_have_theirs():
    made = []

    def work(numbers):
        made.append(sorted(numbers))
        return [ValueError() if len(numbers) > 1 and number == 2 else number**2 for number in numbers]

    assert group(3, lambda place, member: member.exchange(place, work)) == [0, 1, 4]
    assert made == [[0, 1, 2], [2]]


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""
    now = [0.0]
    monkeypatch.setattr("ablations.engine.stage.time.monotonic", lambda: now[0])
    return now


def test_seconds_of_all_add_up_to_those_that_passed_and_each_has_its_own(clock):
    def work(numbers):
        clock[0] += 9.0
        return numbers

    def sit(place, member):
        clock[0] += 1.0 + place
        member.exchange(place, work)
        clock[0] += 10.0
        return member.clock()

    ends = [end.result() for end in side_by_side(3, sit)]
    assert ends == [1 + 3 + 10, 2 + 3 + 10, 3 + 3 + 10]
    assert sum(ends) == clock[0]


@pytest.fixture
def checkout(tmp_path):
    """A repository with one commit."""
    for name in ("ablations", "diffusion_core", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    for words in ("init -q", "add .", "-c user.name=x -c user.email=x@example.org commit -q -m one"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize(("path", "dirty"), [("ablations", True), ("diffusion_core", True), ("results", False)])
def test_a_checkout_is_dirty_where_its_code_differs_and_not_for_its_results(checkout, path, dirty):
    clean = code_version.__wrapped__(checkout)
    assert re.fullmatch(r"[\d.]+\+[0-9a-f]{8}", clean)
    (checkout / path / "file").write_text("after")
    assert code_version.__wrapped__(checkout) == (f"{clean}-dirty" if dirty else clean)


def test_where_git_does_not_say_there_is_no_commit(tmp_path):
    (tmp_path / ".git").write_text("no repository")
    assert re.fullmatch(r"[\d.]+", code_version(tmp_path))
