"""Stages as tasks of a Ray cluster, whose nodes all see the folder of results (NFS, or another shared file system).

Ray finds a node for each, and says when a worker or its node is gone; its tasks end with the command.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import torch
from pydantic import Field

from ablations.engine.journal import Journal
from ablations.engine.stage import PACKAGES, ROOT, Stage
from ablations.engine.workers import DIED, Workers, perform
from ablations.launchers.launcher import Launcher, Shares
from ablations.settings import plugins
from ablations.settings.request import check_device
from ablations.stages.stage import Stage as CellStage
from analysis.errors import InputError
from diffusion_core.precision import Asked, Precision, resolve_precision


@dataclass(frozen=True)
class Ray(Launcher):
    """Nodes of a cluster, named as docs/scale.md says: as many stages at a time as its CPUs and GPUs hold, and more
    once a node joins. A stage has `gpus_per_cell` of a GPU: with 0.25 each runs four at a time."""

    address: str = "auto"
    gpus_per_cell: Annotated[float, Field(gt=0, le=1)] = 1.0
    shares: Shares = 1

    def devices(self, device: str, threads: int) -> list[str]:
        check_device(device)
        ray = connected(self.address)
        on_gpus = device == "cuda" or (device == "auto" and held_by(ray, 1, self.gpus_per_cell) > 0)
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

    def start(self, journal: Journal, devices: list[str]) -> Workers:
        believed = _code(), self.precision("auto", devices[0])
        gpus = 0.0 if devices[0] == "cpu" else self.gpus_per_cell
        return RayWorkers(connected(self.address), journal, devices, gpus, believed)


def connected(address: str) -> Any:
    """Ray, connected to a cluster; InputError where Ray is not installed, or the cluster cannot be entered."""
    # Otherwise Ray sends statistics, and looks for a cluster that is not there for a quarter of an hour.
    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_NUM_REDIS_GET_RETRIES": "1"}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError("launcher=ray needs Ray: pip install 'diffusion-ablations[ray]'") from error
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise InputError(f"no Ray cluster at launcher.address={address} (docs/scale.md starts one): {error}") from error
    # Ray takes SIGTERM, which stops like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return ray


def held_by(ray: Any, threads: int, gpus: float) -> int:
    """The number of stages that the nodes hold at a time, each with so many threads and such a share of a GPU."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    by_cpus = [int(has.get("CPU", 0)) // threads for has in nodes]
    by_gpus = [int(has.get("GPU", 0)) * int(1 / gpus) for has in nodes] if gpus else by_cpus
    return sum(map(min, by_cpus, by_gpus))


class RayWorkers(Workers):
    """Tasks of a cluster, each a stage with so many `gpus`, on nodes that are as the command `believed`."""

    def __init__(self, ray: Any, journal: Journal, devices: list[str], gpus: float, believed: Any) -> None:
        self.ray, self.journal, self.devices = ray, Journal(journal.root.resolve()), devices
        self.gpus, self.given = gpus, (os.getcwd(), plugins.modules(), believed)
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
        self.tasks[task.remote(stage, self.journal, device, *self.given)] = stage

    def ended(self, seconds: float) -> list[tuple[str, str]]:
        done, _ = self.ray.wait(list(self.tasks), timeout=seconds)
        # Nodes may have joined, or be gone.
        threads = next(iter(self.tasks.values())).threads
        self.devices = self.devices[:1] * max(1, held_by(self.ray, threads, self.gpus))
        return [self._end(reference, self.tasks.pop(reference).id) for reference in done]

    def _end(self, reference: Any, stage_id: str) -> tuple[str, str]:
        try:
            return stage_id, self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise InputError(f"a worker of Ray could not begin (docs/scale.md): {error.cause}") from error
        except self.ray.exceptions.RayError:
            return stage_id, DIED

    def close(self) -> None:
        for reference in self.tasks:
            self.ray.cancel(reference, force=True)


def _perform(
    stage: Stage, journal: Journal, device: str, folder: str, modules: list[str], believed: tuple[str, Precision]
) -> str:
    """In a worker: perform a stage; InputError where this node has other numbers, or does not see the journal."""
    with suppress(OSError):
        os.chdir(folder)
    for name in modules:
        import_module(name)
    asks = isinstance(stage, CellStage) and stage.cell.training.precision == "auto"
    here = _code(), resolve_precision("auto", torch.device(device)) if asks else believed[1]
    if here != believed:
        raise InputError(
            f"the node {platform.node()} has {' and '.join(here)}, the command {' and '.join(believed)}: take nodes of "
            "one kind, with the same installed, or training.precision=float32"
        )
    if not journal.folder(stage.id).is_dir():
        raise InputError(
            f"the node {platform.node()} does not see {journal.root}: give results= a folder that all nodes share"
        )
    return perform(stage, journal, device)


@cache
def _code() -> str:
    """The code that makes the numbers: a digest of its source, wherever that lies, and torch's version."""
    files = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f"code {digest[:8]} with torch {torch.__version__}"
