"""One stage in a worker, from the files that it needs to the files that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ablations.engine.journal import CHECKPOINT, STATUS, Damaged, Failure, Journal
from ablations.engine.locks import STAGE_LOCK, tried
from ablations.engine.side_by_side import Member, side_by_side
from ablations.engine.stage import Bench, Stage

ELSEWHERE = "elsewhere"
"""The status of a stage that another process runs."""


def perform(stage: Stage, journal: Journal, device: str, member: Member | None = None) -> str:
    """Run a stage unless it has its result, and return how it ended: "finished", "diverged", "failed" (the journal says
    why), or "elsewhere" where another process runs it."""
    with tried(journal.folder(stage.id) / STAGE_LOCK) as holder:
        if holder:
            return ELSEWHERE
        if (before := journal.result(stage.id)) is not None:
            return before.status
        for half in journal.folder(stage.id).glob(".*.safetensors.*"):
            # Of a writer that was killed.
            half.unlink()
        try:
            result = stage.run(Bench(stage.id, journal, device, member))
            journal.write_result(stage.id, result)
        except Exception as error:
            if isinstance(error, Damaged):
                journal.forget_result(error.folder.name)
            journal.write_failure(stage.id, Failure.of(error))
            return "failed"
        journal.discard(stage.id, STATUS, CHECKPOINT)
        return result.status


def perform_all(
    stages: Sequence[Stage],
    journal: Journal,
    device: str,
    ended: Callable[[Stage, str], object] = lambda stage, status: None,
) -> list[str]:
    """Run stages side by side, one alone without a group: the status of each, which is also told as it has `ended`."""

    def sit(place: int, member: Member | None = None) -> str:
        status = perform(stages[place], journal, device, member)
        ended(stages[place], status)
        return status

    return [end.result() for end in side_by_side(len(stages), sit)] if len(stages) > 1 else [sit(0)]
