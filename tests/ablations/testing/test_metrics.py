"""The check of metrics: what ships passes, and what is wrong gets one clear line."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
import torch

from ablations.metrics.metric import Metric, MetricInfo
from ablations.metrics.registry import metric_of, names
from ablations.metrics.sets import Judged
from ablations.testing.metrics import check_metric


@pytest.mark.parametrize("name", names())
def test_a_metric_that_ships_passes(name):
    check_metric(metric_of(name))


@dataclass(frozen=True)
class Contrast(Metric):
    """Distance of the mean level of samples from that of real ones: what the wrong ones below are made of."""

    info = MetricInfo("Contrast", "min")

    def compute(self, judged: Judged) -> float:
        return abs(float(judged.generated.stored.double().std() - judged.real.stored.double().std()))


@dataclass(frozen=True)
class Asking(Contrast):
    """A field without a default."""

    weight: float


def contrast(name: str, **declared: Any) -> Metric:
    """A contrast of this class's name that declares, or computes, something else."""
    said = {key: declared.pop(key) for key in {field.name for field in fields(MetricInfo)} & declared.keys()}
    own = {"__module__": __name__, "info": replace(Contrast.info, **said), **declared}
    made: Metric = type(name, (Contrast,), own)()
    return made


def breaking(self: Metric, judged: Judged) -> float:
    raise KeyError("contrast\nis missing")


def sample_by_sample(self: Metric, judged: Judged) -> float:
    return float((judged.generated.stored.double() - judged.real.stored.double()).abs().mean())


def moody(self: Metric, judged: Judged) -> float:
    return Contrast.compute(self, judged) + float(torch.rand(()))


def of_the_first_sample(self: Metric, judged: Judged) -> float:
    return abs(float(judged.generated.features[0].mean() - judged.real.features.mean()))


def standardising(self: Metric, judged: Judged) -> float:
    judged.real.features.sub_(judged.real.features.mean())
    return Contrast.compute(self, judged)


THAWED = type("Params", (), {"frozen": False})
WRONG = [
    (contrast("Loose", __dataclass_params__=THAWED), "is no frozen dataclass"),
    (Asking(1.0), "has no default for weight: text asks for a metric by its name alone"),
    (contrast("UpsideDown", direction="max"), "has direction max, and scores real images .*, no better than noise"),
    (contrast("Fashionable", direction="up"), "has direction = 'up', which is none of 'min', 'max', 'none'"),
    (contrast("Nameless", label=" "), "has the label ' ', which is no text"),
    (contrast("HalfDigit", digits=1.5), "has digits = 1.5, which is no number of decimals"),
    (contrast("Undirected", direction="none", decides="samples"), "decides samples, and has no direction"),
    (contrast("Nll"), "metric nll has the name of a metric that stages measure"),
    (contrast("Nowhere", of=()), r"is of \(\): take some of \['images', 'points'\]"),
    (
        contrast("Breaking", compute=breaking),
        r"metric breaking raises on 150 samples: KeyError: .*is missing.*; test_metrics.py, line \d+",
    ),
    (contrast("Endless", compute=lambda *_: math.inf), "scores 150 samples inf, which is not finite"),
    (contrast("Tensorial", compute=lambda *_: torch.zeros(())), "returns a Tensor, which is no number"),
    (contrast("SampleBySample", compute=sample_by_sample), "raises on 150 samples: RuntimeError: The size of tensor"),
    (contrast("Moody", compute=moody), "scores one set differently at a second time"),
    (contrast("FirstOnly", compute=of_the_first_sample), "in another order of its samples differently"),
    (contrast("Standardising", compute=standardising), "changes the samples that it reads"),
]


@pytest.mark.parametrize(("metric", "message"), WRONG, ids=[type(metric).__name__ for metric, _ in WRONG])
def test_a_metric_that_is_wrong_gets_one_line(metric, message):
    with pytest.raises(AssertionError, match=message) as caught:
        check_metric(metric)
    assert "\n" not in str(caught.value)


def test_what_the_wrong_ones_are_made_of_passes():
    check_metric(Contrast())
