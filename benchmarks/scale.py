"""`python -m benchmarks.scale`: what a driver costs per cell as grids grow, as Markdown.

    plan      the grid and the identities of its cells
    run       each stage through dispatch and journal, and the files of results/<grid>/ now and then
    deliver   its runs to an MLflow store in a file
    pages     tables, figures and report
    again     the whole command once more, when nothing is left to do

Nothing is trained: a worker that does nothing leaves the results of one cell, really run before, for every other. Each
size is a process of its own, whose seconds are of its processor and whose memory is its peak.
"""

from __future__ import annotations

import contextlib
import io
import json
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ablations
from ablations.launchers.protocol import Launcher, Workers
from ablations.settings.exits import exit_code
from ablations.stages.kinds import BoundStage, SamplesStage, Stage
from analysis import options
from analysis.errors import InputError
from analysis.options import Option

OPTIONS = {
    "cells": Option("how many cells, with commas between sizes", "10,100,1000"),
    "seeds": Option("seeds of each cell", 1, int),
    "one": Option("measure one size here and print it as JSON; what the command calls itself with", 0, int),
    "out": Option("a file to write the table to as well"),
}

TINY = (
    "horizon=25",
    "training.steps=20",
    "training.report_every=10",
    "network.channels=8",
    "network.multipliers=[1]",
    "network.attention=[]",
    "evaluation.exact=2",
    "evaluation.strata=2",
)
PARTS = ("plan", "run", "deliver", "pages", "again")


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("benchmarks.scale", "What a driver costs per cell.", OPTIONS, measure, arguments)


def measure(given: dict[str, Any]) -> None:
    """Measure each size in a process of its own, print, and write where asked."""
    if given["one"]:
        print(json.dumps(measured(given["one"], given["seeds"])))
        return
    try:
        sizes = [int(word) for word in given["cells"].split(",")]
    except ValueError as error:
        raise InputError(f"cells must be whole numbers with commas between them, got {given['cells']!r}") from error
    if min(*sizes, given["seeds"]) < 1:
        raise InputError("cells and seeds must be at least 1")
    rows = {size: elsewhere(size, given["seeds"]) for size in sizes}
    text = table(rows, given["seeds"])
    print(text)
    if given["out"]:
        Path(given["out"]).write_text(text + "\n", encoding="utf-8")


def table(rows: dict[int, dict[str, float]], seeds: int) -> str:
    """The sizes as Markdown."""
    lines = [
        f"`python -m benchmarks.scale cells={','.join(map(str, rows))} seeds={seeds}`, cpu ({platform.machine()}): "
        "seconds of the driver's processor",
        "",
        f"| cells | runs | {' | '.join(PARTS)} | all, per run | peak memory, MB | per run, MB |",
        f"|{'---|' * (len(PARTS) + 5)}",
    ]
    least = min(rows.values(), key=lambda row: row["memory"])["memory"]
    for cells, row in rows.items():
        runs = cells * seeds
        shown = " | ".join(f"{row[part]:.2f}" for part in PARTS)
        each = sum(row[part] for part in PARTS) / runs
        grown = (row["memory"] - least) / runs
        lines.append(f"| {cells} | {runs} | {shown} | {each:.3f} | {row['memory']:.0f} | {grown:.2f} |")
    return "\n".join(lines)


def elsewhere(cells: int, seeds: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", f"one={cells}", f"seeds={seeds}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(cells: int, seeds: int) -> dict[str, float]:
    """Processor seconds of each part, and the peak memory in MB."""
    with TemporaryDirectory() as temporary, contextlib.redirect_stdout(io.StringIO()):
        results = Path(temporary)
        _succeeded(["launcher=serial", *TINY, "name=template", f"results={results}"])
        template = results / ".template"
        (results / ".stages").rename(template)
        shutil.rmtree(results / "template")
        ablations.register(Nothing)
        values = ",".join(f"{0.02 + 0.5 * i / cells:.6f}" for i in range(cells))
        words = [f"schedule.beta_T={values}", f"seeds={seeds}", *TINY, "name=many", f"results={results}"]
        words += ["schedule.rescale=false", "launcher=nothing", f"launcher.template={template}"]
        seconds = parts_of(words)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**seconds, "memory": memory}


def parts_of(words: list[str]) -> dict[str, float]:
    """Processor seconds of each part of a command, and of the command once more."""
    from ablations.driver import execute, pages
    from ablations.driver.plan import plan
    from ablations.grids.grid import make
    from ablations.launchers.protocol import launcher_of
    from ablations.settings.arguments import parse_run
    from ablations.stages.journal import Journal
    from ablations.tracking.mlflow_store import default_uri, open_tracker

    request = parse_run(words)
    results = Path(request.results)
    journal, folder = Journal(results / ".stages"), results / request.title
    tracker = open_tracker(default_uri(results), request.title, results)
    launcher = launcher_of(request)
    planned, plan_seconds = timed(lambda: plan(make(request), launcher, ["cpu", "cpu"]))
    provenance = {"command": request.command, "code": "", "seeds": planned.grid.seeds}
    (records, _, _), run_seconds = timed(lambda: execute.execute(planned, journal, folder, None, provenance))
    _, deliver_seconds = timed(lambda: execute.deliver(tracker, folder))
    _, page_seconds = timed(lambda: pages.finish(folder, records, tracker, interrupted=False))
    _, again_seconds = timed(lambda: _succeeded(words))
    return dict(zip(PARTS, (plan_seconds, run_seconds, deliver_seconds, page_seconds, again_seconds), strict=True))


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """What an action gives, and its processor seconds."""
    began = time.process_time()
    return action(), time.process_time() - began


def _succeeded(words: list[str]) -> None:
    if ablations.main(words) != 0:
        raise RuntimeError(f"{' '.join(words)[:200]} failed")


@dataclass(frozen=True)
class Nothing(Launcher):
    """Workers that leave what a stage of the same kind left in the journal `template`."""

    template: str = ""

    def devices(self, device: str, threads: int) -> list[str]:
        return ["cpu", "cpu"]

    def start(self, root: Path, devices: list[str]) -> Workers:
        return Copying(root, Path(self.template))


class Copying(Workers):
    """Workers whose stages have ended when they are submitted."""

    def __init__(self, root: Path, template: Path) -> None:
        self.root = root
        self.known: dict[str, Path] = {}
        for path in template.glob("*/result.json"):
            self.known[_kind_in(path.parent)] = path.parent

    def submit(self, stage: Stage, device: str) -> Future[str]:
        shutil.copytree(self.known[_kind_of(stage)], self.root / stage.id, dirs_exist_ok=True)
        future: Future[str] = Future()
        future.set_result("finished")
        return future

    def status(self, future: Future[str]) -> str:
        return future.result()

    def cancel(self, future: Future[str]) -> None:
        """Nothing is under way once it has been submitted."""

    def close(self) -> None:
        """Nothing was started."""


def _kind_of(stage: Stage) -> str:
    split = stage.split if isinstance(stage, (BoundStage, SamplesStage)) else ""
    return f"{stage.kind} {split}".strip()


def _kind_in(folder: Path) -> str:
    """The kind of a stage that left its result in a folder, by what it measured."""
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    for kind, metric in (("training", "cost/train_seconds"), ("samples test", "cost/sample_seconds")):
        if metric in metrics:
            return kind
    return {"nll/val": "bound validation", "nll/test": "bound test"}.get(next(iter(metrics)), "floor")


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
