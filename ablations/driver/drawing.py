"""The pages of a round, drawn in a process of their own while the next round is run.

The process ends by itself: one whose driver was stopped or killed still leaves whole pages, each file at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from analysis.errors import InputError


class Drawing:
    """A process that draws the pages of a results folder; what a terminal shows of them goes into a file."""

    def __init__(self, folder: Path) -> None:
        self.said: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.wrong: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "analysis.pages", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=self.wrong,
            env=_environment(),
            # Ctrl-C is for the driver, which waits for the last round's pages.
            start_new_session=True,
        )

    @property
    def over(self) -> bool:
        """Whether all is drawn, or nothing more will be."""
        return self.process.poll() is not None

    def result(self) -> str:
        """What a terminal shows, waited for; InputError where the pages could not be drawn."""
        code = self.process.wait()
        said, wrong = _content(self.said), _content(self.wrong)
        if code:
            raise InputError(wrong.strip().rpartition("\n")[2] or f"its process ended with {code}")
        return said.rstrip("\n")

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def _content(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def _environment() -> dict[str, str]:
    """This process's, with the modules that it finds, and its terminal if it writes to one."""
    shown = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONIOENCODING": "utf-8"}
    if sys.stdout.isatty():
        shown |= {"FORCE_COLOR": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
    return {**os.environ, **shown}
