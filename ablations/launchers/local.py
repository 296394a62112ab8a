"""Where stages run: worker processes on this machine, one stage at a time each.

A launcher takes stages in order, starts each once the stages it needs have finished, and yields small events; more
stages may be added while it runs. A worker that dies (killed, out of memory) costs its stage alone, which is tried once
more. With GPUs there is one worker per GPU; otherwise as many as the cores hold at the cells' threads.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from ablations.stages.journal import Journal
from ablations.stages.kinds import Stage
from analysis.errors import InputError

POLL_SECONDS = 0.2
TRIES = 2


@dataclass(frozen=True)
class Event:
    """What happened to a stage: it started, progressed to `share`, ended with `status`, or its worker died; or it was
    left out, since one that it needs did not finish."""

    kind: Literal["started", "progress", "ended", "died", "left_out"]
    stage: Stage
    share: float = 0.0
    status: str = ""


@dataclass
class Running:
    """A stage in a worker: its future, the device it holds, and which try this is."""

    stage: Stage
    future: Future[str]
    device: str
    tries: int


class LocalLauncher:
    """Worker processes here, each with a device of its own from `devices` (a CPU slot is "cpu")."""

    def __init__(self, root: Path, devices: list[str]) -> None:
        self.root = root
        self.devices = devices
        self.waiting: list[tuple[Stage, int]] = []
        self.running: list[Running] = []
        self.ended: dict[str, bool] = {}

    def add(self, stages: list[Stage]) -> None:
        """More stages to run, after those they need: each is here too, or has its result. One that is here stays."""
        journal = Journal(self.root)
        for stage in stages:
            self.ended.pop(stage.id, None)
        for need in {need for stage in stages for need in stage.needs}:
            result = journal.result(need)
            if result is not None:
                self.ended[need] = result.status == "finished"
        here = {stage.id for stage, _ in self.waiting} | {work.stage.id for work in self.running}
        self.waiting += [(stage, 1) for stage in stages if stage.id not in here]
        known = self.ended.keys() | here | {stage.id for stage in stages}
        assert all(need in known for stage in stages for need in stage.needs), "a stage needs one that is not here"

    def run(self) -> Iterator[Event]:
        """Run all that was added, until nothing waits; a stage that is stopped (Ctrl-C) is marked interrupted."""
        journal, running = Journal(self.root), self.running
        free = list(self.devices)
        context = multiprocessing.get_context("spawn")
        pool = ProcessPool(max_workers=len(self.devices), context=context, initializer=_start, initargs=(os.getpid(),))
        try:
            while self.waiting or running:
                for stage, tries in _ready(self.waiting, self.ended, len(free)):
                    self.waiting.remove((stage, tries))
                    running.append(self._start(pool, stage, tries, free.pop(0)))
                    yield Event("started", stage)
                for work in [work for work in running if work.future.done()]:
                    running.remove(work)
                    free.append(work.device)
                    yield from self._end(work, journal)
                for stage, tries in [entry for entry in self.waiting if not _possible(entry[0], self.ended)]:
                    self.waiting.remove((stage, tries))
                    self.ended[stage.id] = False
                    yield Event("left_out", stage, 1.0)
                yield from (Event("progress", w.stage, journal.progress(w.stage.id)) for w in running)
                if not (free and _ready(self.waiting, self.ended, 1)):
                    wait([work.future for work in running], POLL_SECONDS, FIRST_COMPLETED)
        finally:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()
            for work in running:
                if journal.result(work.stage.id) is None:
                    journal.write_status(work.stage.id, "interrupted", "the command was stopped")

    def _start(self, pool: ProcessPool, stage: Stage, tries: int, device: str) -> Running:
        from ablations.workers.perform import perform

        return Running(stage, pool.schedule(perform, args=[stage, str(self.root), device]), device, tries)

    def _end(self, work: Running, journal: Journal) -> Iterator[Event]:
        try:
            status = work.future.result()
        except ProcessExpired as error:
            if work.tries < TRIES:
                self.waiting.insert(0, (work.stage, work.tries + 1))
                yield Event("died", work.stage)
                return
            status = "failed"
            journal.write_status(work.stage.id, status, f"its worker died {TRIES} times: {error}")
        except OSError as error:
            # The worker could not even write down its failure: the disk is full, say. The driver's turn to try.
            status = "failed"
            journal.write_status(work.stage.id, status, f"its journal could not be written: {error}")
        self.ended[work.stage.id] = status == "finished"
        yield Event("ended", work.stage, 1.0, status)


def _ready(waiting: list[tuple[Stage, int]], ended: dict[str, bool], free: int) -> list[tuple[Stage, int]]:
    """The first stages that can start now, those nearest to the end of their cell first."""
    ready = [(stage, tries) for stage, tries in waiting if all(ended.get(need) for need in stage.needs)]
    ready.sort(key=lambda entry: -len(entry[0].needs))
    return ready[:free]


def _possible(stage: Stage, ended: dict[str, bool]) -> bool:
    """Whether all that it needs finished, or may still do so."""
    return all(ended.get(need, True) for need in stage.needs)


def _start(parent: int) -> None:
    """In a new worker: leave Ctrl-C to the driver, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    # torch-fidelity makes a bar even where it is silent, whose lock is otherwise a semaphore of the machine: a worker
    # that is stopped leaves it behind, with a warning.
    tqdm.set_lock(threading.RLock())


def devices_for(device: str, threads: int, workers: int | None) -> list[str]:
    """The devices of the workers that `device` (auto, cpu, cuda, cuda:N) means here; InputError where it has none."""
    import torch

    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        raise InputError(f"device={device} is not here: this machine has {count} CUDA devices; take device=cpu or auto")
    if device == "auto":
        device = "cuda" if count else "cpu"
    if device == "cpu":
        cores = len(os.sched_getaffinity(0))
        return ["cpu"] * (workers or max(1, cores // threads))
    found = [f"cuda:{i}" for i in range(count)] if device == "cuda" else [device]
    return found[: workers or len(found)]
