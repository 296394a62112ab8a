"""Checkpoints of a training, written beside it: the state is copied at once, and is on its way to disk meanwhile, and
from there to where the journal is."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from torch import Tensor

from ablations.engine.files import CHECKPOINT
from ablations.stages.artifacts import HISTORY, write_checkpoint, write_history

Send = Callable[..., None]
"""Delivers files of a folder, by their names, to where its journal is."""
TOLD_SECONDS = 10.0
"""Whoever watches from afar reads the reports of a training after so many seconds."""


class Checkpoints:
    """What writes a training's checkpoints into its folder and sends them; on leaving it, the last one is there."""

    def __init__(self, folder: Path, send: Send) -> None:
        self.folder = folder
        self.send = send
        self.writer = ThreadPoolExecutor(1)
        self.last: Future[None] | None = None
        self.told = time.monotonic()

    def save(self, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
        """Write the reports so far and the state that they end in; OSError where the one before could not be."""
        self.wait()
        write_history(self.folder, history)
        # A GPU copies it before it goes on with its next step; the host waits for nothing.
        copy = {name: value.detach().clone() for name, value in state.items()}
        self.last = self.writer.submit(self._save, list(history), copy)
        self.told = time.monotonic()

    def tell(self, history: list[dict[str, float]]) -> None:
        """Write the reports so far, for who watches; OSError as `save`."""
        write_history(self.folder, history)
        if time.monotonic() - self.told > TOLD_SECONDS and (self.last is None or self.last.done()):
            self.wait()
            self.last = self.writer.submit(self.send, HISTORY)
            self.told = time.monotonic()

    def _save(self, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
        write_checkpoint(self.folder, history, state)
        self.send(HISTORY)
        self.send(CHECKPOINT)

    def wait(self) -> None:
        """Wait until the last one is there; OSError where it could not be written."""
        if self.last is not None:
            last, self.last = self.last, None
            last.result()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.shutdown(wait=True)
        if kind is None:
            self.wait()
