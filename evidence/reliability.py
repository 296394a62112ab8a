"""Commands that are killed and starved, and the numbers that they end with. It rebuilds `evidence/reliability.md`:

    python -m evidence.reliability faults=200 seed=2 out=evidence/reliability.md

A round: fault, same command, fault, same command, …, until one ends well. Are its numbers those of a command that
nothing happened to, and is what was finished before a fault untouched after it? Numbers are all that CSV files and the
tracking store hold but costs, and the digests of all tensors. Faults are drawn by a seed, and strike at moments drawn
evenly from half of what an unbroken command takes (`faults`).
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from ablations.data.tensors import read_tensors
from ablations.engine.journal import artefacts_of
from ablations.results.csv_text import rows_of
from analysis.errors import InputError
from analysis.shell import Option, exit_code
from evidence.faults import ACCIDENTAL, FAULTS, WORKLOADS, start_all, strike
from evidence.page_command import page_command, table

OPTIONS = {
    "faults": Option("how many faults in all", 200, int),
    "seed": Option("what they and their moments are drawn by", 2, int),
    "only": Option("the commands that they happen to; all by default", "all", choices=("all", *WORKLOADS)),
}
MOST, TRIES = 10, 3
"""Faults in a row, at most; attempts of the command that nothing happens to, to end well: the next makes anew what one
has found damaged."""
LATE, PATIENCE, PROMPT = 240.0, 30.0, 10.0
"""Seconds after which a command that should have ended is taken for hung, one without memory is killed, and a worker
has outlived its command."""


def measure(given: dict[str, Any]) -> str:
    """Round after round; the page. InputError where any number differs."""
    import mlflow  # noqa: F401
    import torch

    import ablations.driver.run
    import ablations.search.__main__  # noqa: F401

    # A pool of threads does not outlive a fork.
    torch.set_num_threads(1)
    began, chance, struck, wrong, rounds = time.monotonic(), random.Random(given["seed"]), Counter[str](), [], 0
    with TemporaryDirectory() as temporary:
        store = Path(temporary) / "mlflow.db"
        elsewhere(stored, Path(temporary))
        benches = [Bench(name, store) for name in WORKLOADS if given["only"] in ("all", name)]
        while struck.total() < given["faults"]:
            bench = benches[rounds % len(benches)]
            found = bench.round(chance, min(chance.randint(1, MOST), given["faults"] - struck.total()), struck)
            wrong += [f"round {rounds} ({bench.workload}): {what}" for what in found]
            rounds += 1
            print(f"{struck.total()} faults in {rounds} rounds, {len(wrong)} wrong", *wrong[-1:], file=sys.stderr)
    if wrong:
        raise InputError(f"{len(wrong)} things did not end as in an unbroken command: {wrong[0]}")
    words = " ".join(f"{key}={given[key]}" for key in OPTIONS)
    return page(f"{words}`, {(time.monotonic() - began) / 60:.0f} minutes", rounds, struck)


def page(command: str, rounds: int, struck: Counter[str]) -> str:
    """The page: how often each fault struck, and that all rounds ended with the numbers of an unbroken command."""
    counts = "\n".join(table((*FAULTS, "all"), [(*(struck[fault] for fault in FAULTS), struck.total())]))
    return f"""# {struck.total()} faults

By `python -m evidence.reliability {command}: tiny grids and a search are struck, and run to their end.

**Rounds that did not end with the numbers of an unbroken command: 0 of {rounds}.** Numbers are every column of every
CSV file but costs, what the tracking store holds, and the digests of all tensors. What was finished before a fault was
not made again after it, unless the fault damaged it.

{counts}"""


main = page_command("evidence.reliability", "Kill and starve commands; compare their numbers.", OPTIONS, measure)


class Bench:
    """A workload with its unbroken numbers and seconds."""

    def __init__(self, workload: str, store: Path) -> None:
        self.workload, self.store = workload, store
        results, began = self.fresh(), time.monotonic()
        if any(codes := [finish(process) for process in start_all(self.workload, results)]):
            raise InputError(f"an unbroken command ended with {codes}: {_last_lines(results)}")
        self.seconds, self.numbers = time.monotonic() - began, elsewhere(numbers, results)

    def fresh(self) -> Path:
        """A results folder with an empty store, of a name that MLflow has not seen."""
        results = mkdtemp(prefix=self.workload, dir=self.store.parent)
        return Path(shutil.copy(self.store, results)).parent

    def round(self, chance: random.Random, count: int, struck: Counter[str]) -> list[str]:
        """So many faults, and then the same command until it ends well; what is wrong then."""
        results, torn, wrong, begun = self.fresh(), set[str](), list[str](), list[ForkProcess]()
        before: dict[str, tuple[int, int]] = {}
        kinds = [fault for fault in FAULTS if self.workload != "search" or fault not in ACCIDENTAL]
        for fault in chance.choices(kinds, [FAULTS[fault] for fault in kinds], k=count):
            begun += (processes := start_all(self.workload, results))
            until = time.monotonic() + chance.uniform(0, self.seconds / 2)
            for process in processes:
                process.join(max(until - time.monotonic(), 0))
            running = [process for process in processes if process.is_alive()]
            for process in chance.sample(running, chance.randint(1, len(running))) if running else []:
                torn |= {strike(fault, process.pid or 0, results, chance)} - {""}
            struck[fault] += bool(running)
            for process in processes:
                finish(process, patient=fault == "out of memory")
            wrong += made_again(before, now := finished_in(results), torn)
            before = now
        for _ in range(TRIES):
            begun += (processes := start_all(self.workload, results))
            if not any(codes := [finish(process) for process in processes]):
                break
        else:
            wrong.append(f"the last command ended with {codes}: {_last_lines(results)}")
        held = elsewhere(numbers, results)
        wrong += ["a worker outlived its command" for process in begun if is_survived(process.pid or 0)]
        # A file that was torn after its last reader is seen by the next, and not before.
        seen = [name for name in held | self.numbers if name.partition("/")[0] not in torn]
        shutil.rmtree(results)
        return wrong + [name for name in seen if held.get(name) != self.numbers.get(name)]


def finish(process: ForkProcess, patient: bool = False) -> int:
    """The exit code of a command; InputError where it does not end. CPython waits for ever for a thread that had no
    memory to begin with: there it is killed."""
    process.join(PATIENCE if patient else LATE)
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        if not patient:
            raise InputError(f"a command that was to end did not for {LATE:g} s")
    return process.exitcode or 0


def is_survived(group: int) -> bool:
    """True where a worker of a command still runs a while after it has ended."""
    with suppress(ProcessLookupError):
        for _ in range(round(100 * PROMPT)):
            os.killpg(group, 0)
            time.sleep(0.01)
        os.killpg(group, signal.SIGKILL)
        return True
    return False


def finished_in(results: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each finished stage's result, which tell it from another in its place."""
    files = {path.parent.name: path.stat() for path in results.glob(".stages/*/result.json")}
    return {stage: (file.st_ino, file.st_mtime_ns) for stage, file in files.items()}


def made_again(before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]], torn: set[str]) -> list[str]:
    """Stages that were finished before a fault and are not, or otherwise, but for those of which a file was torn."""
    changed = [stage for stage, result in before.items() if now.get(stage) != result and stage not in torn]
    return [f"finished stages were made again: {', '.join(changed)}"] if changed else []


def numbers(results: Path) -> dict[str, str]:
    """All that files and store hold but for costs, by name: each CSV file, each file of tensors, all runs."""
    costs, files = ("code", "seconds", "first_result", "cost/"), dict[Path, str]()
    for path in sorted(results.glob("[!.]*/*.csv")):
        lines = ({key: text for key, text in row.items() if not key.startswith(costs)} for row in rows_of(path, ()))
        files[path] = "\n".join(map(str, lines))
    tensors = {path: _digest(path) for folder in sorted(results.glob(".stages/*")) for path in artefacts_of(folder)}
    held = {f"{path.parent.name}/{path.name}": text for path, text in (files | tensors).items()}
    return held | {"the store": "\n".join(stored(results))}


def _digest(path: Path) -> str:
    try:
        tensors, _ = read_tensors(path)
    except Exception as error:
        return f"unreadable: {error}"
    return hashlib.sha256(repr({name: tensors[name].tolist() for name in sorted(tensors)}).encode()).hexdigest()


def stored(results: Path) -> list[str]:
    """Each run of the store: what it is of, its status, and all points of its metrics but costs."""
    from mlflow import MlflowClient

    client, lines = MlflowClient(f"sqlite:///{results / 'mlflow.db'}"), []
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            tags = [run.data.tags.get(key, "") for key in ("kind", "cell_id", "seed", "trial")]
            names = [key for key in sorted(run.data.metrics) if not key.startswith(("cost/", "system/"))]
            histories = ((key, client.get_metric_history(run.info.run_id, key)) for key in names)
            points = {key: sorted((point.step, point.value) for point in history) for key, history in histories}
            lines.append(f"{experiment.name} {tags} {run.info.status} {points}")
    return sorted(lines)


def elsewhere(work: Callable[[Path], Any], path: Path) -> Any:
    """Do it in a process of its own: what that opens is not to be forked."""
    with ProcessPoolExecutor(1, get_context("fork")) as process:
        return process.submit(work, path).result()


def _last_lines(results: Path) -> str:
    return " / ".join(results.with_suffix(".log").read_text(encoding="utf-8").strip().splitlines()[-3:])


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
