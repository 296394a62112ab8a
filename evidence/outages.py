"""Grids that run while their tracking server is killed, hangs, errs or has a full disk. It rebuilds
`evidence/outages.md` and `evidence/outages.csv`, which docs/running.md leans on:

    python -m evidence.outages outages=100 seed=0 out=evidence

    command ──▶ proxy ──▶ `mlflow server`, on this machine alone
                  │           │
                slow,       killed,
                hung, 500   full disk

An outage begins at a moment drawn evenly from what an undisturbed command takes, lasts to the command's end or ends
before it, and is over when `ablations.publish` delivers what is left. One at the very start is an error of one line,
and the same command given again runs. Then the server holds what the files hold, each cell's run once; and trainings
have taken what they take undisturbed, which is measured between outages.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from mmap import mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablations import publish
from ablations.results.csv_text import csv_text
from ablations.settings.exits import exit_code
from analysis import options
from analysis.errors import InputError
from analysis.files import write_text
from analysis.options import Option
from evidence.child import AT_BYTES, Child
from evidence.ended import downloaded
from evidence.freshness import rows_of
from evidence.tracking_server import LOOPBACK, Proxy, Server, free_port, serve
from evidence.workloads import SERIAL, hastened, import_again, import_all, say_imported

OPTIONS = {
    "outages": Option("how many in all", 100, int),
    "seed": Option("what they and their moments are drawn by", 0, int),
    "out": Option("a folder to write outages.md and outages.csv to"),
}
KINDS = ("killed", "slow", "hung", "500", "full disk")
WELL = "well"
REFUSED = 2
"""The exit code of a command that begins with a store which cannot be used."""


@dataclass(frozen=True)
class Outage:
    """One that happened: its kind, when it began and ended, how the command ended, and what its training took."""

    kind: str
    began: float
    lasted: float
    code: int
    training: float


@dataclass
class Bench:
    """A server, what happens to it, and what grids came to meanwhile."""

    folder: Path
    server: Server
    address: str
    mode: mmap
    at: mmap
    seconds: float = 0.0
    trainings: list[float] = field(default_factory=list)
    grids: int = 0
    outages: list[Outage] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def begin(self, kind: str) -> None:
        """An outage of this kind."""
        if kind == "killed":
            self.server.kill()
        elif kind == "full disk":
            self.server.allow(0)
        self._say(kind)

    def end(self, kind: str) -> None:
        """The server is as it was."""
        self._say(WELL)
        if kind == "full disk":
            self.server.allow(resource.RLIM_INFINITY)
        self.server.up()

    def start(self, name: str, *, publishing: bool = False) -> Child:
        """The grid's command as a process, or the one that delivers what it left."""
        store = [f"results={self.folder / 'results'}", f"tracking.uri={self.address}"]

        def command() -> int:
            hastened(self.at)
            if publishing:
                return publish.main([f"grid={name}", *store])
            code = SERIAL.main([*SERIAL.commands["grid"], f"name={name}", *store])
            say_imported(self.folder / "results")
            return code

        return Child.start(command, self.folder / "commands.log", self.at)

    def undisturbed(self) -> None:
        """The command's seconds where nothing happens."""
        self.server.up()
        self.grids += 1
        name, began = f"grid-{self.grids}", time.monotonic()
        if self.start(name).finish():
            raise InputError(f"a grid with a store that is well does not end well: {self._last_lines()}")
        self.seconds = time.monotonic() - began
        self.trainings.append(self._training(name))
        import_again(self.folder / "results")
        self._forget()

    def happen(self, kind: str, chance: random.Random) -> None:
        """One outage, unless the command is over before, the delivery after it, and what is then in the server."""
        self.grids += 1
        name = f"grid-{self.grids}"
        began, lasts = chance.uniform(0, self.seconds), chance.choice([0.5, 2.0, 600.0])
        child = self.start(name)
        if child.wait(began):
            self._forget()
            return
        self.begin(kind)
        since = time.monotonic()
        child.wait(lasts)
        lasted = time.monotonic() - since
        if not child.ended:
            self.end(kind)
        code = child.finish()
        self.end(kind)
        wrong: list[str] = []
        if code == REFUSED:
            # A store that does not answer when a command begins is taken for a wrong address, before anything is run.
            again = self.start(name).finish()
            wrong += [f"the grid was refused, and then ended with {again}"] if again else []
        elif code:
            wrong.append(f"the grid ended with {code}")
        self.outages.append(Outage(kind, began, lasted, code, self._training(name)))
        if self.start(name, publishing=True).finish():
            wrong.append("what was left could not be delivered")
        wrong += self._differences(name)
        if wrong:
            self.wrong.append(f"outage {len(self.outages)} ({kind}): {'; '.join(wrong)}: {self._last_lines()}")
            print(self.wrong[-1], flush=True)
        self._forget()

    def _differences(self, name: str) -> Iterator[str]:
        """The runs that the server holds otherwise than the files do, or more than once."""
        from analysis.read.runs import read_folder

        place = self.folder / "results" / ".downloaded"
        stored = read_folder(downloaded(self.address, name, place))
        kept = read_folder(self.folder / "results" / name)
        for frame in ("runs", "curves"):
            if getattr(stored, frame).to_csv() != getattr(kept, frame).to_csv():
                yield f"the server's {frame} are not those of the files"
        if stored.runs.duplicated(["cell_id", "seed"]).any():
            yield "a cell has two runs"
        if not (kept.runs["status"] == "finished").all():
            yield "a cell did not finish"

    def _training(self, name: str) -> float:
        """Seconds that the trainings of a grid took."""
        runs = rows_of(self.folder / "results" / name / "runs.csv")
        return sum(float(run["cost/train_seconds"] or "nan") for run in runs)

    def _forget(self) -> None:
        shutil.rmtree(self.folder / "results")

    def _say(self, mode: str) -> None:
        self.mode[:] = mode.encode().ljust(AT_BYTES, b"\0")

    def _last_lines(self) -> str:
        return " / ".join((self.folder / "commands.log").read_text(encoding="utf-8").strip().splitlines()[-3:])


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("evidence.outages", "Grids whose tracking server fails.", OPTIONS, measure, arguments)


def measure(given: dict[str, Any]) -> None:
    """Outage after outage, print the table, and write where asked; InputError where anything is not delivered once."""
    if given["outages"] < 1:
        raise InputError(f"outages must be at least 1, got {given['outages']}")
    chance = random.Random(given["seed"])
    with TemporaryDirectory() as temporary, behind_a_proxy(Path(temporary)) as bench:
        # The first imports what it needs on its way.
        bench.undisturbed()
        bench.trainings.clear()
        while len(bench.outages) < given["outages"]:
            if len(bench.outages) % len(KINDS) == 0:
                bench.undisturbed()
            bench.happen(KINDS[len(bench.outages) % len(KINDS)], chance)
            page = table(bench, f"outages={given['outages']} seed={given['seed']}")
            if given["out"]:
                write_text(Path(given["out"]) / "outages.md", page + "\n")
                write_text(Path(given["out"]) / "outages.csv", rows(bench))
            print(f"{len(bench.outages)} outages, {len(bench.wrong)} wrong", file=sys.stderr, flush=True)
        print(page)
        if bench.wrong:
            raise InputError(f"{len(bench.wrong)} outages left something undelivered, or twice: {bench.wrong[0]}")


@contextmanager
def behind_a_proxy(folder: Path) -> Iterator[Bench]:
    """A server and its proxy, each in a process of its own; both are gone at the end."""
    import_all()
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "3"
    port, front = free_port(), free_port()
    mode, at = mmap(-1, AT_BYTES), mmap(-1, AT_BYTES)
    bench = Bench(folder, Server(folder, port), f"http://{LOOPBACK}:{front}", mode, at)
    bench._say(WELL)
    handler = type("Here", (Proxy,), {"mode": mode, "upstream": f"http://{LOOPBACK}:{port}"})
    proxy = Child.start(partial(serve, front, handler), folder / "proxy.log", mmap(-1, AT_BYTES))
    try:
        yield bench
    finally:
        bench.server.kill()
        os.kill(proxy.pid, signal.SIGKILL)
        proxy.finish()


def table(bench: Bench, command: str) -> str:
    """The page: outages by kind, what was not delivered once, and what trainings took beside undisturbed ones."""
    lines = [
        f"`python -m evidence.outages {command}`: {len(bench.outages)} outages of a real `mlflow server`.",
        "",
        f"**Grids that did not end well, or whose results the server did not hold once each after the next delivery: "
        f"{len(bench.wrong)} of {len(bench.outages)}.**",
        "",
        "| outage | how many | at the very start | seconds, median | training, times an undisturbed one's, median |",
        "|---|---:|---:|---:|---:|",
    ]
    for kind in KINDS:
        of = [outage for outage in bench.outages if outage.kind == kind]
        if of:
            lasted = statistics.median(outage.lasted for outage in of)
            ratio = statistics.median(outage.training for outage in of) / statistics.median(bench.trainings)
            refused = sum(outage.code == REFUSED for outage in of)
            lines.append(f"| {kind} | {len(of)} | {refused} | {lasted:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def rows(bench: Bench) -> str:
    """A row per outage."""
    columns = ["outage", "began", "lasted", "exit code", "training seconds"]
    values = [
        (outage.kind, f"{outage.began:.2f}", f"{outage.lasted:.2f}", outage.code, f"{outage.training:.3f}")
        for outage in bench.outages
    ]
    return csv_text(columns, [dict(zip(columns, row, strict=True)) for row in values])


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
