"""Digits, what examines them, and what they are held against."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ablations.data.digits import Digits
from ablations.metrics import extractors
from ablations.metrics.extractors.extractor import Extractor
from ablations.metrics.judging import Yardstick
from ablations.metrics.sets import Examined


@pytest.fixture(scope="session")
def images() -> dict[str, Tensor]:
    return Digits().load().images


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return extractors.load("digits-cnn")


@pytest.fixture(scope="session")
def yardstick(images, extractor) -> Yardstick:
    """What is judged on the test split."""
    return Yardstick("train", Examined(images["train"], extractor), Examined(images["test"], extractor), 17)


@pytest.fixture(scope="session")
def floor(images, yardstick) -> dict[str, float]:
    """What held-out images score."""
    sets = [images["validation"], images["test"]]
    held_out = Examined(torch.cat(sets), yardstick.real.extractor)
    return replace(yardstick, held_out=held_out).default_scores(sets)
