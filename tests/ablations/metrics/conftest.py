"""Digits, what examines them, and what they are held against."""

from __future__ import annotations

import pytest
from torch import Tensor

from ablations.data.digits import Digits
from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import Extractor
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
