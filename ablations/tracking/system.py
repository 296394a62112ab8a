"""The use of a machine, by the names that MLflow gives it: system/cpu_utilization_percentage, system/gpu_0_memory_…

They are MLflow's own monitors, read where runs are under way. GPUs need `nvidia-ml-py` (`pip install '.[gpu]'`).
"""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import Any, cast

PREFIX = "system/"


class System:
    """The monitors of this machine, which are made when it is first asked."""

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
