"""A driver's cost per cell as grids grow, as Markdown. It rebuilds a row of `evidence/scale.md`:

    python -m evidence.scale cells=10000 >> evidence/scale.md

    plan      the grid and the identities of its cells
    run       each stage through scheduler and journal, and the files of results/<grid>/ now and then
    deliver   its runs to an MLflow store in a file
    pages     tables, figures and report
    again     the whole command once more, when nothing is left to do

Nothing is trained: each stage gets the results of one of the same kind in a cell that was really run before.
"""

from __future__ import annotations

import io
import resource
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import ablations
from ablations.driver import execute, run
from ablations.engine.journal import STAGE, Journal, artefacts_of
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.stages.artifacts import read_artifact, write_artifact
from ablations.tracking.store import default_uri
from ablations.tracking.tracker import deliver, open_tracker
from analysis.shell import Option, exit_code
from evidence.page_command import page_command, table

TINY = (
    *("horizon=25", "training.steps=20", "training.report_every=10", "network.channels=8", "network.multipliers=[1]"),
    *("network.attention=[]", "evaluation.exact=2", "evaluation.strata=2", "seeds=1", "launcher=serial"),
)
HEAD = ("cells", "plan", "run", "deliver", "pages", "again", "all, per run", "peak memory, MB")


def measure(given: dict[str, Any]) -> str:
    """Processor seconds of each part of a command, and the peak memory, as a table of one row."""
    cells: int = given["cells"]
    values = ",".join(f"{0.02 + 0.5 * i / cells:.6f}" for i in range(cells))
    many = [*TINY, f"schedule.beta_T={values}", "schedule.rescale=false", "name=many"]
    with TemporaryDirectory() as temporary, redirect_stdout(io.StringIO()):
        one = [*TINY, "name=one", f"results={temporary}"]
        ablations.run(*one)
        (results := Path(temporary) / "many").mkdir()
        with patch("ablations.engine.workers.perform", copying(one, Journal(Path(temporary) / ".stages"))):
            seconds = seconds_of([*many, f"results={results}"])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = (cells, *(f"{taken:.2f}" for taken in seconds), f"{sum(seconds) / cells:.3f}", f"{memory:.0f}")
    return "\n".join(table(HEAD, [row]))


def copying(words: list[str], template: Journal) -> Callable[..., str]:
    """A stand-in for `perform` that leaves what a stage of the same kind left in the journal of a command."""
    plan, _ = execute.planned(request := parse_run(words), make(request))
    known = {(stage.kind, stage.held_out, stage.rung): stage.id for stage in plan.stages()}

    def copy(stage: Any, journal: Journal, *_: object) -> str:
        other = known[stage.kind, stage.held_out, stage.rung]
        for path in artefacts_of(template.folder(other)):
            tensors, header = read_artifact(path.parent, path.name)
            own = {key: word for key, word in header.items() if key != STAGE}
            write_artifact(journal.folder(stage.id), path.name, tensors, **own)
        result = template.result(other)
        assert result is not None, "the template's stages have finished"
        journal.write_result(stage.id, result)
        return "finished"

    return copy


def seconds_of(words: list[str]) -> list[float]:
    """Processor seconds of each part of a command, and of the command once more."""
    request = parse_run(words)
    results, folder = Path(request.results), request.folder
    tracker = open_tracker(default_uri(results), request.title, results)
    journal, provenance = Journal(results / ".stages"), {"command": request.command, "code": ""}
    (plan, _), plan_seconds = timed(lambda: execute.planned(request, make(request)))
    ended, run_seconds = timed(lambda: execute.execute(iter([plan]), journal, folder, None, provenance))
    _, deliver_seconds = timed(lambda: deliver(tracker, folder))
    _, page_seconds = timed(lambda: execute.finish(folder, replace(ended, tracker=tracker)))
    code, again_seconds = timed(lambda: run.main(words))
    assert code == 0, "the stages have finished"
    return [plan_seconds, run_seconds, deliver_seconds, page_seconds, again_seconds]


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """The result of an action, and its processor seconds."""
    began = time.process_time()
    return action(), time.process_time() - began


OPTIONS = {"cells": Option("how many cells", 100, int)}
main = page_command("evidence.scale", "What a driver costs per cell.", OPTIONS, measure)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
