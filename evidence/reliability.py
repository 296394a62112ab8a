"""Commands that are killed and starved, and the numbers that they end with. It rebuilds
`evidence/reliability.md` and `evidence/reliability.csv`, which docs/running.md leans on:

    python -m evidence.reliability faults=1000 seed=2 out=evidence

    unbroken  ──▶ numbers of grids and of a search that nothing happened to
    a round   ──▶ fault, same command, fault, same command, …, until one ends well
              ──▶ the same numbers? what was finished before a fault untouched after it? in the store once?

Numbers are all that files and store hold but for what a run cost, and the digests of all tensors. Faults are drawn by a
seed, and strike at moments drawn evenly from half of what an unbroken command takes, so that several interrupt what one
command would do; what these were at is told. The commands are those of `workloads`.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from mmap import mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations.results.csv_text import csv_text
from ablations.settings.exits import exit_code
from analysis import options
from analysis.errors import InputError, unknown
from analysis.files import write_json, write_text
from analysis.options import Option
from evidence.child import AT_BYTES, Child, Hung
from evidence.ended import finished_in, made_again, numbers
from evidence.faults import FAULTS, Fault
from evidence.workloads import WORKLOADS, Workload, hastened, import_again, import_all, say_imported

OPTIONS = {
    "faults": Option("how many faults in all", 1000, int),
    "seed": Option("what they and their moments are drawn by", 0, int),
    "only": Option("the workload that they happen to: grid, together, latents, shared or search; all by default"),
    "out": Option("a folder to write reliability.md and reliability.csv to"),
    "keep": Option("a folder for what is left of rounds that went wrong"),
}
MOST = 10
"""Faults in a row, at most, before a command may end."""
ANEW = 30
"""Rounds after which it is measured anew how long a command takes: what else the machine does changes."""
TRIES = 3
"""Attempts of a command that nothing happens to, to end well: the next makes anew what one has found damaged, and
delivers to a store that was locked."""


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    purpose = "Numbers of commands that faults happen to, beside those of unbroken ones."
    return options.run("evidence.reliability", purpose, OPTIONS, measure, arguments)


def measure(given: dict[str, Any]) -> None:
    """Round after round, print the table, and write where asked; InputError where any number differs."""
    if given["faults"] < 1:
        raise InputError(f"faults must be at least 1, got {given['faults']}")
    workloads = [workload for workload in WORKLOADS if given["only"] in ("", workload.name)]
    if not workloads:
        raise unknown("command", given["only"], [workload.name for workload in WORKLOADS])
    words = " ".join(f"{name}={given[name]}" for name in ("faults", "seed", "only") if given[name] != "")
    chance = random.Random(given["seed"])
    began = time.monotonic()
    with TemporaryDirectory() as temporary:
        bench = Bench.prepared(Path(temporary), given["keep"], workloads)
        while len(bench.struck) < given["faults"]:
            if bench.rounds % ANEW == 0:
                bench.unbroken(workloads)
            bench.round(workloads[bench.rounds % len(workloads)], chance, given["faults"])
            page = table(bench, words, time.monotonic() - began)
            if given["out"]:
                # A run of hours may be stopped too.
                write_text(Path(given["out"]) / "reliability.md", page + "\n")
                write_text(Path(given["out"]) / "reliability.csv", rows(bench))
            bench.report()
    print(page)
    if bench.wrong:
        raise InputError(f"{len(bench.wrong)} rounds did not end as an unbroken command does: {bench.wrong[0]}")


@dataclass(frozen=True)
class Struck:
    """A fault that happened: in which round and workload, of which kind, after how long, and what that was at."""

    round: int
    workload: str
    fault: str
    seconds: float
    moment: str


@dataclass
class Bench:
    """Rounds in a folder: what unbroken commands came to and how long they took, what happened, and what went wrong."""

    folder: Path
    store: Path
    keep: Path | None = None
    numbers: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    struck: list[Struck] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    rounds: int = 0
    faults: list[type[Fault]] = field(default_factory=lambda: [kind for kind in FAULTS if kind.is_possible()])
    unbroken_ones: Iterator[int] = field(default_factory=itertools.count)

    @staticmethod
    def prepared(folder: Path, keep: str, workloads: Sequence[Workload]) -> Bench:
        """An empty store, and all that commands import."""
        import_all()
        bench = Bench(folder, folder / "empty.db", Path(keep) if keep else None)
        Child.start(lambda: _migrated(bench.store), folder / "store.log", mmap(-1, AT_BYTES)).finish()
        bench.unbroken(workloads)
        return bench

    def unbroken(self, workloads: Sequence[Workload]) -> None:
        """Seconds and outcomes of commands that nothing happens to; InputError where an outcome has changed."""
        for workload in workloads:
            # MLflow keeps a store open: one of the same name would be read for its predecessor.
            results = self.fresh(f"unbroken-{next(self.unbroken_ones)}")
            began = time.monotonic()
            if any(codes := [child.finish() for child in self.start(workload, results)]):
                raise InputError(f"an unbroken command ended with {codes}: {_last_lines(results)}")
            self.seconds[workload.name] = time.monotonic() - began
            import_again(results)
            held = self.read(results)
            if self.numbers.setdefault(workload.name, held) != held:
                raise InputError(f"two unbroken commands came to different numbers: {workload.name}")
            print(f"an unbroken {workload.name} takes {self.seconds[workload.name]:.1f} s", flush=True)
            shutil.rmtree(results)

    def report(self) -> None:
        """Say on a line how far it is."""
        print(
            f"{len(self.struck)} faults in {self.rounds} rounds, {len(self.wrong)} wrong", file=sys.stderr, flush=True
        )

    def fresh(self, name: str) -> Path:
        """A results folder with an empty store."""
        results = self.folder / name
        results.mkdir()
        shutil.copy(self.store, results / "mlflow.db")
        return results

    def start(self, workload: Workload, results: Path) -> list[Child]:
        """The workload's commands, each as a process."""

        def command(name: str, at: mmap) -> int:
            hastened(at)
            code = workload.main([*workload.commands[name], f"name={name}", f"results={results}"])
            say_imported(results)
            return code

        places = {name: mmap(-1, AT_BYTES) for name in workload.commands}
        log = results.with_suffix(".log")
        return [Child.start(partial(command, name, at), log, at) for name, at in places.items()]

    def read(self, results: Path) -> dict[str, str]:
        """All numbers, read by a process of its own: what that opens is not to be forked."""
        place = results.with_suffix(".json")

        def written() -> int:
            write_json(place, numbers(results))
            return 0

        child = Child.start(written, results.with_suffix(".log"), mmap(-1, AT_BYTES))
        if child.finish():
            raise InputError(f"what a command left cannot be read: {_last_lines(results)}")
        held: dict[str, str] = json.loads(place.read_text(encoding="utf-8"))
        place.unlink()
        return held

    def round(self, workload: Workload, chance: random.Random, most: int) -> None:
        """Faults, and then the same command until it ends well; what differs is written down."""
        number, results = self.rounds, self.fresh(f"round-{self.rounds}")
        self.rounds += 1
        wrong: list[str] = []
        try:
            torn = self._strike(workload, results, chance, min(chance.randint(1, MOST), most - len(self.struck)), wrong)
            wrong += self._ended_badly(workload, results)
            wrong += self._differences(workload, results, torn)
        except (Hung, InputError) as error:
            wrong.append(str(error))
        if wrong:
            self.wrong.append(f"round {number} ({workload.name}): {'; '.join(wrong)}")
            print(self.wrong[-1], flush=True)
            if self.keep is not None:
                shutil.copytree(results, self.keep / results.name)
                shutil.copy(results.with_suffix(".log"), self.keep)
        shutil.rmtree(results)
        results.with_suffix(".log").unlink()

    def _strike(
        self, workload: Workload, results: Path, chance: random.Random, count: int, wrong: list[str]
    ) -> set[str]:
        """So many faults, or fewer where a command ends before; the stages whose files they damaged.

        What finished before one of them and was made again after it is added to what is wrong.
        """
        torn: set[str] = set()
        begun: list[Child] = []
        finished: dict[str, tuple[int, int]] = {}
        kinds = [kind for kind in self.faults if workload.name not in kind.spares]
        for _ in range(count):
            fault = chance.choices(kinds, [FAULTS[kind] for kind in kinds])[0]()
            children = self.start(workload, results)
            moment = chance.uniform(0, self.seconds[workload.name] / 2)
            for child in children:
                child.wait(moment / len(children))
            running = [child for child in children if not child.ended]
            if not running:
                break
            struck = chance.sample(running, chance.randint(1, len(running)))
            self.struck.append(Struck(self.rounds - 1, workload.name, fault.name, moment, struck[0].moment))
            torn |= {fault.strike(child, results, chance) for child in struck if not child.ended} - {""}
            for child in children:
                child.finish()
            begun += children
            now = finished_in(results)
            wrong += made_again(finished, now, torn)
            finished = now
        wrong += ["a worker outlived its command" for child in begun if child.is_survived()]
        return torn

    def _ended_badly(self, workload: Workload, results: Path) -> list[str]:
        """The bad end of a command that nothing happens to, where it has one."""
        codes: list[list[int]] = []
        while len(codes) < TRIES and (not codes or any(codes[-1])):
            codes.append([child.finish() for child in self.start(workload, results)])
        why = f"the command that nothing happened to ended with {codes}: {_last_lines(results)}"
        return [why] if any(codes[-1]) else []

    def _differences(self, workload: Workload, results: Path, torn: set[str]) -> list[str]:
        """The numbers that are not those of an unbroken command, by name.

        A file that was torn after its last reader is seen by the next, and not before: those are left out.
        """
        held, expected = self.read(results), self.numbers[workload.name]
        seen = [name for name in held | expected if name.partition("/")[0] not in torn]
        return [name for name in seen if held.get(name) != expected.get(name)]


def table(bench: Bench, command: str, seconds: float) -> str:
    """The page: how often each fault struck what, and how many rounds ended with other numbers."""
    moments = sorted({struck.moment for struck in bench.struck})
    counts = Counter((struck.fault, struck.moment) for struck in bench.struck)
    faults = [kind.name for kind in bench.faults]
    lines = [
        f"`python -m evidence.reliability {command}`: {len(bench.struck)} faults in {bench.rounds} rounds, "
        f"{seconds / 60:.0f} minutes.",
        "",
        f"**Rounds that did not end with the numbers of an unbroken command: {len(bench.wrong)} of {bench.rounds}.** "
        "Numbers are every column of every CSV file but costs, what the tracking store holds, and the digests of all "
        "tensors; what was finished before a fault was not made again after it, unless the fault damaged it.",
        "",
        f"| while at | {' | '.join(faults)} | all |",
        f"|---|{'---:|' * (len(faults) + 1)}",
    ]
    for moment in moments:
        of = [counts[fault, moment] for fault in faults]
        lines.append(f"| {moment} | {' | '.join(map(str, of))} | {sum(of)} |")
    of = [sum(counts[fault, moment] for moment in moments) for fault in faults]
    return "\n".join([*lines, f"| all | {' | '.join(map(str, of))} | {sum(of)} |"])


def rows(bench: Bench) -> str:
    """A row per fault."""
    return csv_text(
        ["round", "workload", "fault", "seconds", "moment"],
        [{**asdict(struck), "seconds": f"{struck.seconds:.3f}"} for struck in bench.struck],
    )


def _migrated(store: Path) -> int:
    import mlflow

    mlflow.MlflowClient(f"sqlite:///{store}").search_experiments()
    return 0


def _last_lines(results: Path) -> str:
    return " / ".join(results.with_suffix(".log").read_text(encoding="utf-8").strip().splitlines()[-3:])


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
