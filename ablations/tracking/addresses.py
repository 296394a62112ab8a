"""What an address of a store tells without MLflow, which takes seconds to import: whether it can be used, and whether a
store in a file still has what was delivered."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from analysis.format.files import make_file
from analysis.format.links import without_password, without_passwords

SQLITE = "sqlite:///"
DAMAGED = ("malformed", "not a database", "database corruption")
"""Words by which SQLite says that a file is none of its own, or no longer."""
SERVERS = ("http", "https")
ANSWER_SECONDS = 5.0
"""For a server to be heard of, when a command begins."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
DRIVERS = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Modules that speak to databases, by what is installed for them where that has another name."""


@dataclass(frozen=True)
class Summary:
    """The run in the store at `uri` that carries a folder's pages, and the link that opens the grid's page."""

    uri: str
    run: str
    link: str

    @property
    def file(self) -> Path | None:
        """The store's file; None where it is none."""
        return Path(self.uri.removeprefix(SQLITE)) if self.uri.startswith(SQLITE) else None

    @property
    def stands(self) -> bool:
        """Whether a store that is a file has the run, as far as that is told without MLflow, which takes seconds."""
        query = "select 1 from runs where run_uuid = ? and lifecycle_stage = 'active'"
        try:
            return self.file is not None and bool(_asked(self.file, query, self.run))
        except sqlite3.Error:
            return False


def default_uri(results: Path) -> str:
    """The store that the README's `mlflow ui` command opens."""
    return f"{SQLITE}{results / 'mlflow.db'}"


def _asked(file: Path, query: str, *values: str) -> list[Any]:
    """What a database in a file answers; sqlite3.Error where it cannot, or there is no such file.

    It is opened for writing: a command that was killed as it wrote leaves a journal, which the next to open it undoes,
    and before which nobody can read.
    """
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)) as database:
        return list(database.execute(query, values))


def deleted_runs(file: Path) -> list[tuple[str, str]]:
    """The runs of a store in a file that were deleted, each with the address of its artifacts; sqlite3.Error where the
    file is no store."""
    query = "select run_uuid, artifact_uri from runs where lifecycle_stage = 'deleted'"
    return [(str(run), str(address)) for run, address in _asked(file, query)]


def experiment_in(file: Path, name: str) -> str:
    """MLflow's id of an experiment in a store in a file; "" where it is not there."""
    query = "select experiment_id from experiments where name = ? and lifecycle_stage = 'active'"
    try:
        return next((str(row[0]) for row in _asked(file, query, name)), "")
    except sqlite3.Error:
        return ""


def quick_check(file: Path) -> str:
    """What is wrong with a database in a file, by its own check, in a line; "" if nothing is. sqlite3.Error where it
    cannot be read at all."""
    found = [str(row[0]) for row in _asked(file, "pragma quick_check(1)")]
    return "" if found == ["ok"] else " ".join("; ".join(found).split())


def make_whole(uri: str, make: Callable[[str], object]) -> None:
    """Let `make` make the store of an address, if that is a file which is not there yet: whole or not at all.

    A store's tables and indices come one by one. One that a kill had left without the index that keeps names apart
    would be used as it is, with a study anew at each command; and one that is half migrated is of no use to the next.
    """
    path = Path(uri.removeprefix(SQLITE))
    plain = uri.startswith(SQLITE) and not set(":?") & set(path.name)
    if plain and path.parent.is_dir() and not path.exists():
        make_file(path, lambda temporary: make(f"{SQLITE}{temporary}"))


def refusal(uri: str) -> str:
    """Why a store cannot be used, as far as it can be told without opening it; "" if it may be."""
    scheme = urlparse(uri).scheme
    if scheme.partition("+")[0] not in DATABASES and scheme not in SERVERS:
        given = without_password(uri)
        return f"{given!r} is no tracking store: give sqlite:///PATH, http://HOST:PORT, or a database's URL"
    if scheme in SERVERS:
        return _silent(uri)
    if not uri.startswith(SQLITE):
        reason = _without_a_driver(uri)
        return f"the tracking store {without_password(uri)} {reason}" if reason else ""
    path = Path(uri.removeprefix(SQLITE))
    if not path.parent.is_dir():
        return f"the tracking store {uri} does not answer: {path.parent} is no folder"
    if not path.exists():
        # A new one, whatever lies beside it: the command says at its start that it makes it.
        return ""
    try:
        _asked(path, "pragma schema_version")
    except sqlite3.Error as error:
        return f"the tracking store {uri} does not answer: {error}{what_to_do(uri, str(error))}"
    return ""


def _silent(uri: str) -> str:
    """Why nobody listens at a server's address; "" where somebody does, or a proxy stands before it."""
    parts = urlparse(uri)
    if parts.scheme in getproxies() and not proxy_bypass(parts.hostname or ""):
        return ""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        return (
            f"the tracking store {without_password(uri)} does not answer: {getattr(error, 'strerror', None) or error}. "
            "Start it, or leave tracking.uri out and deliver later (python -m ablations.publish); all else is kept"
        )
    return ""


def _without_a_driver(uri: str) -> str:
    """Why there is nothing here that speaks to a database, as a clause; "" if there is."""
    import sqlalchemy

    try:
        sqlalchemy.create_engine(uri)
    except ImportError as error:
        driver = error.name or str(error)
        return f"needs {driver}, which is not installed: pip install '{DRIVERS.get(driver, driver)}'"
    except (sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
        return f"cannot be used: {without_passwords(str(error), uri)}"
    return ""


def what_to_do(uri: str, error: str) -> str:
    """What to do about a store whose file is damaged, as a clause; "" where the error is another."""
    if not uri.startswith(SQLITE) or not any(word in error for word in DAMAGED):
        return ""
    return (
        f": move {uri.removeprefix(SQLITE)} away, and python -m ablations.publish delivers all that is in the results "
        "folder to a new one"
    )


def rescue(folder: Path, uri: str) -> str:
    """The command that delivers a results folder to a store, whose address is left out where it may hold a password."""
    results = folder.parent
    words = ["python -m ablations.publish", f"grid={folder.name}"]
    words += [f"results={results}"] if results != Path("results") else []
    shown = "…" if "@" in uri else uri
    words += [f"tracking.uri={shown}"] if uri != default_uri(results) else []
    return " ".join(words)
