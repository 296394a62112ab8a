"""The pages of a round, drawn in a process of their own while the next round is run.

The process ends by itself: one whose driver was stopped or killed still leaves whole pages, each file at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analysis.format.errors import InputError


class Drawing:
    """A process that draws the pages of a results folder, and says what a terminal shows of them."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "analysis.pages", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            encoding="utf-8",
            # Ctrl-C is for the driver, which waits for the last round's pages.
            start_new_session=True,
        )
        reader = ThreadPoolExecutor(1)
        self.output = reader.submit(self.process.communicate)
        reader.shutdown(wait=False)

    @property
    def over(self) -> bool:
        """True once all is drawn, or nothing more will be."""
        return self.output.done()

    def result(self) -> str:
        """Wait for the text that a terminal shows; InputError where the pages could not be drawn."""
        text, errors = self.output.result()
        if self.process.returncode:
            raise InputError(errors.strip().rpartition("\n")[2] or f"its process ended with {self.process.returncode}")
        return text.rstrip("\n")

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
        self.output.result()


def _environment() -> dict[str, str]:
    """This process's, with the modules that it finds, and its terminal if it writes to one."""
    shown = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONIOENCODING": "utf-8"}
    if sys.stdout.isatty():
        shown |= {"FORCE_COLOR": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
    return {**os.environ, **shown}
