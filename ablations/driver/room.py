"""The room on a disk that stages will take: what each leaves for good, and the checkpoints of those under way."""

from __future__ import annotations

import math
import shutil
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from ablations.data.base import Data
from ablations.driver.passes import alike, learner_of
from ablations.stages.disk import in_bytes
from ablations.stages.kinds import AutoencoderStage, BoundStage, SamplesStage, Stage, TrainingStage
from ablations.workers.restore import autoencoder_of

FLOAT, TERM = 4, 8
"""Bytes of a weight, and of a term of the bound."""
WEIGHTS, STATE = 2, 4
"""Numbers for each parameter: itself and its average; in a checkpoint also the optimiser's two moments."""
KEPT = 2
"""Checkpoints of a training under way."""
TERMS = 3
"""Terms of the bound that are kept of each image."""


def bytes_of(stages: Sequence[Stage], workers: int, data: Data) -> int:
    """Bytes that these stages leave, and that so many of them take at a time besides."""
    known: dict[Hashable, int] = {}
    left, largest = 0, 0
    for stage in stages:
        if isinstance(stage, (TrainingStage, AutoencoderStage)):
            key = alike(stage)
            if key not in known:
                known[key] = parameters_of(stage, data)
            parameters = known[key]
            rungs = len({rung.step for rung in stage.scored}) if isinstance(stage, TrainingStage) else 0
            left += FLOAT * parameters * (WEIGHTS + rungs)
            largest = max(largest, FLOAT * parameters * STATE * KEPT)
        elif isinstance(stage, SamplesStage):
            left += stage.sets * len(data.images[stage.split]) * math.prod(data.shape)
        elif isinstance(stage, BoundStage):
            left += len(data.images[stage.split]) * TERMS * TERM
    return left + workers * largest


def parameters_of(stage: Stage, data: Data) -> int:
    """How many parameters a stage trains."""
    of_codes = isinstance(stage, AutoencoderStage)
    module = autoencoder_of(stage.cell, data) if of_codes else learner_of(stage.cell, data, torch.device("cpu"))
    return sum(parameter.numel() for parameter in module.parameters())


def in_words(needed: int, folder: Path) -> str:
    """What is needed of what is free where a folder is, or will be."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return f"about {in_bytes(needed)} on disk, of {in_bytes(shutil.disk_usage(there).free)} that are free"
