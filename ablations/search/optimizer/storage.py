"""A search's storage: a database that waits for its readers, and what may be said of it when it fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage

from ablations.tracking.sqlite_file import make_whole

PATIENCE = 60.0
"""Seconds that a locked database is waited for."""


def opened(uri: str) -> BaseStorage:
    """The storage of this URL; Optuna's or SQLAlchemy's errors where there is none."""
    make_whole(uri, lambda new: RDBStorage(new).engine.dispose())
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
    """Say nothing of what is experimental, which need not be said at every trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
