"""The nodes of a Ray cluster: what they hold, and how a command gets there; what runs on them is in `tasks`.

Numbers are those of any other launcher, and a command that is killed continues from its journal.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from ablations.engine.workers import Workers
from ablations.launchers.nodes import Told, call_told
from ablations.launchers.protocol import Launcher, checked_device, cores
from ablations.stages.devices import SEPARATOR
from analysis.format.errors import InputError
from diffusion_core.precision import Asked, Precision

T = TypeVar("T")

AUTO = "auto"
"""The address of the cluster that this machine belongs to, or that RAY_ADDRESS names."""
LOCAL = "local"
"""The address that starts a cluster of this machine, which ends with the command."""
ASKED_SECONDS = 120.0
"""For a node to answer what it is asked before anything runs."""
ANSWER_SECONDS = 5.0
"""For a head to answer at all."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Ray's environment, unless it is set: it sends no statistics, and announces no change to come."""
SHOWN = 5
"""Nodes that an error lists."""
STORE_BYTES = 100_000_000
"""Memory of a cluster that is started here for what tasks return, which are words."""


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
        checked_device(device)
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
        """By a task on a node with such a GPU; what CPUs have is asked of this machine, which is one of the nodes."""
        if device == "cpu":
            return function(*given)
        ray = connected(self.address)
        task = ray.remote(max_retries=0)(call_told).options(num_cpus=0, num_gpus=self.gpus_per_cell)
        reference = task.remote(Told.here(), pickle.dumps((function, given)))
        try:
            found: T = ray.get(reference, timeout=ASKED_SECONDS)
        except ray.exceptions.GetTimeoutError as error:
            ray.cancel(reference, force=True)
            raise InputError(f"no GPU of the cluster was free within {ASKED_SECONDS:.0f} s: try again later") from error
        except ray.exceptions.RayTaskError as error:
            raise refusal_of(error) from error
        return found

    def precision(self, asked: Asked, device: str) -> Precision:
        return _precision(self, asked, device)

    def start(self, journal: str, devices: list[str]) -> Workers:
        from ablations.launchers.tasks import Tasks

        return Tasks(self, journal, devices)


@cache
def _precision(launcher: Ray, asked: Asked, device: str) -> Precision:
    """Asked once: every cell needs it."""
    return Launcher.precision(launcher, asked, device)


@dataclass(frozen=True)
class Need:
    """What a stage needs of a node."""

    cpus: int
    gpus: float

    def __str__(self) -> str:
        return f"{self.cpus} CPU(s)" + (f" and {self.gpus:g} GPU(s)" if self.gpus else "")


@dataclass(frozen=True)
class Node:
    """A node that is there, and all that it has, whoever uses it."""

    address: str
    cpus: int
    gpus: int

    def holds(self, need: Need) -> int:
        """How many stages at a time."""
        by_cpus = self.cpus // need.cpus
        if not need.gpus:
            return by_cpus
        by_gpus = self.gpus * int(1 / need.gpus) if need.gpus < 1 else self.gpus // int(need.gpus)
        return min(by_cpus, by_gpus)

    def __str__(self) -> str:
        return f"{self.address} has {self.cpus} CPU(s) and {self.gpus} GPU(s)"


NO_CLUSTER = (
    "no Ray cluster answers at launcher.address={address} ({said}): start one (ray start --head), give HOST:PORT of "
    f"its head, or take launcher.address={LOCAL}"
)


def connected(address: str) -> Any:
    """Ray, connected to a cluster; InputError where it is not installed, or no cluster lets this process in."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise InputError("launcher=ray needs Ray: pip install 'diffusion-ablations[ray]'") from error
    if ray.is_initialized():
        return ray
    here: dict[str, Any] = {}
    if address == LOCAL:
        here = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE_BYTES}
    else:
        _answers(os.environ.get("RAY_ADDRESS", address) if address == AUTO else address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InputError(_no_way_in(address, error)) from error
    return ray


def _no_way_in(address: str, error: Exception) -> str:
    """Why a cluster cannot be entered, and what to do."""
    said = first_line(error)
    if "auth" in f"{type(error).__name__} {said}".lower() or said.startswith("Failed to connect to Ray cluster"):
        # Ray tries for a while, and then tells its own log alone that the token was refused.
        mode = os.environ.get("RAY_AUTH_MODE", "not set")
        return (
            f"the Ray cluster at launcher.address={address} does not let this command in ({said}): export the same "
            f"RAY_AUTH_MODE as for its head, token (Ray's default) or disabled, which is {mode} here; token needs the "
            "head's ~/.ray/auth_token too"
        )
    return NO_CLUSTER.format(address=address, said=said)


def _answers(address: str) -> None:
    """InputError, in seconds, where nothing listens at the address of a head: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise InputError(NO_CLUSTER.format(address=address, said=error)) from error


def nodes_of(ray: Any) -> list[Node]:
    """The nodes that are there."""
    found = [(node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return [Node(address, int(has.get("CPU", 0)), int(has.get("GPU", 0))) for address, has in found]


def listed(nodes: list[Node]) -> str:
    more = f", and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    return ", ".join(map(str, nodes[:SHOWN])) + more if nodes else "there is none"


def first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def refusal_of(error: Any) -> Exception:
    """What a worker's exception is here: its own where it speaks to the user or of a disk."""
    if isinstance(error.cause, (InputError, OSError)):
        return error.cause
    last = str(error).strip().splitlines()[-1]
    return InputError(f"a worker of the Ray cluster could not begin ({last}): install the same packages on every node")
