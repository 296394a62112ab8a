"""The steps that runs and searches have in common: words ─▶ request ─▶ plan ─▶ what it would do, or its results.

Wrong words are refused before torch is imported, and impossible plans before anything is written.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable
from pathlib import Path

from ablations.engine.journal import journal_of
from ablations.engine.workers import warm_up
from ablations.settings.request import Common


def command(
    arguments: list[str], help_text: Callable[[], str], parse: Callable[[list[str]], Common], module: str
) -> int:
    """The exit code of a command; 0 where nothing was to be run. InputError for a wrong word, and where a plan makes no
    sense.

    The `module` is imported once the words are read. It plans the request (`planned`), and says what that would do
    (`dry_run`) or does it (`carry_out`).
    """
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
    work = importlib.import_module(module)
    planned = work.planned(request)
    if request.dry_run:
        print(work.dry_run(planned, journal))
        return 0
    results.mkdir(parents=True, exist_ok=True)
    code: int = work.carry_out(request, planned, journal)
    return code
