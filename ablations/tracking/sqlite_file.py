"""A tracking store in a file, read and mended without MLflow, which takes seconds to import, or cannot do it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from analysis.files import make_file

SQLITE = "sqlite:///"
EXPERIMENT = "update experiments set artifact_location = ? where experiment_id = ?"
RUNS = "update runs set artifact_uri = ? || substr(artifact_uri, ?) where experiment_id = ? and artifact_uri like ?"


@dataclass(frozen=True)
class Summary:
    """The run with a folder's pages in the store at `uri`, and the link that opens the grid's page."""

    uri: str
    run: str
    link: str

    @property
    def file(self) -> Path | None:
        """The store's file; None where it is none."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    @property
    def stands(self) -> bool:
        """True where the store is a file and has the run."""
        query = "select 1 from runs where run_uuid = ? and lifecycle_stage = 'active'"
        try:
            return self.file is not None and bool(answers_of(self.file, query, self.run))
        except sqlite3.Error:
            return False


def answers_of(file: Path, query: str, *values: object) -> list[Any]:
    """The rows that a database in a file returns; sqlite3.Error where it cannot, or there is no such file.

    The file is opened for writing: a command that was killed while writing leaves a journal, which the next one to open
    the file rolls back; before that nobody can read.
    """
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as database, database:
        return list(database.execute(query, values))


def make_whole(uri: str, make: Callable[[str], object]) -> None:
    """Let `make` create the store of an address, if that is a file which does not exist yet: whole or not at all.

    A store's tables and indices come one by one. A store that a kill left without the index of unique names would be
    used as it is, with a new study at each command; and a half migrated one cannot be used again.
    """
    path = Path(uri.removeprefix(SQLITE))
    plain = uri.startswith(SQLITE) and not set(":?") & set(path.name)
    if plain and path.parent.is_dir() and not path.exists():
        make_file(path, lambda temporary: make(f"{SQLITE}{temporary}"))


def follow_artifacts(store: Path, artifacts: Path) -> int:
    """Correct a store's addresses of artifacts, with each experiment in a folder of `artifacts`; return how many had
    moved.

    MLflow writes an absolute address for each experiment and run, and has no call that changes one: after a move it
    makes the old folder anew. Only a store inside the results folder of its artifacts is changed, and in it no address
    that still leads to a folder, unless a copy of that lies here. sqlite3.Error where the store cannot be read.
    """
    if not store.is_file() or store.parent.resolve() != artifacts.parent.resolve():
        return 0
    if not answers_of(store, "select 1 from sqlite_master where name = 'experiments'"):
        return 0
    moved = 0
    for id_, name, address in answers_of(store, "select experiment_id, name, artifact_location from experiments"):
        now = artifacts / name
        if _has_moved(address or "", now):
            new = now.absolute().as_uri()
            answers_of(store, RUNS, new, len(address) + 1, id_, f"{address}/%")
            answers_of(store, EXPERIMENT, new, id_)
            moved += 1
    return moved


def _has_moved(address: str, now: Path) -> bool:
    """True where an address is a folder in another `.artifacts`, and that folder is here, or no longer there."""
    parts = urlparse(address)
    before = Path(unquote(parts.path))
    if parts.scheme not in ("", "file") or before.parent.name != now.parent.name or before == now.absolute():
        return False
    return now.is_dir() or not before.is_dir()
