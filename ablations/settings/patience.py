"""A sign of life where something takes seconds before a bar can be shown: a line, once it has taken so long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.3
"""Before the line: what is quicker says nothing."""


@contextmanager
def soon(line: str) -> Iterator[None]:
    """Say this on stderr if what is done meanwhile takes a while."""
    timer = threading.Timer(SECONDS, lambda: print(line, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
