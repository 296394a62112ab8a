"""Checkpoints of a training, written beside it: the state is copied at once, and is on its way to disk meanwhile."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from torch import Tensor

from ablations.stages.artifacts import write_checkpoint, write_history


class Checkpoints:
    """A context that writes a training's checkpoints into its folder; when it is left, the last one is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = ThreadPoolExecutor(1)
        self.last: Future[None] | None = None

    def save(self, history: list[dict[str, float]], state: dict[str, Tensor]) -> None:
        """Write the reports so far and the state that they end in; OSError where the one before could not be."""
        self.wait()
        write_history(self.folder, history)
        # A GPU copies it before it goes on with its next step; the host waits for nothing.
        copy = {name: value.detach().clone() for name, value in state.items()}
        self.last = self.writer.submit(write_checkpoint, self.folder, list(history), copy)

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
