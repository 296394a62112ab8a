"""A PostgreSQL server, as teams put one behind MLflow and Optuna; tests are skipped where there is none."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 60


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database; the server ends with the context, and its files with it."""
    psycopg = pytest.importorskip("psycopg")
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("no PostgreSQL server here")
    # It refuses to run as root, and its folder is to be the user's that it runs as.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = ["initdb", "-D", str(folder / "data"), "-U", "me", "--auth=trust", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, user=user.pw_uid, cwd=folder)
    server = subprocess.Popen(
        ["postgres", "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)],
        stderr=subprocess.DEVNULL,
        user=user.pw_uid,
        cwd=folder,
    )
    address, began = f"postgresql://me@127.0.0.1:{port}/postgres", time.monotonic()
    try:
        while True:
            try:
                psycopg.connect(address).close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None
                assert time.monotonic() - began < SECONDS
                time.sleep(0.1)
        yield address.replace("postgresql", "postgresql+psycopg")
    finally:
        # Connections that are still open are cut.
        server.send_signal(signal.SIGINT)
        server.wait(SECONDS)
        shutil.rmtree(folder)
