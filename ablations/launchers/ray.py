"""Stages as tasks of a Ray cluster, whose nodes all see the folder of results (NFS, or another shared file system).

Ray finds a node for each, and says when a worker or its node is gone; its tasks end with the command.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field

from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.engine.stage import Stage
from ablations.engine.version import source_digest
from ablations.engine.workers import DIED, Ended, Workers, end_if_lost
from ablations.launchers.protocol import Launcher, cores
from ablations.settings.plugins import classes as plugins
from ablations.settings.request import check_device
from ablations.stages.stage import Stage as CellStage
from analysis.errors import InputError
from diffusion_core.precision import Asked, Precision, resolve_precision

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Variables for Ray, unless they are set: it sends no statistics, and does not announce what will change in it."""
STORE_BYTES = 100_000_000
"""Bytes of memory for objects in a cluster that is started here: stages leave theirs in files."""
STOP_SECONDS = 10.0
"""Seconds for stages to end that were stopped."""


@dataclass(frozen=True)
class Ray(Launcher):
    """Nodes of a cluster, named as docs/ray.md says: as many stages at a time as its CPUs and GPUs hold, and more once
    a node joins. A stage has `gpus_per_cell` of a GPU: with 0.25 each runs four at a time."""

    address: str = "auto"
    gpus_per_cell: Annotated[float, Field(gt=0, le=1)] = 1.0

    def devices(self, device: str, threads: int) -> list[str]:
        check_device(device)
        ray = connected(self.address)
        on_gpus = device != "cpu" and (device != "auto" or held_by(ray, 1, self.gpus_per_cell) > 0)
        count = held_by(ray, threads, self.gpus_per_cell if on_gpus else 0.0)
        if not count or device.startswith("cuda:"):
            raise InputError(
                f"no node of the Ray cluster holds a cell with threads={threads} and device={device}: ray status says "
                "what there is; device is cpu, or cuda for whichever GPU is free"
            )
        return ["cuda:0" if on_gpus else "cpu"] * count

    def precision(self, asked: Asked, device: str) -> Precision:
        """bf16 on GPUs, of which this machine may have none: a node that has others is refused."""
        return super().precision(asked, device) if device == "cpu" or asked != "auto" else "bf16"

    def kind(self, device: str) -> str:
        """Not known: nodes may be of several kinds, and Ray chooses among them."""
        return ""

    def start(self, journal: Journal, devices: list[str]) -> Workers:
        ray, device = connected(self.address), devices[0]
        gpus = 0.0 if device == "cpu" else self.gpus_per_cell
        begin = partial(_begin, plugins.modules(), _code(), device, self.precision("auto", device))
        return RayWorkers(ray, journal, devices, gpus, begin)


def connected(address: str) -> Any:
    """Ray, connected to a cluster; InputError where Ray is not installed, or the cluster cannot be entered."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError("launcher=ray needs Ray: pip install 'diffusion-ablations[ray]'") from error
    if ray.is_initialized():
        return ray
    here: dict[str, Any] = {}
    if address == "local":
        here = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"no Ray cluster at launcher.address={address} (docs/ray.md starts one): {reason}") from error
    return ray


def held_by(ray: Any, threads: int, gpus: float) -> int:
    """The number of stages that the nodes hold at a time, each with so many threads and such a share of a GPU."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    by_cpus = [int(has.get("CPU", 0)) // threads for has in nodes]
    by_gpus = [int(has.get("GPU", 0)) * int(1 / gpus) for has in nodes] if gpus else by_cpus
    return sum(map(min, by_cpus, by_gpus))


class RayWorkers(Workers):
    """Tasks of a cluster, each a stage with so many `gpus`; a worker calls `begin` before it."""

    def __init__(
        self, ray: Any, journal: Journal, devices: list[str], gpus: float, begin: Callable[[Stage], None]
    ) -> None:
        self.ray, self.journal, self.devices = ray, Journal(journal.root.resolve()), devices
        self.gpus, self.begin = gpus, begin
        self.tasks: dict[Any, Stage] = {}
        # A second try is the scheduler's.
        self.perform = ray.remote(max_retries=0)(_perform)

    def free(self) -> list[str]:
        return self.devices[len(self.tasks) :]

    def submit(self, stages: Sequence[Stage], device: str) -> None:
        (stage,) = stages
        # A node that does not find this folder does not see the journal.
        self.journal.folder(stage.id).mkdir(parents=True, exist_ok=True)
        task = self.perform.options(name=stage.kind, num_cpus=stage.threads, num_gpus=self.gpus)
        self.tasks[task.remote(os.getcwd(), self.begin, stage, self.journal, device)] = stage

    def ended(self, seconds: float) -> list[Ended]:
        if not self.tasks:
            time.sleep(seconds)
            return []
        done, _ = self.ray.wait(list(self.tasks), timeout=seconds)
        # Nodes may have joined, or be gone.
        threads = next(iter(self.tasks.values())).threads
        self.devices = self.devices[:1] * max(1, held_by(self.ray, threads, self.gpus))
        return [self._end(reference, self.tasks.pop(reference).id) for reference in done]

    def _end(self, reference: Any, stage_id: str) -> Ended:
        try:
            return stage_id, self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from error
            reason = str(error).strip().splitlines()[-1]
            raise InputError(f"a worker of Ray could not begin ({reason}): install the same on every node") from error
        except self.ray.exceptions.RayError:
            return stage_id, DIED

    def close(self) -> None:
        for reference in self.tasks:
            self.ray.cancel(reference, force=True)
        if self.tasks:
            self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=STOP_SECONDS)
        self.tasks.clear()


def _perform(folder: str, begin: Callable[[Stage], None], stage: Stage, journal: Journal, device: str) -> str:
    """In a worker: perform a stage; InputError where this node is not as the command believes."""
    with suppress(OSError):
        os.chdir(folder)
    begin(stage)
    if not journal.folder(stage.id).is_dir():
        raise InputError(
            f"the node {platform.node()} does not see {journal.root}: give results= a folder that all nodes share"
        )
    status = perform(stage, journal, device)
    end_if_lost(stage, status, device)
    return status


def _begin(modules: list[str], code: str, device: str, auto: Precision, stage: Stage) -> None:
    """In a worker: import what the command has registered; InputError where the node would give other numbers."""
    plugins.import_modules(modules)
    asks = isinstance(stage, CellStage) and stage.cell.training.precision == "auto"
    here = resolve_precision("auto", torch.device(device)) if asks else auto
    for what, own, asked in (("code", _code(), code), ("training.precision=auto", here, auto)):
        if own != asked:
            raise InputError(
                f"{what} is {own} on the node {platform.node()} and {asked} to the command: take nodes of one kind, "
                "with the same installed, or training.precision=float32"
            )


def _code() -> str:
    """The code that makes the numbers: the source digest, and torch's version."""
    return f"{source_digest()} with torch {torch.__version__}"
