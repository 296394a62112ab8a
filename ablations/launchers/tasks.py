"""Stages as tasks of a Ray cluster, each with one worker process at a time.

    command ──▶ Ray ──▶ a task per stage, on a node that has its CPUs free and its share of GPUs

Ray finds a place for each, reports when a worker or its node is gone, and ends all tasks with the command. A node that
sees the journal works there. For other nodes Ray's object store carries the stage's input there, and brings its files
back while it runs, checkpoints too (`engine.parcels`): so a cluster needs no shared folder.
"""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.engine.journal import Journal
from ablations.engine.lease import ELSEWHERE, LeaseLost
from ablations.engine.parcels import Desk, packed
from ablations.engine.stage import Stage
from ablations.engine.workers import WorkerDied, Workers
from ablations.launchers.cluster import Need, first_line, listed, nodes_of, refusal_of
from ablations.launchers.nodes import UNSEEN, DriverState, Place, perform_pickled, take_away
from analysis.errors import InputError

LOOK_SECONDS = 5.0
"""Seconds between two looks at the list of nodes."""
PATIENCE = 60.0
"""Seconds without any node that could hold a stage under way, before that is an error."""


@dataclass
class Task:
    """A stage that Ray was given: its needs, its desk, and Ray's reference to it, once it has one."""

    stage: Stage
    device: str
    need: Need
    desk: Desk
    changes: Any = None
    future: Future[str] = field(default_factory=Future)


class Tasks(Workers):
    """Stages as tasks of a cluster, each followed by a thread of the command."""

    def __init__(self, ray: Any, place: Place, devices: list[str], gpus: float) -> None:
        self.ray = ray
        self.place = place
        self.journal = Journal(Path(place.journal))
        self.device = devices[0]
        self.slots = len(devices)
        self.gpus = gpus
        self.need = Need(1, gpus)
        self.under_way: dict[Future[str], Task] = {}
        self.looked = self.possible = time.monotonic()
        self.driver = DriverState.here()
        self.shared = True
        # A second try is the dispatcher's.
        self.perform = self.ray.remote(max_retries=0, num_returns="streaming")(perform_pickled)

    def submit(self, stage: Stage, device: str) -> Future[str]:
        self.need = Need(stage.threads, self.gpus)
        task = Task(stage, device, self.need, Desk(self.journal, stage))
        self.under_way[task.future] = task
        threading.Thread(target=self._follow, args=(task,), daemon=True).start()
        return task.future

    def _follow(self, task: Task) -> None:
        """Take what a stage leaves until it has ended, and only then report how."""
        try:
            status = self._run(task)
            if status == UNSEEN:
                # From now on every stage has what it reads with it.
                self.shared = False
                status = self._run(task)
        except LeaseLost:
            self._stop(task)
            status = ELSEWHERE
        except BaseException as error:
            task.desk.close()
            task.future.set_exception(error)
            return
        task.desk.close()
        task.future.set_result(status)

    def _run(self, task: Task) -> str:
        """Submit a stage to Ray, with all that it reads unless the nodes see the journal; return the status that it
        ends with."""
        parcel = None
        if not self.shared:
            if not task.desk.open():
                return ELSEWHERE
            parcel = self.ray.put(packed(self.journal, task.stage))
        options = {"name": task.stage.kind, "num_cpus": task.need.cpus, "num_gpus": task.need.gpus}
        pickled = pickle.dumps(task.stage)
        task.changes = self.perform.options(**options).remote(self.driver, self.place, pickled, parcel, task.device)
        if task.desk.closed:
            # It was cancelled on its way.
            self._stop(task)
        status = ""
        for reference in task.changes:
            changes = self.ray.get(reference)
            task.desk.take(changes)
            status = changes.status
        return status

    def status(self, future: Future[str]) -> str:
        self.under_way.pop(future, None)
        try:
            return future.result()
        except self.ray.exceptions.RayTaskError as error:
            raise refusal_of(error) from error
        except self.ray.exceptions.RayError as error:
            raise WorkerDied(first_line(error)) from error

    def cancel(self, future: Future[str]) -> None:
        task = self.under_way.pop(future, None)
        if task is not None:
            task.desk.close()
            self._stop(task)

    def _stop(self, task: Task) -> None:
        if task.changes is not None:
            self.ray.cancel(task.changes, force=True)

    def more(self) -> list[str]:
        """A device for each stage that fits on nodes that joined since; InputError once no node can hold what waits."""
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return []
        self.looked = now
        nodes = nodes_of(self.ray)
        needs = {task.need for task in self.under_way.values()}
        if all(any(node.holds(need) for node in nodes) for need in needs):
            self.possible = now
        elif now - self.possible > PATIENCE:
            raise InputError(
                f"no node is left that holds a cell, which needs {max(needs, key=lambda need: need.cpus)}: "
                f"{listed(nodes)}; start one, and the same command continues"
            )
        joined = max(0, sum(node.holds(self.need) for node in nodes) - self.slots)
        self.slots += joined
        return [self.device] * joined

    def close(self) -> None:
        """Stop what is under way; the processes belong to Ray, which ends them with the driver."""
        for future in list(self.under_way):
            self.cancel(future)
        take_away(self.place)
