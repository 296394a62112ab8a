"""Experiments on the design choices of diffusion models, by commands or from Python.

    @ablations.register                                  a class of one's own as a choice of its axis
    ablations.main(["grid=variance", "seeds=5"])         what `python -m ablations.run grid=variance seeds=5` does
    ablations.run("grid=variance", "seeds=5")            the same, and its frames: .runs, .curves, .comparisons, .cells
    ablations.run_search("study=schedule", "trials=40")  a search, and its frames: .trials, .rungs

The words are those of the command line. Nothing is imported before it is used: torch and MLflow take seconds.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from analysis.answers import Analysis
    from analysis.search import Search

__all__ = ["main", "register", "run", "run_search"]

COMMANDS = {
    "run": "driver.run",  # `ablations.run` is the function.
    "search": "search.__main__",
    **{name: name for name in ("sample", "export", "publish", "check", "clean")},
}
"""The commands, and the modules that hold them."""

C = TypeVar("C", bound=type)


def register(cls: C) -> C:
    """Make a class a choice of its axis, named by its own name in snake case: a decorator.

    The class is derived from an axis's base class, a data set's, a launcher's, an extractor's or a metric's. Worker
    processes know it too. InputError, in one line, where it cannot be a choice.
    """
    from ablations.settings import plugins

    return plugins.register(cls)


def main(arguments: Sequence[str]) -> int:
    """Run a command: `run`, or the one that the first word names (search, sample, …); its exit code.

    Nothing happens in a worker process, which reads the script that started it.
    """
    # A script that a worker reads for its classes: multiprocessing calls it so.
    if sys._getframe(1).f_globals.get("__name__") == "__mp_main__":
        return 0
    words = list(arguments)
    command = words.pop(0) if words and words[0] in COMMANDS else "run"
    module = importlib.import_module(f"ablations.{COMMANDS[command]}")
    from ablations.settings.exits import outcome

    return outcome(module.main, words)


def run(*words: str) -> Analysis:
    """Run a grid, or continue it, and read what it found; InputError, in one line, for a wrong word.

    Cells that failed or diverged are rows too: the column `status` says so.
    """
    from ablations.driver.run import main as run_main
    from ablations.settings.arguments import parse_run
    from analysis import read

    request = parse_run(list(words))
    _finished(run_main(list(words)), dry_run=request.dry_run)
    return read(request.folder)


def run_search(*words: str) -> Search:
    """Run a search, or continue it, and read what it found; InputError, in one line, for a wrong word."""
    from ablations.search import __main__ as search
    from ablations.settings.arguments import parse_search
    from analysis.search import read_search

    request = parse_search(list(words))
    _finished(search.main(list(words)), dry_run=request.dry_run)
    return read_search(request.folder)


def _finished(code: int, *, dry_run: bool) -> None:
    from analysis.errors import InputError

    if dry_run:
        raise InputError("dry_run=true runs nothing, so there is nothing to read: leave it out, or use ablations.main")
    if code == 130:
        raise KeyboardInterrupt
