"""The commands from a script or a notebook: what `ablations` offers to Python."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.plugins import script_words
from ablations.settings.request import Request, SearchRequest
from analysis.answers import Analysis, read
from analysis.errors import InputError
from analysis.search import Search, read_search
from analysis.shell import outcome

COMMANDS = {
    "run": "driver.run",
    "search": "search.__main__",
    **{name: name for name in ("sample", "export", "publish", "clean")},
}


def main(arguments: Sequence[str]) -> int:
    """Run a command: `run`, or the one that the first word names (search, sample, …); its exit code.

    Nothing happens in a worker process, which reads the script that started it.
    """
    if _in_worker():
        return 0
    # Behind a script that registers classes, the name of another command takes the place of the script's own.
    other = script_words() is not None and sys.argv[1:2] and sys.argv[1] in COMMANDS
    words = sys.argv[1:] if other else list(arguments)
    command = words.pop(0) if words and words[0] in COMMANDS else "run"
    return outcome(_main_of(command), with_own(words) if command in ("run", "search") else words)


def check(choice: object, data_set: object = None) -> None:
    """AssertionError, in one line, unless a choice works; a metric is tried on `data_set`, else on digits or points.
    Nothing happens in a worker process."""
    if not _in_worker():
        importlib.import_module("ablations.checking").check(choice, data_set)


def run(*words: str) -> Analysis:
    """Run a grid, or continue it, and read what it found; InputError, in one line, for a wrong word.

    Cells that failed or diverged are rows too: the column `status` says so.
    """
    return read(_finished("run", parse_run(with_own(words)), with_own(words)))


def run_search(*words: str) -> Search:
    """Run a search, or continue it, and read what it found; InputError, in one line, for a wrong word."""
    return read_search(_finished("search", parse_search(with_own(words)), with_own(words)))


def with_own(words: Sequence[str]) -> list[str]:
    """The words of a script, and those behind it in place of the same keys: `python mine.py seeds=8`."""
    _, own = script_words() or ("", [])
    keys = {word.partition("=")[0] for word in own}
    return [*(word for word in words if word.partition("=")[0] not in keys), *own]


def _in_worker() -> bool:
    """True where the caller's caller is a script that a worker reads for its classes: multiprocessing calls it so."""
    return bool(sys._getframe(2).f_globals.get("__name__") == "__mp_main__")


def _finished(command: str, request: Request | SearchRequest, words: Sequence[str]) -> Path:
    """The results folder of a command that was carried out; KeyboardInterrupt where it was interrupted."""
    if request.dry_run:
        raise InputError("dry_run=true runs nothing, so there is nothing to read: leave it out, or use ablations.main")
    if _main_of(command)(list(words)) == 130:
        raise KeyboardInterrupt
    return request.folder


def _main_of(command: str) -> Callable[[list[str]], int]:
    main: Callable[[list[str]], int] = importlib.import_module(f"ablations.{COMMANDS[command]}").main
    return main
