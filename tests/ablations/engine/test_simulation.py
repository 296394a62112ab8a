"""Random histories of commands and workers that die, stand still and come back: every promise is kept.

More of them, or one that broke a promise: python -m tests.ablations.engine.test_simulation FIRST [LAST [TOGETHER]]
"""

from __future__ import annotations

import sys

import pytest

from tests.ablations.engine.simulation import History, Violation

HISTORIES, PARTS = 10_000, 20
EACH_TIME = 4
"""Parts that are run each time; the others are thorough. Those that once broke a promise stand below."""


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[pytest.mark.thorough] if part >= EACH_TIME else []) for part in range(PARTS)]
)
def test_no_history_breaks_a_promise(part, capsys):
    """Of four, one has two stages side by side in a worker, and one three."""
    each, together = HISTORIES // PARTS, (1, 2, 1, 3)[part % 4]
    for seed in range(part * each, (part + 1) * each):
        try:
            History(seed, together).run()
        except Violation as broken:
            pytest.fail(f"seed {seed}, {together} side by side: {broken}")
    capsys.readouterr()


@pytest.mark.parametrize("seed", [12518, 6850, 53, 59789, 226400, 256598, 422873])
def test_histories_that_once_broke_one_keep_it_now(seed, capsys):
    History(seed).run()


def test_one_that_waits_for_its_turn_in_a_worker_that_stands_still_is_tried_again(capsys):
    History(358, 3).run()


def test_a_history_is_replayed_by_its_seed(capsys):
    logs = []
    for _ in range(2):
        history = History(6850)
        history.run()
        logs.append(history.world.log)
    assert logs[0] == logs[1]
    assert any(" kill " in line or " freeze " in line for line in logs[0])


def main(first: int, last: int, together: int) -> None:
    """Run these histories; the log of one that breaks a promise."""
    for seed in range(first, last):
        history = History(seed, together)
        try:
            history.run()
        except Violation as broken:
            print(f"seed {seed}: {broken}", *history.world.log, sep="\n")


if __name__ == "__main__":
    begin, *rest = map(int, sys.argv[1:])
    main(begin, rest[0] if rest else begin + 1, rest[1] if len(rest) > 1 else 1)
