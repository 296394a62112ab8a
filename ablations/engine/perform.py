"""One stage in a worker, from the files that it needs to the files that it leaves.

A worker holds the lease of its stage's folder meanwhile (`lease`), and writes nothing there once it has lost it.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from ablations.engine.company import Seat, side_by_side
from ablations.engine.files import BEFORE, CHECKPOINT, Damaged
from ablations.engine.journal import DAMAGED, STOPPED, Failure, Journal
from ablations.engine.lease import ELSEWHERE, Elsewhere, LeaseLost, leased
from ablations.engine.stage import Bench, Stage


def perform(stage: Stage, journal: Journal, device: str, seat: Seat | None = None) -> str:
    """Run a stage unless it has its result, and return how it ended.

    That is "finished", "diverged", "failed" (the journal has the traceback), "damaged" where its input is, whose result
    is forgotten now, or "elsewhere" where another process runs it, or something that it needs for itself.
    """
    with leased(journal.shelf(stage.id)) as lease:
        if lease is None:
            return ELSEWHERE
        if seat is not None and _was_stopped(stage, journal):
            # While it waited for its turn among the others.
            return ELSEWHERE
        try:
            return _performed(stage, Bench(stage.id, journal, device, lease, stage.id, seat=seat))
        except LeaseLost as lost:
            if not _was_stopped(stage, journal):
                print(f"{stage.kind} {stage.id} was stopped here: {lost}", file=sys.stderr)
            return ELSEWHERE
        except Elsewhere:
            return ELSEWHERE


def _was_stopped(stage: Stage, journal: Journal) -> bool:
    """True where the command has given the stage up: it forgot all earlier failures of it before the stage began."""
    failure = journal.failure(stage.id)
    return failure is not None and failure.kind == STOPPED.kind


def perform_all(stages: Sequence[Stage], journal: Journal, device: str) -> list[str | BaseException]:
    """Run stages side by side: the status of each, or the error with which not even its failure could be written."""
    return side_by_side(len(stages), lambda place, seat: perform(stages[place], journal, device, seat))


def _performed(stage: Stage, bench: Bench) -> str:
    """The status of a stage after it ran; Elsewhere where another process has it."""
    journal, lease = bench.journal, bench.lease
    left = journal.result(stage.id)
    if left is not None:
        return left.status
    try:
        stage.perform(bench)
    except Elsewhere:
        raise
    except Damaged as error:
        lease.check()
        journal.forget_result(error.folder.name)
        lease.check()
        journal.write_failure(stage.id, Failure.of(error, ""))
        return DAMAGED
    except Exception as error:
        lease.check()
        journal.write_failure(stage.id, Failure.of(error, traceback.format_exc()))
        return "failed"
    ended = journal.result(stage.id)
    if ended is None:
        # One of several processes has said why.
        failure = journal.failure(stage.id)
        return DAMAGED if failure is not None and failure.kind == "damaged" else "failed"
    journal.forget_failure(stage.id)
    journal.discard(stage.id, CHECKPOINT, BEFORE)
    return ended.status
