"""Workers: each takes a group of stages and a device, runs them side by side, each from the files that it needs to the
files that it leaves, and says how it ended.

A worker that is killed costs the stages that it had not ended, and is replaced. Workers end with the process that
started them, whatever ends that, and leave Ctrl-C to it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from ablations.engine.journal import CHECKPOINT, STAGE_LOCK, STATUS, Damaged, Failure, Journal, try_lock
from ablations.engine.stage import Bench, Member, Stage, side_by_side

CONTEXT = multiprocessing.get_context("forkserver")
"""The way to start them: each is forked from a process that has imported what it needs."""
ELSEWHERE = "elsewhere"
DIED = "died"
"""The status of a stage whose worker ended before it: it was killed, or ran out of memory."""


def perform(stage: Stage, journal: Journal, device: str, member: Member | None = None) -> str:
    """Run a stage unless it has its result, and return how it ended: "finished", "diverged", "failed" (the journal says
    why), or "elsewhere" where another process runs it."""
    with try_lock(journal.folder(stage.id) / STAGE_LOCK) as holder:
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


class Workers(Protocol):
    """Workers that run stages until they are closed, one for each of these devices, `most` side by side in each."""

    devices: list[str]
    most: int = 1

    def free(self) -> list[str]:
        """The device of each worker that has nothing to do."""

    def submit(self, stages: Sequence[Stage], device: str) -> None:
        """Have a free worker of this device run stages."""

    def ended(self, seconds: float) -> list[tuple[str, str]]:
        """While stages run: the ids and statuses of those that have ended, once there are any, or none in so long."""

    def close(self) -> None:
        """End all workers, whatever they do; what is submitted afterwards has new ones."""


class ThisProcess(Workers):
    """The process that the command runs in: submitting a stage runs it to its end."""

    def __init__(self, journal: Journal, device: str) -> None:
        self.journal = journal
        self.devices = [device]
        self.over: list[tuple[str, str]] = []

    def free(self) -> list[str]:
        return [] if self.over else self.devices

    def submit(self, stages: Sequence[Stage], device: str) -> None:
        perform_all(stages, self.journal, device, lambda stage, status: self.over.append((stage.id, status)))

    def ended(self, seconds: float) -> list[tuple[str, str]]:
        over, self.over = self.over, []
        return over

    def close(self) -> None:
        """Nothing was started."""


class Worker:
    """A place for a process on a device, which is started when it is needed, and the stages that it has not ended."""

    def __init__(self, device: str, *given: Any) -> None:
        self.device, self.given = device, given
        self.stages: list[str] = []
        self.process = CONTEXT.Process()

    def give(self, stages: Sequence[Stage]) -> None:
        if not self.process.is_alive():
            self.connection, theirs = CONTEXT.Pipe()
            self.process = CONTEXT.Process(target=_serve, args=(theirs, self.device, *self.given), daemon=True)
            self.process.start()
            theirs.close()
        self.stages = [stage.id for stage in stages]
        # One that was killed at this moment is found dead when it is asked.
        with suppress(OSError):
            self.connection.send(stages)

    def ended(self) -> list[tuple[str, str]]:
        """The stage that it says has ended, or all of them if it is dead."""
        try:
            stage_id, status = self.connection.recv()
        except (EOFError, OSError):
            return [(stage_id, DIED) for stage_id in self.stop()]
        self.stages.remove(stage_id)
        return [(stage_id, status)]

    def stop(self) -> list[str]:
        """End its process, whatever that does; the stages that it had not ended."""
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        lost, self.stages = self.stages, []
        return lost


class Processes(Workers):
    """A worker process for each of these devices; it calls `begin`."""

    def __init__(self, journal: Journal, devices: list[str], begin: Callable[[], None], most: int = 1) -> None:
        self.devices, self.most = devices, most
        self.workers = [Worker(device, journal, begin) for device in devices]

    def free(self) -> list[str]:
        return [worker.device for worker in self.workers if not worker.stages]

    def submit(self, stages: Sequence[Stage], device: str) -> None:
        next(it for it in self.workers if it.device == device and not it.stages).give(stages)

    def ended(self, seconds: float) -> list[tuple[str, str]]:
        under_way: dict[Any, Worker] = {worker.connection: worker for worker in self.workers if worker.stages}
        return [end for connection in wait(list(under_way), seconds) for end in under_way[connection].ended()]

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()


def warm_up() -> None:
    """Start the process that workers are forked from, which imports what they need, unless it runs; it ends with the
    last process that uses it."""
    CONTEXT.set_forkserver_preload(["ablations.stages.preloaded"])
    forkserver.ensure_running()


def _serve(connection: Connection, device: str, journal: Journal, begin: Callable[[], None]) -> None:
    """In a new worker: run what arrives, and end with the process that sends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin()

    # The driver may be gone, or the disk be so full that not even a failure can be written.
    with suppress(EOFError, OSError):
        while True:
            perform_all(connection.recv(), journal, device, lambda stage, status: connection.send((stage.id, status)))


def _end_with_parent() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None, "a worker has a driver"
    driver.join()
    os._exit(1)
