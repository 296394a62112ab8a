"""A driver's cost per cell as grids grow, and a data set's per image, as Markdown. It rebuilds `evidence/scale.md`:

    python -m evidence.scale cells=10,100,1000,10000 out=evidence/scale.md

    plan      the grid and the identities of its cells
    run       each stage through scheduler and journal, and the files of results/<grid>/ now and then
    deliver   its runs to an MLflow store in a file
    pages     tables, figures and report
    again     the whole command once more, when nothing is left to do

Nothing is trained: a worker that does nothing leaves the results of one cell, really run before, for every other.
Images lie in files that are mapped into memory; they are read for their digest and their histograms, and a batch is
drawn from them as a training draws it. Each size is a process of its own, whose seconds are of its processor and whose
memory is its peak.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ablations
from ablations.engine.files import STAGE, kept
from ablations.engine.journal import Journal
from ablations.engine.stage import Stage
from ablations.engine.workers import ThisProcess, Workers
from ablations.launchers.protocol import Launcher
from ablations.settings.exits import exit_code
from ablations.stages.artifacts import read_artifact, write_artifact
from ablations.stages.stage import Stage as CellStage
from analysis.errors import InputError
from analysis.options import Option
from evidence import markdown
from evidence.page_command import page_command

OPTIONS = {
    "cells": Option("how many cells, with commas between sizes", "10,100,1000"),
    "seeds": Option("seeds of each cell", 1, int),
    "images": Option("how many images and their side, with commas between sizes", "60000x8,1000000x8,60000x64"),
    "one": Option("measure one size here and print it as JSON; what the command calls itself with", ""),
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


def measure(given: dict[str, Any]) -> str:
    """Measure each size in a process of its own; the table."""
    if given["one"]:
        size = given["one"]
        return json.dumps(mapped(*sides(size)) if "x" in size else measured(int(size), given["seeds"]))
    try:
        cells, images = ([word for word in given[key].split(",") if word] for key in ("cells", "images"))
        numbers = [int(word) for word in cells] + [number for word in images for number in sides(word)]
    except ValueError as error:
        raise InputError(
            "cells are whole numbers and images pairs such as 60000x8, with commas between them, got "
            f"{given['cells']!r} and {given['images']!r}"
        ) from error
    if min(*numbers, given["seeds"]) < 1:
        raise InputError("cells, seeds and images must be at least 1")
    costs = {word: elsewhere(word, given["seeds"]) for word in (*cells, *images)}
    command = f"python -m evidence.scale cells={given['cells']} seeds={given['seeds']} images={given['images']}"
    lines = [f"`{command}`, cpu ({platform.machine()})"]
    lines += [*table({int(word): costs[word] for word in cells}, given["seeds"])] if cells else []
    lines += [*image_table({word: costs[word] for word in images})] if images else []
    return "\n".join(lines)


main = page_command("evidence.scale", "What a driver costs per cell.", OPTIONS, measure, "table")
"""The command; its exit code."""


def sides(word: str) -> tuple[int, int]:
    """Number and side of images of a word like "60000x8"; ValueError where it is no such word."""
    count, side = word.split("x")
    return int(count), int(side)


def table(rows: dict[int, dict[str, float]], seeds: int) -> list[str]:
    """Numbers of cells as Markdown."""
    head = ("cells", "runs", *PARTS, "all, per run", "peak memory, MB", "per run, MB")
    shown = []
    least = min(rows.values(), key=lambda row: row["memory"])["memory"]
    for cells, row in rows.items():
        runs = cells * seeds
        seconds = (f"{row[part]:.2f}" for part in PARTS)
        each = sum(row[part] for part in PARTS) / runs
        grown = (row["memory"] - least) / runs
        shown.append((cells, runs, *seconds, f"{each:.3f}", f"{row['memory']:.0f}", f"{grown:.2f}"))
    return ["", "Seconds of the driver's processor:", "", *markdown.table(head, shown)]


def image_table(rows: dict[str, dict[str, float]]) -> list[str]:
    """Numbers of images as Markdown."""
    head = "| images | MB | digest, s | histograms, s | digest, ns a value | histograms, ns a value | a batch, ms |"
    lines = ["", "Images in a mapped file, and a batch of 128:", "", f"{head} peak memory, MB |", f"|{'---|' * 8}"]
    for word, row in rows.items():
        each = " | ".join(f"{1e9 * row[part] / row['values']:.1f}" for part in ("digest", "histograms"))
        lines.append(
            f"| {word} | {row['values'] / 1e6:.0f} | {row['digest']:.2f} | {row['histograms']:.2f} | {each} | "
            f"{1000 * row['batch']:.2f} | {row['memory']:.0f} |"
        )
    return lines


def elsewhere(word: str, seeds: int) -> dict[str, float]:
    """One size in a process of its own."""
    command = [sys.executable, "-m", "evidence.scale", f"one={word}", f"seeds={seeds}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    costs: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return costs


def measured(cells: int, seeds: int) -> dict[str, float]:
    """Processor seconds of each part, and the peak memory in MB."""
    with TemporaryDirectory() as temporary, contextlib.redirect_stdout(io.StringIO()):
        results = Path(temporary)
        _succeeded(["launcher=serial", *TINY, "name=template", f"results={results}"])
        template = results / ".template"
        (results / ".stages").rename(template)
        shutil.rmtree(results / "template")
        values = ",".join(f"{0.02 + 0.5 * i / cells:.6f}" for i in range(cells))
        words = [f"schedule.beta_T={values}", f"seeds={seeds}", *TINY, "name=many", f"results={results}"]
        seconds = parts_of([*words, "schedule.rescale=false", "launcher=serial"], Nothing(template))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**seconds, "memory": memory}


def mapped(count: int, side: int) -> dict[str, float]:
    """Processor seconds of what is done with images in a mapped file, and the peak memory in MB."""
    import numpy as np
    import torch

    from ablations.data.base import Data, histogram_codes
    from diffusion_core.batches import batch_indices
    from diffusion_core.encodings import GreyLevels

    with TemporaryDirectory() as temporary:
        file = Path(temporary) / "images.npy"
        written = np.lib.format.open_memmap(file, "w+", np.uint8, (count, 1, side, side))
        pattern = np.random.default_rng(0).integers(0, 256, (1000, 1, side, side), np.uint8)
        for first in range(0, count, 1000):
            written[first : first + 1000] = pattern[: len(written[first : first + 1000])]
        del written
        images = torch.from_numpy(np.load(file, mmap_mode="c"))
        held_out = images[:1000]
        data = Data({"train": images, "validation": held_out, "test": held_out}, {}, GreyLevels(256))
        _, digest = timed(lambda: data.digest)
        _, histograms = timed(lambda: histogram_codes(images, held_out, 256))
        steps = iter(range(200))
        batches = [timed(lambda: images[batch_indices(0, next(steps), count, 128)])[1] for _ in range(200)]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "values": float(count * side**2),
        "digest": digest,
        "histograms": histograms,
        "batch": sorted(batches)[100],
        "memory": memory,
    }


def parts_of(words: list[str], launcher: Launcher) -> dict[str, float]:
    """Processor seconds of each part of a command with this launcher, and of the command once more."""
    from ablations.driver import execute, pages
    from ablations.driver.plan import plan
    from ablations.driver.sequential import fixed
    from ablations.engine.journal import Journal
    from ablations.grids.grid import make
    from ablations.settings.arguments import parse_run
    from ablations.tracking.mlflow_store import open_tracker
    from ablations.tracking.uris import default_uri

    request = parse_run(words)
    results = Path(request.results)
    journal, folder = Journal(results / ".stages"), results / request.title
    tracker = open_tracker(default_uri(results), request.title, results)
    planned, plan_seconds = timed(lambda: plan(make(request), launcher, ["cpu", "cpu"]))
    job = execute.Job(journal, folder, None, {"command": request.command, "code": ""})
    ended, run_seconds = timed(lambda: execute.execute(fixed(planned), job))
    _, deliver_seconds = timed(lambda: pages.deliver(tracker, folder))
    _, page_seconds = timed(lambda: pages.finish(folder, replace(ended, tracker=tracker)))
    _, again_seconds = timed(lambda: _succeeded(words))
    return dict(zip(PARTS, (plan_seconds, run_seconds, deliver_seconds, page_seconds, again_seconds), strict=True))


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """The result of an action, and its processor seconds."""
    began = time.process_time()
    return action(), time.process_time() - began


def _succeeded(words: list[str]) -> None:
    if ablations.main(words) != 0:
        raise RuntimeError(f"{' '.join(words)[:200]} failed")


@dataclass(frozen=True)
class Nothing(Launcher):
    """Workers that leave what a stage of the same kind left in the journal `template`."""

    template: Path

    def devices(self, device: str, threads: int) -> list[str]:
        return ["cpu", "cpu"]

    def start(self, journal: Journal, devices: list[str]) -> Workers:
        return Copying(journal, self.template)


class Copying(ThisProcess):
    """A worker whose stages have ended when they are submitted."""

    def __init__(self, journal: Journal, template: Path) -> None:
        super().__init__(journal, "cpu")
        self.known = {_kind_in(path.parent): path.parent for path in template.glob("*/result.json")}

    def submit(self, stages: Sequence[Stage], device: str) -> None:
        for stage in stages:
            assert isinstance(stage, CellStage), "a grid's stages are of cells"
            other, own = self.known[_kind_of(stage)], self.journal.folder(stage.id)
            for name in (path.name for path in kept(other)):
                tensors, words = read_artifact(other, name)
                write_artifact(own, name, tensors, **{key: word for key, word in words.items() if key != STAGE})
            result = Journal(other.parent).result(other.name)
            assert result is not None, "the template's stages have finished"
            self.journal.write_result(stage.id, result)
            self.over.append((stage.id, "finished"))


def _kind_of(stage: CellStage) -> str:
    return f"{stage.kind} {stage.held_out or ''}".strip()


def _kind_in(folder: Path) -> str:
    """The kind of a stage that left its result in a folder, by what it measured."""
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    for kind, metric in (("training", "cost/train_seconds"), ("samples test", "cost/sample_seconds")):
        if metric in metrics:
            return kind
    return {"nll/val": "bound validation", "nll/test": "bound test"}.get(next(iter(metrics)), "floor")


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
