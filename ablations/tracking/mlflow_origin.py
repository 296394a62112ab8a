"""The origin of a run, as MLflow's list of runs shows it (source, commit, user, data set); and the load of its machine.

System metrics have the names of MLflow's own monitors: system/cpu_utilization_percentage, system/gpu_0_memory_…. They
are read on the machine that runs the stages. GPUs need `nvidia-ml-py` (`pip install '.[gpu]'`).
"""

from __future__ import annotations

import contextlib
import getpass
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

USER, SOURCE = "mlflow.user", "mlflow.source.name"


def source_of(command: str, code: str) -> dict[str, str]:
    """The tags of a run that a command of this version made; where several versions of the code did, of the one that
    trained."""
    made = re.search(r"\+([0-9a-f]{7,40})(-dirty)?", code)
    commit = {} if made is None else {"mlflow.source.git.commit": made[1]}
    dirty = {"mlflow.source.git.dirty": "True"} if made is not None and made[2] else {}
    return {SOURCE: command, "mlflow.source.type": "LOCAL"} | commit | dirty


def user_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The tag of the user who delivered a run first, or else of the current user; no tag where that user has no
    name."""
    # A container may have a number for a user.
    with suppress(KeyError, OSError, ImportError):
        return {USER: tags.get(USER) or getpass.getuser()}
    return {}


def log_data(client: MlflowClient, there: Run, name: str, digest: str) -> None:
    """Give a run in the store its data set, unless it has one, or the digest is not known."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    has_one = there.inputs is not None and there.inputs.dataset_inputs
    if not name or not digest or has_one:
        return
    source = json.dumps({"tags": {"data": name}})
    data = DatasetInput(Dataset(name, digest, "code", source), [InputTag("mlflow.data.context", "training")])
    try:
        client.log_inputs(there.info.run_id, [data])
    except MlflowException:
        # Another command may have been first: an experiment has each data set once, which is then found.
        client.log_inputs(there.info.run_id, [data])


PREFIX = "system/"


class System:
    """The monitors of this machine, made at the first call."""

    def now(self) -> dict[str, float]:
        """Use of processors, memory, disk, network and GPUs since the last call."""
        use: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            use |= {f"{PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        return use

    @cached_property
    def _monitors(self) -> list[Any]:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        kinds: list[Any] = [CPUMonitor, DiskMonitor, NetworkMonitor]
        monitors = [kind() for kind in kinds]
        # No GPU here, or nothing that reads it.
        with contextlib.suppress(ImportError, RuntimeError):
            monitors.append(cast(Any, GPUMonitor)())
        return monitors
