"""A results folder that was moved or copied with its store: the addresses of its artifacts follow it.

MLflow writes down an absolute address for each experiment and run, has no call that changes one, and makes the old
folder anew when it is given an artifact there. Only a store that lies in the results folder itself is changed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

EXPERIMENT = "update experiments set artifact_location = ? where experiment_id = ?"
RUNS = "update runs set artifact_uri = ? || substr(artifact_uri, ?) where experiment_id = ? and artifact_uri like ?"


def follow(store: Path, artifacts: Path) -> int:
    """Let a store's experiments know that their artifacts are in a folder each of `artifacts`; how many had moved.

    That is so where they were in another folder of the same name, and are in this one now, or no longer there.
    sqlite3.Error where the store cannot be read or written.
    """
    if not store.is_file() or store.parent.resolve() != artifacts.parent.resolve():
        return 0
    with closing(sqlite3.connect(store)) as database, database:
        if not list(database.execute("select 1 from sqlite_master where name = 'experiments'")):
            return 0
        known = list(database.execute("select experiment_id, name, artifact_location from experiments"))
        moved = [(id_, place, artifacts / name) for id_, name, place in known if _moved(place or "", artifacts / name)]
        for id_, before, now in moved:
            address = now.absolute().as_uri()
            database.execute(EXPERIMENT, (address, id_))
            database.execute(RUNS, (address, len(before) + 1, id_, f"{before}/%"))
    return len(moved)


def _moved(address: str, now: Path) -> bool:
    """Whether what was at an address, a folder's of `.artifacts` somewhere, is to be looked for here."""
    parts = urlparse(address)
    before = Path(unquote(parts.path))
    if parts.scheme not in ("", "file") or before.parent.name != now.parent.name or before == now.absolute():
        return False
    return now.is_dir() or not before.is_dir()
