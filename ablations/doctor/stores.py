"""The stores of results, and the room on the disk for more."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ablations.doctor.page import Finding
from ablations.engine.disk import bytes_of, in_bytes
from ablations.tracking.sqlite_file import SQLITE, quick_check
from ablations.tracking.uris import default_uri
from analysis.format.links import without_password

LEAST = 1e9
"""Bytes that are to be free where results are written."""


def stores(results: Path, uri: str) -> Iterator[Finding]:
    """The tracking store, by default the folder's own, and a search's storage: answering, and their files whole."""
    uri = uri or default_uri(results)
    if not uri.startswith(SQLITE):
        yield _server(uri)
    else:
        yield _file("tracking", Path(uri.removeprefix(SQLITE)), "`python -m ablations.publish` makes it anew")
    yield _file("searches", results / "optuna.db", "searches begin anew")


def _server(uri: str) -> Finding:
    from ablations.tracking.mlflow_client import trouble

    reason = trouble(uri)
    if not reason:
        return Finding("tracking", f"{without_password(uri)} answers")
    todo = "start it, or give tracking.uri=; results are safe meanwhile: deliver them by `python -m ablations.publish`"
    return Finding("tracking", reason, "wrong", todo)


def _file(name: str, path: Path, then: str) -> Finding:
    """A store in a file; `then` says what comes once it is moved away."""
    if not path.is_file():
        return Finding(name, f"{path} is not there yet: the first command that needs it makes it")
    try:
        reason = quick_check(path)
    except sqlite3.Error as error:
        reason = str(error)
    if not reason:
        return Finding(name, f"{path}, {in_bytes(bytes_of(path))}: whole")
    todo = f"move it away, with {path}-wal and {path}-shm: {then}"
    return Finding(name, f"{path} is damaged: {reason}", "wrong", todo)


def disk(results: Path) -> Iterator[Finding]:
    """The room where results are written, and what they take."""
    there = next(place for place in (results, *results.absolute().parents) if place.exists())
    usage = shutil.disk_usage(there)
    room = f"{results}: {in_bytes(usage.free)} free of {in_bytes(usage.total)}"
    if not os.access(there, os.W_OK | os.X_OK):
        todo = "give results=FOLDER that can, or mend its rights"
        yield Finding("results", f"{there} cannot be written to", "wrong", todo)
    elif usage.free < LEAST:
        yield Finding("results", room, "wrong", "make room: python -m ablations.clean says what nobody needs")
    else:
        yield Finding("results", room)
    for name in (".stages", ".artifacts"):
        if (results / name).is_dir():
            yield Finding(name, in_bytes(bytes_of(results / name)))
