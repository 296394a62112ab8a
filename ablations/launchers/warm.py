"""The process that workers on this machine are forked from: it imports what they need once, while the driver plans."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver

LOCAL = "local"
"""The launcher whose workers these are."""
WORK = "ablations.launchers.preloaded"


def warm_up() -> None:
    """Start it, unless it runs; it ends when the last process does that knows of it."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([WORK])
    forkserver.ensure_running()
