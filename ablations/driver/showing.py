"""Pages of a round that is whole, while the next one is run: drawn, printed, delivered."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ablations.driver.drawing import Drawing
from ablations.driver.page_cache import last_shown, remember
from ablations.driver.written import summarised
from ablations.engine.folder_lock import FolderLock
from ablations.tracking.mlflow_store import Tracker
from analysis.format.errors import InputError


@dataclass(frozen=True)
class Showing:
    """Pages of a results folder that are being drawn, and the turn of the folder that is kept meanwhile."""

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
        """Let go of it, where an error ends the command."""
        with self.turn:
            self.drawing.stop()

    def end(self, tracker: Tracker | None) -> bool:
        """Once they are drawn, print what a terminal shows and give the store its summary; whether they were."""
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
