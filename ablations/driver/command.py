"""The steps that runs and searches have in common: words ─▶ request ─▶ plan ─▶ what it would do, or its results.

Wrong words are refused before torch is imported, and impossible plans before anything is written.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from ablations.engine.journal import Journal, journal_of
from ablations.engine.workers import warm_up
from ablations.settings.request import Common

R = TypeVar("R", bound=Common, contravariant=True)
P = TypeVar("P")


class Work(Protocol[R, P]):
    """A module that plans a request, says what that would do, and does it."""

    def planned(self, request: R, /) -> P: ...

    def dry_run(self, planned: P, journal: Journal, /) -> str: ...

    def carry_out(self, request: R, planned: P, journal: Journal, /) -> int: ...


def command(
    arguments: list[str],
    help_text: Callable[[], str],
    parse: Callable[[list[str]], R],
    imported: Callable[[], Work[R, P]],
) -> int:
    """The exit code of a command; 0 where nothing was to be run. InputError for a wrong word, and where a plan makes no
    sense. What does the work is `imported` once the words are read."""
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        return 0
    request = parse(arguments)
    # SIGTERM stops like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = Path(request.results)
    journal = journal_of(results, request.journal)
    if request.launcher == "local":
        # Beside the imports of this process, which take as long.
        warm_up()
    work = imported()
    planned = work.planned(request)
    if request.dry_run:
        print(work.dry_run(planned, journal))
        return 0
    results.mkdir(parents=True, exist_ok=True)
    return work.carry_out(request, planned, journal)
