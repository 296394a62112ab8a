"""`python -m benchmarks.outages`: grids that run while their tracking server is killed, hangs, errs or has a full disk.

    command ──▶ proxy ──▶ `mlflow server`, on this machine alone
                  │           │
                slow,       killed,
                hung, 500   full disk

An outage begins at a moment drawn evenly from what an undisturbed command takes, lasts to the command's end or ends
before it, and is over when `ablations.publish` delivers what is left. One at the very start is an error of one line,
and the same command given again runs. Then the server holds what the files hold, each cell's run once; and trainings
have taken what they take without a store.
"""

from __future__ import annotations

import csv
import io
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mmap import mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from ablations import publish
from ablations.settings.exits import exit_code
from analysis import options
from analysis.errors import InputError
from analysis.files import write_text
from analysis.options import Option
from benchmarks.faults import AT_BYTES, Child
from benchmarks.reliability import MODULES, WORKLOADS, hastened, import_again, import_all

OPTIONS = {
    "outages": Option("how many in all", 100, int),
    "seed": Option("what they and their moments are drawn by", 0, int),
    "out": Option("a folder to write table.md and outages.csv to"),
}
KINDS = ("killed", "slow", "hung", "500", "full disk")
WELL = "well"
REFUSED = 2
"""The exit code of a command that begins with a store which cannot be used."""
SLOW_SECONDS, HUNG_SECONDS = 1.0, 30.0
UNTIL_UP = 120.0
LOOPBACK = "127.0.0.1"
GRID = WORKLOADS[0]


class Proxy(BaseHTTPRequestHandler):
    """What stands before the server, and passes on what it is asked unless `mode` says otherwise."""

    mode: mmap
    upstream: str
    protocol_version = "HTTP/1.1"

    def pass_on(self) -> None:
        """Answer as the server does, later, never or with 500."""
        mode = bytes(self.mode[:]).rstrip(b"\0").decode()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if mode == "hung":
            time.sleep(HUNG_SECONDS)
            self.close_connection = True
            return
        if mode == "500":
            self._answer(500, b"the tracking server is out of order", "text/plain")
            return
        if mode == "slow":
            time.sleep(SLOW_SECONDS)
        kept = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
        request = urllib.request.Request(f"{self.upstream}{self.path}", body or None, kept, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=UNTIL_UP) as answer:
                self._answer(answer.status, answer.read(), answer.headers.get("Content-Type", ""))
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read(), error.headers.get("Content-Type", ""))
        except OSError:
            # There is no server: as where nothing listens.
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


@dataclass
class Server:
    """An MLflow server with a database and artifacts in a folder, behind a proxy."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self.process is None or self.process.poll() is not None:
            words = ["--host", LOOPBACK, "--port", str(self.port), "--workers", "1"]
            words += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
            words += ["--artifacts-destination", str(self.folder / "artifacts")]
            with (self.folder / "server.log").open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "mlflow", "server", *words], stdout=log, stderr=log, start_new_session=True
                )
        until = time.monotonic() + UNTIL_UP
        while time.monotonic() < until:
            with suppress(OSError), urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/health", timeout=5):
                return
            time.sleep(0.2)
        raise InputError(f"the tracking server does not start: see {self.folder / 'server.log'}")

    def kill(self) -> None:
        """SIGKILL to it and its workers."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def allow(self, most: int) -> None:
        """Let its files grow to so many bytes and no further, all of its processes."""
        assert self.process is not None, "it runs"
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            whole = psutil.Process(self.process.pid)
            for one in (whole, *whole.children(recursive=True)):
                resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


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
    training: float = 0.0
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
            code = GRID.main([*GRID.words, f"name={name}", *store])
            (self.folder / "results" / MODULES).write_text("\n".join(sys.modules), encoding="utf-8")
            return code

        return Child.start(command, self.folder / "commands.log", self.at)

    def undisturbed(self) -> None:
        """What the command takes where nothing happens."""
        self.server.up()
        for name in ("first", "second"):
            began = time.monotonic()
            if self.start(name).finish():
                raise InputError(f"a grid with a store that is well does not end well: {self._last_lines()}")
            self.seconds, self.training = time.monotonic() - began, self._training(name)
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
        """What the server holds otherwise than the files, or more than once."""
        from analysis.read.runs import read_folder
        from analysis.read.store import read_store

        stored, kept = read_store(self.address, name), read_folder(self.folder / "results" / name)
        for frame in ("runs", "curves"):
            if getattr(stored, frame).to_csv() != getattr(kept, frame).to_csv():
                yield f"the server's {frame} are not those of the files"
        if stored.runs.duplicated(["cell_id", "seed"]).any():
            yield "a cell has two runs"
        if not (kept.runs["status"] == "finished").all():
            yield "a cell did not finish"

    def _training(self, name: str) -> float:
        """Seconds that the trainings of a grid took."""
        with (self.folder / "results" / name / "runs.csv").open(encoding="utf-8", newline="") as file:
            return sum(float(row["cost/train_seconds"] or "nan") for row in csv.DictReader(file))

    def _forget(self) -> None:
        shutil.rmtree(self.folder / "results")

    def _say(self, mode: str) -> None:
        self.mode[:] = mode.encode().ljust(AT_BYTES, b"\0")

    def _last_lines(self) -> str:
        return " / ".join((self.folder / "commands.log").read_text(encoding="utf-8").strip().splitlines()[-3:])


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("benchmarks.outages", "Grids whose tracking server fails.", OPTIONS, measure, arguments)


def measure(given: dict[str, Any]) -> None:
    """Outage after outage, print the table, and write where asked; InputError where anything is not delivered once."""
    if given["outages"] < 1:
        raise InputError(f"outages must be at least 1, got {given['outages']}")
    chance = random.Random(given["seed"])
    with TemporaryDirectory() as temporary, behind_a_proxy(Path(temporary)) as bench:
        bench.undisturbed()
        while len(bench.outages) < given["outages"]:
            bench.happen(KINDS[len(bench.outages) % len(KINDS)], chance)
            page = table(bench, f"outages={given['outages']} seed={given['seed']}")
            if given["out"]:
                write_text(Path(given["out"]) / "table.md", page + "\n")
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
    port, front = _free_port(), _free_port()
    mode, at = mmap(-1, AT_BYTES), mmap(-1, AT_BYTES)
    bench = Bench(folder, Server(folder, port), f"http://{LOOPBACK}:{front}", mode, at)
    bench._say(WELL)
    handler = type("Here", (Proxy,), {"mode": mode, "upstream": f"http://{LOOPBACK}:{port}"})
    proxy = Child.start(partial(_serve, front, handler), folder / "proxy.log", mmap(-1, AT_BYTES))
    try:
        yield bench
    finally:
        bench.server.kill()
        os.kill(proxy.pid, signal.SIGKILL)
        proxy.finish()


def _serve(port: int, handler: type[BaseHTTPRequestHandler]) -> int:
    ThreadingHTTPServer((LOOPBACK, port), handler).serve_forever()
    return 0


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as found:
        return int(found.getsockname()[1])


def table(bench: Bench, command: str) -> str:
    """The page: outages by kind, what was not delivered once, and what trainings took beside undisturbed ones."""
    lines = [
        f"`python -m benchmarks.outages {command}`: {len(bench.outages)} outages of a real `mlflow server`.",
        "",
        f"**Grids that did not end well, or whose results the server did not hold once each after the next delivery: "
        f"{len(bench.wrong)} of {len(bench.outages)}.**",
        "",
        "| outage | how many | at the very start | seconds, median | training, times an undisturbed one's, median |",
        "|---|---:|---:|---:|---:|",
    ]
    for kind in KINDS:
        of = [one for one in bench.outages if one.kind == kind]
        if of:
            lasted = statistics.median(one.lasted for one in of)
            ratio = statistics.median(one.training for one in of) / bench.training
            refused = sum(one.code == REFUSED for one in of)
            lines.append(f"| {kind} | {len(of)} | {refused} | {lasted:.1f} | {ratio:.2f} |")
    return "\n".join(lines)


def rows(bench: Bench) -> str:
    """A row per outage."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["outage", "began", "lasted", "exit code", "training seconds"])
    for one in bench.outages:
        writer.writerow([one.kind, f"{one.began:.2f}", f"{one.lasted:.2f}", one.code, f"{one.training:.3f}"])
    return text.getvalue()


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
