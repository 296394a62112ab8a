"""A search's storage: a database with patience for locks, and a description of its failures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, RDBStorage

from ablations.tracking.sqlite_file import make_whole

PATIENCE = 60.0
"""Seconds to wait for a locked database."""


def opened(uri: str) -> BaseStorage:
    """The storage of this URL; Optuna's or SQLAlchemy's errors where it cannot be opened."""
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
    """The first line of the error at the root of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Optuna's warnings about experimental features, which would be repeated at every trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
