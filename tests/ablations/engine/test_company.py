"""Stages in threads of one process: one works at a time, each gets its share, and nobody waits for who has left."""

from __future__ import annotations

import random
import threading
import time

import pytest

from ablations.engine.company import side_by_side

TIMEOUT = 30.0
"""Seconds after which a company has come to a standstill: each is over in milliseconds."""


def company(seats, work):
    """What `side_by_side` comes to; a failure of the test where it does not end."""
    ends = []
    thread = threading.Thread(target=lambda: ends.append(side_by_side(seats, work)), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive(), "it has come to a standstill"
    return ends[0]


def squares(numbers):
    return [number**2 for number in numbers]


def test_each_gets_its_own_share_of_what_is_made_of_all():
    made = []

    def work(numbers):
        made.append(sorted(numbers))
        return squares(numbers)

    ends = company(3, lambda place, seat: [seat.meet(place + 10 * i, work) for i in range(2)])
    assert ends == [[0, 100], [1, 121], [4, 144]]
    assert made == [[0, 1, 2], [10, 11, 12]]


def test_one_alone_waits_for_nobody():
    assert company(1, lambda place, seat: seat.meet(7, squares)) == [49]


def test_who_is_done_earlier_leaves_the_others_to_go_on():
    made = []

    def work(numbers):
        made.append(len(numbers))
        return squares(numbers)

    ends = company(3, lambda place, seat: [seat.meet(n, work) for n in range(place * 2)])
    assert ends == [[], [0, 1], [0, 1, 4, 9]]
    assert made == [2, 2, 1, 1]


def test_one_works_at_a_time():
    inside, seen = [], []

    def work(numbers):
        seen.append(list(inside))
        return numbers

    def sit(place, seat):
        for _ in range(5):
            assert not inside
            inside.append(place)
            time.sleep(0.001)
            assert inside == [place]
            inside.clear()
            seat.meet(place, work)

    assert company(3, sit) == [None] * 3
    assert seen == [[]] * 5


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_one_that_fails_leaves_the_others_and_its_end_is_its_error(error):
    def sit(place, seat):
        seat.meet(place, squares)
        if place == 1:
            raise error
        return [seat.meet(n, squares) for n in (2, 3)]

    assert company(3, sit) == [[4, 9], error, [4, 9]]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_where_the_work_fails_on_all_each_does_its_own_and_one_alone_fails(error):
    made = []

    def work(numbers):
        made.append(len(numbers))
        if 1 in numbers:
            raise error
        return squares(numbers)

    ends = company(3, lambda place, seat: [seat.meet(place, work), seat.meet(5, work)])
    assert ends == [[0, 25], error, [4, 25]]
    # All three, each by itself, and the two that are left.
    assert made == [3, 1, 1, 1, 2]


def test_whose_share_is_an_exception_does_its_own_again_and_the_others_have_theirs():
    made = []

    def work(numbers):
        made.append(sorted(numbers))
        return [ValueError() if len(numbers) > 1 and number == 2 else number**2 for number in numbers]

    assert company(3, lambda place, seat: seat.meet(place, work)) == [0, 1, 4]
    assert made == [[0, 1, 2], [2]]


def test_too_few_shares_are_a_failure_of_the_work_and_nobody_waits_for_ever():
    def work(numbers):
        return squares(numbers) if len(numbers) == 1 else squares(numbers)[1:]

    assert company(3, lambda place, seat: seat.meet(place, work)) == [0, 1, 4]


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""
    now = [0.0]
    monkeypatch.setattr("ablations.engine.company.time.monotonic", lambda: now[0])
    return now


def test_seconds_of_all_add_up_to_those_that_passed_and_each_has_its_own(clock):
    def work(numbers):
        clock[0] += 9.0
        return numbers

    def sit(place, seat):
        clock[0] += 1.0 + place
        seat.meet(place, work)
        clock[0] += 10.0
        return seat.clock()

    ends = side_by_side(3, sit)
    assert ends == [1 + 3 + 10, 2 + 3 + 10, 3 + 3 + 10]
    assert sum(ends) == clock[0]


def test_seconds_of_work_that_failed_on_all_and_was_done_again_are_of_who_did_it(clock):
    def work(numbers):
        clock[0] += 4.0
        if len(numbers) > 1:
            raise ValueError
        return numbers

    def sit(place, seat):
        seat.meet(place, work)
        return seat.clock()

    assert side_by_side(2, sit) == [2 + 4, 2 + 4]


class Wrong(Exception):
    """What a place of a random history ends in."""


def history(seed):
    """A small company with random joins, failures and leaves, and what each place must end in."""
    draw = random.Random(seed)
    plans = [[draw.choice("mmmmmws") for _ in range(draw.randint(0, 6))] for _ in range(draw.randint(1, 5))]
    for plan in plans:
        if draw.random() < 0.2:
            plan.insert(draw.randint(0, len(plan)), "f")
    spoilt = draw.choice((0.0, 0.0, 0.3))

    def work(items):
        if len(items) > 1 and draw.random() < spoilt:
            raise Wrong
        if any(kind == "w" for kind, _ in items):
            raise Wrong
        return [("share", number) for _, number in items]

    def sit(place, seat):
        got = []
        for i, kind in enumerate(plans[place]):
            if kind == "f":
                raise Wrong
            if kind == "s":
                time.sleep(0)
            else:
                got.append(seat.meet((kind, (place, i)), work))
        return got

    expected = []
    for place, plan in enumerate(plans):
        fails = any(kind in "fw" for kind in plan)
        expected.append(None if fails else [("share", (place, i)) for i, kind in enumerate(plan) if kind == "m"])
    return sit, expected


@pytest.mark.parametrize("part", range(10))
def test_no_random_company_comes_to_a_standstill(part):
    for seed in range(part * 200, (part + 1) * 200):
        sit, expected = history(seed)
        ends = company(len(expected), sit)
        found = [None if isinstance(end, Wrong) else end for end in ends]
        assert found == expected, f"seed {seed}"
