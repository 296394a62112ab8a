"""Stages on the nodes of a Ray cluster: `cluster` says which nodes there are, `tasks` what runs on them.

Numbers are those of any other launcher, and a command that is killed continues from its journal.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from ablations.engine.workers import Workers
from ablations.launchers.cluster import AUTO, LOCAL, Need, connected, listed, nodes_of, refusal_of
from ablations.launchers.nodes import DriverState, Place, call_pickled, new_token
from ablations.launchers.protocol import Launcher
from ablations.launchers.tasks import Tasks
from ablations.settings.request import check_device
from ablations.stages.devices import SEPARATOR
from analysis.errors import InputError

T = TypeVar("T")

ASKED_SECONDS = 120.0
"""Seconds within which a node must answer a question before anything runs."""


@dataclass(frozen=True)
class Ray(Launcher):
    """Nodes of a cluster: as many stages at a time as its CPUs and GPUs hold, and more once a node joins.

    `address` is HOST:PORT of its head, `auto` for the one that this machine belongs to, or `local`. A stage has
    `gpus_per_cell` GPUs: a share of one (0.25: four at a time on each), or several that train a large cell together.
    """

    address: str = AUTO
    gpus_per_cell: float = 1.0

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if self.address not in (AUTO, LOCAL) and not (host and "/" not in host and port.isdigit()):
            raise ValueError(f"launcher.address must be HOST:PORT of a head, auto or local, got {self.address}")
        if self.gpus_per_cell <= 0 or (self.gpus_per_cell > 1 and self.gpus_per_cell % 1):
            raise ValueError(
                "launcher.gpus_per_cell must be a share of a GPU, 0.25 say, or a whole number of them, got "
                f"{self.gpus_per_cell}"
            )

    def devices(self, device: str, threads: int) -> list[str]:
        check_device(device)
        if ":" in device:
            raise InputError(f"launcher=ray takes whichever GPUs are free, got device={device}: take device=cuda")
        nodes = nodes_of(connected(self.address))
        on_gpus = device == "cuda" or (device == "auto" and any(node.gpus for node in nodes))
        need = Need(threads, self.gpus_per_cell if on_gpus else 0.0)
        count = sum(node.holds(need) for node in nodes)
        if not count:
            raise InputError(f"no node of the cluster holds a cell, which needs {need}: {listed(nodes)}")
        gpus = max(1, int(self.gpus_per_cell))
        return [SEPARATOR.join(f"cuda:{i}" for i in range(gpus)) if on_gpus else "cpu"] * count

    def there(self, device: str, function: Callable[..., T], *given: Any) -> T:
        """The value of a function, called on a node with such a GPU; for CPUs on this machine, which is a node too."""
        if device == "cpu":
            return function(*given)
        ray = connected(self.address)
        task = ray.remote(max_retries=0)(call_pickled).options(num_cpus=0, num_gpus=self.gpus_per_cell)
        reference = task.remote(DriverState.here(), pickle.dumps((function, given)))
        try:
            answer: T = ray.get(reference, timeout=ASKED_SECONDS)
        except ray.exceptions.GetTimeoutError as error:
            ray.cancel(reference, force=True)
            raise InputError(f"no GPU of the cluster was free within {ASKED_SECONDS:.0f} s: try again later") from error
        except ray.exceptions.RayTaskError as error:
            raise refusal_of(error) from error
        return answer

    precision = cache(Launcher.precision)
    """Asked once: every cell needs it."""

    def kind(self, device: str) -> str:
        """Not known: nodes may be of several kinds, and Ray chooses among them."""
        return ""

    def start(self, journal: str, devices: list[str]) -> Workers:
        auto = self.precision("auto", devices[0])
        gpus = 0.0 if devices[0] == "cpu" else self.gpus_per_cell
        return Tasks(connected(self.address), Place(journal, new_token(journal), auto), devices, gpus)
