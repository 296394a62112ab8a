"""States on the trunk that trainings of one recipe share, whatever their length: those that are left, and go on.

    trunk     the first (1 − c) N steps of `training.rate=wsd`, which know nothing of N (`diffusion_core/rates.py`)
    fork      the last report of a training of r steps on its trunk: until then it is every longer one's beginning too

A training leaves its whole state where its rungs fork, and one of r steps goes on from the furthest state on its trunk
that any of its kin has left. So it costs its cooldown, and is bit by bit what it is alone: what was left decides
nothing but how long it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from ablations.engine.files import CHECKPOINT, FORK, Damaged
from ablations.engine.journal import Journal
from ablations.stages.artifacts import read_fork, read_history, write_checkpoint, write_history


def furthest(journal: Journal, kin: Iterable[str], most: int) -> list[tuple[int, str]]:
    """The steps up to a step at which kin have left their state, and who did, the furthest first."""
    forks = [(_step_of(name), training) for training in kin for name in journal.shelf(training).names(FORK)]
    return sorted((fork for fork in forks if 0 < fork[0] <= most), reverse=True)


def go_on_from_kin(journal: Journal, stage: str, kin: Iterable[str], most: int) -> None:
    """Give a training the furthest whole state that its kin have left, as a checkpoint, unless it is further itself."""
    folder = journal.folder(stage)
    # Its reports say how far it is: whoever goes on from its own state reads that itself.
    reports = read_history(folder) if (folder / CHECKPOINT).exists() else []
    for step, training in furthest(journal, kin, most):
        if reports and step <= reports[-1]["step"]:
            return
        try:
            state, history = read_fork(journal.folder(training), step)
        except Damaged:
            # The next one leads to the same end.
            continue
        write_history(folder, history)
        write_checkpoint(folder, history, state)
        return


def _step_of(name: str) -> int:
    digits = name.removeprefix(FORK).partition(".")[0]
    return int(digits) if digits.isdigit() else 0
