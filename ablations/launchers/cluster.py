"""A Ray cluster as seen by a command: how to connect, which nodes there are, and what they hold."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

from ablations.launchers.protocol import cores
from analysis.errors import InputError

AUTO = "auto"
"""The address of the cluster that this machine belongs to, or that RAY_ADDRESS names."""
LOCAL = "local"
"""The address that starts a cluster on this machine, which ends with the command."""
ANSWER_SECONDS = 5.0
"""Seconds within which the cluster's head must answer."""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Variables of Ray's environment, set unless they are set already: Ray sends no statistics, and does not announce what
a later version will do otherwise."""
SHOWN = 5
"""The number of nodes that an error lists."""
STORE_BYTES = 100_000_000
"""Bytes of memory for stages' input and files in a cluster that is started here; the rest goes to disk."""


@dataclass(frozen=True)
class Need:
    """The processors and GPUs that a stage needs of a node."""

    cpus: int
    gpus: float

    def __str__(self) -> str:
        return f"{self.cpus} CPU(s)" + (f" and {self.gpus:g} GPU(s)" if self.gpus else "")


@dataclass(frozen=True)
class Node:
    """A node of the cluster with its resources, used or not."""

    address: str
    cpus: int
    gpus: int

    def holds(self, need: Need) -> int:
        """The number of stages that run on it at a time."""
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
    """The line that says why a cluster cannot be entered, and what to do."""
    reason = first_line(error)
    if "auth" in f"{type(error).__name__} {reason}".lower() or reason.startswith("Failed to connect to Ray cluster"):
        # Ray tries for a while, and then tells its own log alone that the token was refused.
        mode = os.environ.get("RAY_AUTH_MODE", "not set")
        return (
            f"the Ray cluster at launcher.address={address} does not let this command in ({reason}): export the same "
            f"RAY_AUTH_MODE as for its head, token (Ray's default) or disabled, which is {mode} here; token needs the "
            "head's ~/.ray/auth_token too"
        )
    return NO_CLUSTER.format(address=address, said=reason)


def _answers(address: str) -> None:
    """InputError, within seconds, where nothing listens at the address of a head: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise InputError(NO_CLUSTER.format(address=address, said=error)) from error


def nodes_of(ray: Any) -> list[Node]:
    """The nodes that are alive."""
    alive = [(node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
    return [Node(address, int(has.get("CPU", 0)), int(has.get("GPU", 0))) for address, has in alive]


def listed(nodes: list[Node]) -> str:
    more = f", and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    return ", ".join(map(str, nodes[:SHOWN])) + more if nodes else "there is none"


def first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def refusal_of(error: Any) -> Exception:
    """The exception that a worker's exception becomes here: itself, if it speaks to the user or is about a disk."""
    if isinstance(error.cause, (InputError, OSError)):
        return error.cause
    last = str(error).strip().splitlines()[-1]
    return InputError(f"a worker of the Ray cluster could not begin ({last}): install the same packages on every node")
