"""The progress of a stage, left in its folder for the driver's bar; whoever has lost the folder stops there."""

from __future__ import annotations

import time
from collections.abc import Callable

from ablations.engine.journal import Journal
from ablations.engine.lease import Lease

SECONDS = 0.3
"""Between two writings."""

Progress = Callable[[float], None]
"""Takes the share of a stage that is done."""


def progress_writer(journal: Journal, stage_id: str, lease: Lease) -> Progress:
    """A function that leaves the share done in a stage's folder, a few times a second at most.

    LeaseLost where the stage is another's by then.
    """
    last = 0.0

    def write(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS:
            last = time.monotonic()
            lease.check()
            journal.write_progress(stage_id, share)

    return write
