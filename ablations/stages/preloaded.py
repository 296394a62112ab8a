"""Modules that a worker needs, imported by the process that workers are forked from, and then exempt from garbage
collection: in each worker it would go through all of them, and so copy them."""

from __future__ import annotations

import atexit
import gc

# What counts operations imports it, in each process anew otherwise.
import torch._dynamo  # noqa: F401

from ablations.engine.workers import perform
from ablations.stages import graph

__all__ = ["graph", "perform"]

gc.collect()
gc.freeze()
# Triton, which torch._dynamo imports where it is installed, calls leaked what is never collected, on 50 lines.
atexit.register(gc.unfreeze)
