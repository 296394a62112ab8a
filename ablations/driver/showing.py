"""Pages of a complete round, drawn, printed and delivered while the next round runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ablations.driver.page_cache import last_shown, remember
from ablations.driver.written import summarised
from ablations.engine.folder_lock import FolderLock
from ablations.tracking.mlflow_store import Tracker
from analysis.errors import InputError


class Drawing:
    """A process that draws the pages of a results folder, and returns what a terminal shows of them.

    It ends by itself: even if its driver was stopped or killed, it leaves whole pages, because each file appears at
    once.
    """

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
        """True once all is drawn, or the process has ended without that."""
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
    """The environment of this process, with its module path, and its terminal's width if it writes to one."""
    shown = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONIOENCODING": "utf-8"}
    if sys.stdout.isatty():
        shown |= {"FORCE_COLOR": "1", "COLUMNS": str(shutil.get_terminal_size().columns)}
    return {**os.environ, **shown}


@dataclass(frozen=True)
class Showing:
    """Pages of a results folder that are being drawn, while this command keeps its turn in the folder."""

    folder: Path
    drawing: Drawing
    turn: ExitStack

    @staticmethod
    def begin(folder: Path, lock: FolderLock) -> Showing | None:
        """Draw the pages, unless they are there already, or another command writes there."""
        turn = ExitStack()
        if last_shown(folder) is not None or turn.enter_context(lock.held(wait=False)) is None:
            turn.close()
            return None
        return Showing(folder, Drawing(folder), turn)

    @property
    def over(self) -> bool:
        """True once all is drawn."""
        return self.drawing.over

    def leave(self) -> None:
        """Stop it, where an error ends the command."""
        with self.turn:
            self.drawing.stop()

    def end(self, tracker: Tracker | None) -> bool:
        """Print what a terminal shows, once the pages are drawn, and give the store its summary; returns whether they
        were drawn."""
        with self.turn:
            try:
                text = self.drawing.result()
            except KeyboardInterrupt:
                self.drawing.stop()
                raise
            except InputError as error:
                print(f"warning: the pages of this round could not be drawn: {error}", file=sys.stderr)
                return False
            print(text, flush=True)
            remember(self.folder, text, None if tracker is None else summarised(self.folder, tracker))
            return True
