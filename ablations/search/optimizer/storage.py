"""A search's storage: a database that waits for its readers, and what may be said of it when it fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage

from analysis.files import make_file

FILE, MEMORY = "sqlite:///", ":memory:"
PATIENCE = 60.0
"""Seconds that a locked database is waited for."""


def opened(uri: str) -> BaseStorage:
    """The storage of this URL; Optuna's or SQLAlchemy's errors where there is none.

    A new file is made whole: its tables and indices come one by one, and one that a kill had left without the index
    that keeps names apart would be used as it is, with a study anew at each command.
    """
    path = Path(uri.removeprefix(FILE))
    if uri.startswith(FILE) and MEMORY not in uri and path.parent.is_dir() and not path.exists():
        make_file(path, lambda temporary: RDBStorage(f"{FILE}{temporary}").engine.dispose())
    patient = {"connect_args": {"timeout": PATIENCE}} if uri.startswith("sqlite") else {}
    return RDBStorage(uri, engine_kwargs=patient)


def shown(uri: str) -> str:
    """A storage's URL without the password that it may hold."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(uri).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return f"{uri.partition(':')[0]}:…"


def cause(error: BaseException) -> str:
    """The first line of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """What is experimental is experimental, which need not be said at every trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
