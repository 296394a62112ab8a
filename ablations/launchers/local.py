"""Worker processes on this machine (`engine.processes`), each forked from one that has imported what it needs (`warm`).

With GPUs there are so many workers per GPU, and each uses that GPU alone; otherwise as many as the cores hold, at the
cells' number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ablations.engine.processes import Processes
from ablations.engine.workers import Workers
from ablations.launchers.protocol import Launcher, cores, found_devices
from ablations.launchers.warm import warm_up
from ablations.settings.plugins import classes as plugins
from ablations.stages.devices import SEPARATOR
from analysis.errors import InputError

AUTO = "auto"
MOST_WORKERS = 4096
TOGETHER = 8
"""The number of trainings that a worker runs side by side by default: with more, whoever waits for one waits longer and
little is gained."""
MOST_TOGETHER = 64


@dataclass(frozen=True)
class Local(Launcher):
    """Processes here: `workers` of them, or by default `per_gpu` on each GPU, or as many as the cores hold.

    With `per_gpu=auto` they are as many on each GPU as its memory holds, which is measured. Large cells are trained on
    `gpus_per_cell` GPUs each. On a CPU each worker trains up to `together` small networks of one shape side by side,
    which is faster than one after the other and changes no number.
    """

    workers: int | None = None
    per_gpu: int | str = 1
    gpus_per_cell: int = 1
    together: int | str = AUTO

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"launcher.workers must be at least 1, got {self.workers}")
        if self.workers is not None and self.workers > MOST_WORKERS:
            raise ValueError(f"launcher.workers must be at most {MOST_WORKERS}, got {self.workers}: each is a process")
        if self.per_gpu != AUTO and (isinstance(self.per_gpu, str) or self.per_gpu < 1):
            raise ValueError(
                f"launcher.per_gpu must be at least 1, the cells at a time on a GPU, or auto, got {self.per_gpu}"
            )

        if self.together != AUTO and (isinstance(self.together, str) or not 1 <= self.together <= MOST_TOGETHER):
            raise ValueError(
                f"launcher.together must be auto, or from 1 to {MOST_TOGETHER} trainings side by side in a worker, "
                f"got {self.together}"
            )
        if self.gpus_per_cell < 1:
            raise ValueError(f"launcher.gpus_per_cell must be at least 1, got {self.gpus_per_cell}")
        if self.gpus_per_cell > 1 and self.per_gpu != 1:
            raise ValueError(
                f"launcher.gpus_per_cell={self.gpus_per_cell} spreads a large cell over GPUs, and "
                f"launcher.per_gpu={self.per_gpu} puts small ones on the same: leave one of them out"
            )

    def devices(self, device: str, threads: int) -> list[str]:
        names = found_devices(device)
        if self.gpus_per_cell > 1:
            return self._limited(self._together([name for name in names if name.startswith("cuda")], device))
        if names == ["cpu"]:
            return names * (self.workers or max(1, cores() // threads))
        return self._limited(names * self.per_gpu if isinstance(self.per_gpu, int) else names)

    @property
    def most(self) -> int:
        return TOGETHER if isinstance(self.together, str) else self.together

    def packed(self, devices: list[str], fit: Callable[[list[str]], int]) -> list[str]:
        gpus = [device for device in dict.fromkeys(devices) if device.startswith("cuda")]
        return self._limited(gpus * fit(gpus)) if gpus and self.per_gpu == AUTO else devices

    def _together(self, gpus: list[str], asked: str) -> list[str]:
        """GPUs grouped for large cells, so many as one device; InputError where there are fewer."""
        each = self.gpus_per_cell
        if len(gpus) < each:
            raise InputError(
                f"launcher.gpus_per_cell={each} asks for so many GPUs, and device={asked} means {len(gpus)} here: take "
                "fewer, or leave it out"
            )
        return [SEPARATOR.join(gpus[start : start + each]) for start in range(0, len(gpus) - each + 1, each)]

    def _limited(self, devices: list[str]) -> list[str]:
        return devices[: self.workers or len(devices)]

    def start(self, journal: str, devices: list[str]) -> Workers:
        warm_up()
        return Processes(journal, devices, partial(plugins.import_modules, plugins.modules()), self.most)
