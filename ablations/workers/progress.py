"""How far a stage is, left in its folder for the driver's bar; whoever has lost the folder stops there."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ablations.stages.lease import Lease

Progress = Callable[[float], None]
"""Takes the share of a stage that is done."""

SECONDS = 0.3
"""Between two writings."""


def progress_writer(folder: Path, lease: Lease) -> Progress:
    """A function that leaves the share done in `folder`, a few times a second at most.

    LeaseLost where the folder is another's by then.
    """
    last = 0.0

    def write(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS:
            last = time.monotonic()
            lease.check()
            (folder / "progress").write_text(f"{share:.4f}")

    return write
