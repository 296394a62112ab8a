"""The room on a disk that stages will take: what each leaves for good, and the checkpoints of those under way."""

from __future__ import annotations

import shutil
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from ablations.data.base import Data
from ablations.driver.work_units import alike, learner_of
from ablations.engine.disk import in_bytes
from ablations.stages.restore import autoencoder_of
from ablations.stages.stage import Stage
from ablations.stages.training import WEIGHT_BYTES, state_each

KEPT = 2
"""Checkpoints of a training under way."""


def bytes_of(stages: Sequence[Stage], workers: int, data: Data) -> int:
    """Bytes that these stages leave, and that so many of them take at a time besides."""
    parameters_by_kind: dict[Hashable, int] = {}
    left, largest = 0, 0
    for stage in stages:
        parameters = 0
        if stage.trains:
            key = alike(stage)
            if key not in parameters_by_kind:
                parameters_by_kind[key] = parameters_of(stage, data)
            parameters = parameters_by_kind[key]
            # An autoencoder has a plan of its own, which takes no snapshots.
            snapshots = 0 if stage.passes == "autoencoder" else stage.cell.training.snapshots
            largest = max(largest, WEIGHT_BYTES * parameters * state_each(snapshots) * KEPT)
        left += stage.bytes_left(data, parameters)
    return left + workers * largest


def parameters_of(stage: Stage, data: Data) -> int:
    """The number of parameters that a stage trains."""
    of_codes = stage.passes == "autoencoder"
    module = autoencoder_of(stage.cell, data) if of_codes else learner_of(stage.cell, data, torch.device("cpu"))
    return sum(parameter.numel() for parameter in module.parameters())


def in_words(needed: int, folder: Path) -> str:
    """The bytes needed beside those that are free where a folder is, or will be, in words."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return f"about {in_bytes(needed)} on disk, of {in_bytes(shutil.disk_usage(there).free)} that are free"
