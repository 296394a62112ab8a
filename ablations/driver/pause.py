"""The time between two writings of results: they are written now and then while stages run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WRITE_SECONDS = 15.0
REST = 20
"""Writings are so many times as far apart as the last one took: those of thousands of cells take seconds."""


@dataclass
class Pause:
    """Between two writings of results, the longer the longer the last one took."""

    written: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """True once they are to be written again."""
        return time.monotonic() - self.written > max(WRITE_SECONDS, self.seconds)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """They are written meanwhile."""
        began = time.monotonic()
        yield
        self.written = time.monotonic()
        self.seconds = REST * (self.written - began)
