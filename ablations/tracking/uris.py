"""Addresses of tracking stores: the default, a line where one cannot be used, a command that delivers to one later.

Nothing here imports MLflow, which takes seconds.
"""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from ablations.tracking.sqlite_file import SQLITE, answers_of
from analysis.links import without_password, without_passwords

DAMAGED = ("malformed", "not a database", "database corruption")
"""Words by which SQLite says that a file is none of its own, or no longer."""
SERVERS = ("http", "https")
ANSWER_SECONDS = 5.0
"""Seconds that a server has to answer, when a command begins."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
DRIVERS = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Modules that speak to databases, by what is installed for them where that has another name."""


def default_uri(results: Path) -> str:
    """The store that the README's `mlflow ui` command opens."""
    return f"{SQLITE}{results / 'mlflow.db'}"


def refusal(uri: str) -> str:
    """A line that says why a store cannot be used, as far as that shows without opening it; "" if it may be."""
    scheme = urlparse(uri).scheme
    if scheme.partition("+")[0] not in DATABASES and scheme not in SERVERS:
        shown = without_password(uri)
        return f"{shown!r} is no tracking store: give sqlite:///PATH, http://HOST:PORT, or a database's URL"
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
        answers_of(path, "pragma schema_version")
    except sqlite3.Error as error:
        return f"the tracking store {uri} does not answer: {error}{what_to_do(uri, str(error))}"
    return ""


def _silent(uri: str) -> str:
    """A line that says that nobody listens at a server's address; "" where somebody does, or a proxy stands before."""
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
    """A clause that names what is missing here to speak to a database; "" if nothing is."""
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
    """A clause of advice on a store whose file is damaged; "" where the error is another."""
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
