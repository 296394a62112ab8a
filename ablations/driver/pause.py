"""The time between two writings of results: they are written now and then while stages run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WRITE_SECONDS = 15.0
REST = 20
"""A pause takes so many times as long as the last writing, which takes seconds for thousands of cells."""


@dataclass
class Pause:
    """The pause between two writings of results, which is longer where the last one took longer."""

    written: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def over(self) -> bool:
        """True once they are to be written again."""
        return time.monotonic() - self.written > max(WRITE_SECONDS, self.seconds)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write results meanwhile, which begins the next pause."""
        began = time.monotonic()
        yield
        self.written = time.monotonic()
        self.seconds = REST * (self.written - began)
