"""A server on this machine for tests of what is fetched: whole files, cut ones, none, or one that falls silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Manner = Literal["whole", "cut", "silent"]


@dataclass
class Server:
    """Files by name, how they are sent, and the names that were asked for; `address` is where it is."""

    files: dict[str, bytes]
    manner: Manner = "whole"
    asked: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """A server of these files while it is open; where it was, connections are refused afterwards."""
    server, over = Server(files), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            server.asked.append(name)
            content = server.files.get(name)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if server.manner == "whole" else content[: len(content) // 2])
            if server.manner == "silent":
                self.wfile.flush()
                over.wait(60)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server.address = f"http://127.0.0.1:{listening.server_port}/files"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            over.set()
            listening.shutdown()
            thread.join()
