"""The proxy passes on what it is asked, or does what an outage does; a real server is killed in a slow test."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mmap import mmap
from pathlib import Path

import pytest

from evidence import outages, tracking_server
from evidence.child import AT_BYTES
from evidence.outages import Bench, Outage, rows, table
from evidence.tracking_server import Proxy, Server

ROOT = Path(__file__).parents[2]


class Echo(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if body != b"missing" else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers['X-Known']} ".encode() + body)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def proxied():
    """A server that says what it was sent, the proxy before it, and the proxy's mode."""
    mode = mmap(-1, AT_BYTES)
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    handler = type("Here", (Proxy,), {"mode": mode, "upstream": f"http://127.0.0.1:{upstream.server_port}"})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    for server in (upstream, proxy):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield mode, f"http://127.0.0.1:{proxy.server_port}/api?x=1", upstream
    for server in (upstream, proxy):
        server.shutdown()
        server.server_close()


def asked(address, body=b"hello", timeout=20.0):
    request = urllib.request.Request(address, body, {"X-Known": "yes"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def say(mode, word):
    mode[:] = word.encode().ljust(AT_BYTES, b"\0")


@pytest.mark.slow
def test_it_passes_on_what_it_is_asked_and_what_it_is_told(proxied):
    mode, address, _ = proxied
    say(mode, outages.WELL)
    assert asked(address) == "/api?x=1 yes hello"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        asked(address, b"missing")


@pytest.mark.slow
def test_an_outage_is_what_it_is_called(proxied, monkeypatch):
    mode, address, upstream = proxied
    say(mode, "500")
    with pytest.raises(urllib.error.HTTPError, match="500"):
        asked(address)
    monkeypatch.setattr(tracking_server, "SLOW_SECONDS", 0.3)
    say(mode, "slow")
    began = time.monotonic()
    assert asked(address) == "/api?x=1 yes hello"
    assert time.monotonic() - began > 0.3
    say(mode, "hung")
    with pytest.raises(OSError, match="timed out"):
        asked(address, timeout=0.3)
    say(mode, outages.WELL)
    assert asked(address) == "/api?x=1 yes hello"
    say(mode, "killed")
    upstream.shutdown()
    upstream.server_close()
    with pytest.raises(OSError, match=r"closed|reset|disconnected"):
        asked(address)


def test_the_page_tells_each_kind_and_what_went_wrong(tmp_path):
    at = mmap(-1, AT_BYTES)
    bench = Bench(tmp_path, Server(tmp_path, 1), "http://127.0.0.1:2", at, at, trainings=[1.0, 2.0, 9.0])
    bench.outages += [Outage("slow", 1.0, 4.0, 0, 3.0), Outage("slow", 2.0, 6.0, 0, 5.0), Outage("500", 1, 2, 2, 2.0)]
    bench.wrong.append("outage 3 (500): a cell has two runs")
    page = table(bench, "outages=3 seed=0")
    assert "each after the next delivery: 1 of 3.**" in page
    assert "| slow | 2 | 0 | 5.0 | 2.00 |" in page
    assert "| 500 | 1 | 1 | 2.0 | 1.00 |" in page
    assert "killed" not in page
    assert rows(bench).splitlines()[1] == "slow,1.00,4.00,0,3.000"


@pytest.mark.slow
def test_outages_of_a_real_server_lose_nothing(tmp_path):
    command = [sys.executable, "-m", "evidence.outages", "outages=5", f"out={tmp_path}"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
