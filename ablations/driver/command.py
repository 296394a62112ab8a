"""The steps that runs and searches have in common: words ─▶ request ─▶ plan ─▶ what it would do, or its results.

Wrong words are refused before torch is imported, and impossible plans before anything is written.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeVar

from ablations.engine.journal import Journal, journal_of
from ablations.launchers.warm import LOCAL, warm_up
from ablations.settings.arguments import doubts
from ablations.settings.request import Common
from analysis.errors import InputError

SECONDS = 0.3  # before the line: what is quicker says nothing


@contextmanager
def soon(line: str) -> Iterator[None]:
    """Print this on stderr if the work meanwhile takes a while."""
    timer = threading.Timer(SECONDS, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


R = TypeVar("R", bound=Common)
P = TypeVar("P")


def command(
    arguments: list[str],
    help_text: Callable[[], str],
    parse: Callable[[list[str]], R],
    plan: Callable[[R], P],
    dry_run: Callable[[P, Journal], str],
    carry_out: Callable[[R, P, Journal], int],
) -> int:
    """The exit code of a command; 0 where nothing was to be run. InputError for a wrong word, and where a plan makes no
    sense or its results have no place."""
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        return 0
    request = parse(arguments)
    for doubt in doubts(request):
        print(f"warning: {doubt}", file=sys.stderr)
    results = Path(request.results)
    journal = journal_of(results, request.journal)
    if request.launcher == LOCAL:
        # Beside the imports of this process, which take as long.
        warm_up()
    with soon(f"{request.title}: reading its choices and its data …"):
        planned = plan(request)
    if request.dry_run:
        print(dry_run(planned, journal))
        return 0
    writable(results)
    return carry_out(request, planned, journal)


def writable(results: Path) -> None:
    """Create the results folder if need be; InputError where it cannot be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=results):
            pass
    except OSError as error:
        raise InputError(f"results={results} is no folder that can be written: {error.strerror}") from error
