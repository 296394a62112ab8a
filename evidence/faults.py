"""Commands that things happen to, for `evidence.reliability`, and the faults: kills, stops, too little memory or disk,
torn files.

All commands train networks of a few thousand weights, with rungs, pruning, a confirmation, and a checkpoint at each
report. Each runs in a fork of a process that has imported everything, and so do its workers: what it takes is its own.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import psutil

from ablations.engine.journal import LOCKS
from analysis.shell import outcome

POINTS = (
    *("data=mixture2d", "network=mlp", "network.width=16", "network.layers=1", "horizon=25", "training.warmup=10"),
    *("training.report_every=10", "evaluation.rungs=2", "evaluation.exact=2", "evaluation.strata=2"),
    *("evaluation.sets=1", "launcher.workers=1"),
)
PAIR = (*POINTS, "parameterization=epsilon,v")
SEARCH = (
    *(*POINTS, "training.steps=40", "trials=4", "confirm=2", "study.startup=2", "study.pruner=median"),
    *("schedule=log_snr_linear", "schedule.gamma_min=interval(-14,-2)", "schedule.gamma_max=interval(0,8)"),
)
WORKLOADS: dict[str, dict[str, tuple[str, ...]]] = {
    "together": {"together": (*PAIR, "training.steps=40", "seeds=2", "launcher.together=4")},
    # They share trunks, and the end of the short trainings is a rung of the long ones.
    "shared": {name: (*PAIR, "training.rate=wsd", f"training.steps={n}") for name, n in (("short", 40), ("long", 80))},
    "search": {"search": SEARCH},
}
"""Commands that begin at once in one folder of results: the words of each by the name of its own folder there."""
HASTENED: dict[str, dict[str, Any]] = {
    "ablations.stages.training_loop": {"CHECKPOINT_SECONDS": 0.0, "HISTORY_SECONDS": 0.0},
    "ablations.engine.scheduler": {"POLL_SECONDS": 0.05, "ELSEWHERE_SECONDS": 0.2},
    "ablations.driver.live": {"SECONDS": 0.2},
    "ablations.engine.workers": {"CONTEXT": get_context("fork")},
    "ablations.launchers.launcher": {"warm_up": lambda: None},
    "ablations.driver.run": {"warm_up": lambda: None},
    "ablations.driver.execute": {"WRITE_SECONDS": 0.5, "REST": 3, "DRAWN": 0.02},
    "ablations.search.search": {"WRITE_SECONDS": 0.5, "REST": 3},
    "analysis.pages": {"write_pages": lambda folder: ""},
}
"""What a command's process has otherwise: it reports and checkpoints at each chance, and draws no pages."""


def start_all(workload: str, results: Path) -> list[ForkProcess]:
    """The commands of a workload, each the first process of its group; they print to a file beside the results."""
    start = get_context("fork").Process
    processes = [start(target=_command, args=(workload, name, results)) for name in WORKLOADS[workload]]
    for process in processes:
        process.start()
        # Whoever is first makes the group: it may be signalled at once.
        with suppress(OSError):
            os.setpgid(process.pid or 0, process.pid or 0)
    return processes


def _command(workload: str, name: str, results: Path) -> None:
    os.setpgid(0, 0)
    # What is started in the background of a shell ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with results.with_suffix(".log").open("a", encoding="utf-8", buffering=1) as sys.stdout:
        os.dup2(sys.stdout.fileno(), 1)
        os.dup2(sys.stdout.fileno(), 2)
        sys.stderr = sys.stdout
        for module, values in HASTENED.items():
            vars(import_module(module)).update(values)
        os.register_at_fork(after_in_child=_without_locks)
        command = import_module("ablations.search.__main__" if workload == "search" else "ablations.driver.run")
        sys.exit(outcome(command.main, [*WORKLOADS[workload][name], f"name={name}", f"results={results}"]))


def _without_locks() -> None:
    """In a worker: close what was forked with it of the locks of its command, which no worker holds elsewhere."""
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if LOCKS in file.readlink().parts:
                os.close(int(file.name))


ACCIDENTAL = {"out of memory": 8, "full disk": 8, "torn write": 9}
"""Faults that a search is spared: a trial that failed by accident is tried again under another number, by which all
later trials are drawn."""
FAULTS = {"SIGKILL": 30, "tree killed": 24, "workers killed": 54, "SIGTERM": 10, "Ctrl-C": 10, **ACCIDENTAL}


def strike(fault: str, pid: int, results: Path, chance: random.Random) -> str:
    """Do it to a command, which ends at once, or by itself; the stage whose file it damaged, "" where none."""
    command = psutil.Process(pid)
    more, most = chance.randrange(8) << 20, chance.choice([0, 100, 4096, 20_000])
    for process in (command, *command.children()):
        with suppress(psutil.Error):
            if fault == "out of memory":
                # It may map little more than it has.
                process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + more,) * 2)
            elif fault == "full disk":
                # Writes beyond a few kilobytes are refused, by EFBIG.
                process.rlimit(psutil.RLIMIT_FSIZE, (most, most))
            elif fault == "Ctrl-C":
                process.send_signal(signal.SIGINT)
            elif fault == "tree killed" or (process != command and fault == "workers killed" and chance.random() < 0.7):
                process.kill()
            elif process == command and fault in ("SIGKILL", "SIGTERM", "torn write"):
                process.send_signal(signal.SIGTERM if fault == "SIGTERM" else signal.SIGKILL)
    return torn(results, chance) if fault == "torn write" else ""


def torn(results: Path, chance: random.Random) -> str:
    """Cut or alter a file of the journal, as after a loss of power on a disk that lied; the name of its stage."""
    files = sorted(path for path in (results / ".stages").rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        return ""
    path = chance.choice(files)
    content = path.read_bytes()
    place = chance.randrange(len(content))
    altered = content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]
    path.write_bytes(chance.choice([content[:place], altered]))
    return path.parent.name
