"""A real MLflow server on this machine alone, for `evidence.outages`, behind a proxy that slows and breaks it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mmap import mmap
from pathlib import Path
from typing import Any

import psutil

from analysis.errors import InputError

SLOW_SECONDS, HUNG_SECONDS = 1.0, 30.0
UNTIL_UP = 120.0
LOOPBACK = "127.0.0.1"


class Proxy(BaseHTTPRequestHandler):
    """The proxy before the server, which passes on what it is asked unless `mode` says otherwise."""

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
            for process in (whole, *whole.children(recursive=True)):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def serve(port: int, handler: type[BaseHTTPRequestHandler]) -> int:
    """Answer by this handler until the process is killed."""
    ThreadingHTTPServer((LOOPBACK, port), handler).serve_forever()
    return 0


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])
