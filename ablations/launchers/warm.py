"""The process that workers on this machine are forked from: it imports what they need once, while the driver plans."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver

LOCAL = "local"
"""The launcher whose workers these are."""
WORK = "ablations.stages.preloaded"


def warm_up() -> None:
    """Start the process that workers are forked from, unless it runs; it ends with the last process that uses it."""
    multiprocessing.get_context("forkserver").set_forkserver_preload([WORK])
    forkserver.ensure_running()
