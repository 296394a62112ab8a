"""Rules for every metric of samples, as a check that an author runs on a metric of his own.

    from ablations.testing.metrics import check_metric

    def test_mine():
        check_metric(Mine())

It is tried on a few hundred held-out real samples, and on noise: digits or points, or what the metric is for.
"""

from __future__ import annotations

import dataclasses
import math
from typing import get_args

import torch
from torch import Tensor

from ablations.data.base import Data, DataSet, Split
from ablations.data.digits import Digits
from ablations.data.mixture2d import Mixture2d
from ablations.metrics import extractors
from ablations.metrics.judging import Yardstick
from ablations.metrics.measured import MEASURED
from ablations.metrics.metric import Direction, Kind, Metric, Part
from ablations.metrics.registry import kind_of
from ablations.metrics.sets import Examined, Judged
from ablations.settings.plugins.classes import is_frozen
from diffusion_core.encodings import GreyLevels
from diffusion_core.named import choice_name, line_in

N, REAL = 150, 200
"""Samples that a metric is tried on, and real ones that they are held against: seldom are these as many."""
FARTHER = 3
"""The factor by which noise is spread wider than points are."""
CLOSE = 1e-6
"""The difference that rounding may make to a score where samples come in another order."""


SETS: dict[Kind, DataSet] = {"images": Digits(), "points": Mixture2d()}
"""Data that a metric is tried on, unless others are given."""


def check_metric(metric: Metric, data_set: DataSet | None = None) -> None:
    """AssertionError, in one line, at the first thing that is wrong with a metric, which is tried on `data_set`."""
    name = choice_name(metric)
    _check_declared(name, metric)
    for tried in [SETS[kind] for kind in metric.info.of] if data_set is None else [data_set]:
        kind, info = kind_of(tried.extractor), metric.info
        _require(kind in info.of, name, f"is of {' and '.join(info.of)}, and {choice_name(tried)} is of {kind}")
        yardstick, real, noise, labels = _tried(tried)
        value = _value(name, metric, yardstick, real, labels)
        second = _value(name, metric, yardstick, real, labels)
        _require(second == value, name, "scores one set differently at a second time")
        order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
        again = _value(name, metric, yardstick, real[order], None if labels is None else labels[order])
        same = math.isclose(again, value, rel_tol=CLOSE, abs_tol=CLOSE)
        _require(same, name, f"scores a set in another order of its samples differently: {value:.6g}, then {again:.6g}")
        worse = _value(name, metric, yardstick, noise, labels)
        better = {"min": value < worse, "max": value > worse, "none": True}[info.direction]
        _require(
            better,
            name,
            f"has direction {info.direction}, and scores real {kind} {value:.6g}, no better than noise, {worse:.6g}",
        )


def _check_declared(name: str, metric: Metric) -> None:
    """Check what a metric declares of itself."""
    cls = type(metric)
    _require(is_frozen(cls), name, "is no frozen dataclass")
    lacking = [field.name for field in dataclasses.fields(cls) if _has_no_default(field)]  # type: ignore[arg-type]
    _require(not lacking, name, f"has no default for {', '.join(lacking)}: text asks for a metric by its name alone")
    info = metric.info
    _require(_is_word(info.label), name, f"has the label {info.label!r}, which is no text")
    _require_one_of(name, "direction", info.direction, get_args(Direction))
    _require_one_of(name, "part", info.part, (None, *get_args(Part)))
    for attribute in ("unit", "decides"):
        value = getattr(info, attribute)
        _require(value is None or _is_word(value), name, f"has {attribute} = {value!r}, which is neither None nor text")
    digits = info.digits
    whole = digits is None or (isinstance(digits, int) and not isinstance(digits, bool) and digits >= 0)
    _require(whole, name, f"has digits = {digits!r}, which is no number of decimals")
    kinds = set(get_args(Kind))
    _require(bool(info.of) and set(info.of) <= kinds, name, f"is of {info.of!r}: take some of {sorted(kinds)}")
    _require(not (info.decides and info.direction == "none"), name, f"decides {info.decides}, and has no direction")
    measured = {column.kind for column in MEASURED}
    _require(name not in measured, name, "has the name of a metric that stages measure: give the class another")


def _value(name: str, metric: Metric, yardstick: Yardstick, stored: Tensor, labels: Tensor | None) -> float:
    """A metric's score of a set; AssertionError where it is none, or what the metric read has changed."""
    judged = yardstick.judged(stored.clone(), None if labels is None else labels.clone())
    read = _readable(judged)
    before = [values.clone() for values in read]
    try:
        value = metric.compute(judged)
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split()) + line_in(error, [type(metric)])
        raise AssertionError(f"metric {name} raises on {len(stored)} samples: {line}") from error
    _require(isinstance(value, (int, float)), name, f"returns a {type(value).__name__}, which is no number")
    _require(math.isfinite(value), name, f"scores {len(stored)} samples {value}, which is not finite")
    unchanged = all(torch.equal(now, then) for now, then in zip(read, before, strict=True))
    _require(unchanged, name, "changes the samples that it reads")
    return float(value)


def _readable(judged: Judged) -> list[Tensor]:
    examined = [judged.generated, judged.real, *([judged.held_out] if judged.held_out else [])]
    return [
        values
        for samples in examined
        for values in (
            samples.stored,
            samples.features,
            *([samples.logits] if samples.extractor else []),
            *([] if samples.labels is None else [samples.labels]),
        )
    ]


def _tried(data_set: DataSet) -> tuple[Yardstick, Tensor, Tensor, Tensor | None]:
    """A yardstick, held-out real samples, noise, and the labels of both where there are some."""
    generator = torch.Generator().manual_seed(1)
    data = data_set.load()
    extractor = None if data_set.extractor is None else extractors.load(data_set.extractor)
    real, labels = data.images["validation"][:N], _labels(data, "validation")
    train, test = (
        Examined(data.images[split][:REAL], extractor, _labels(data, split, REAL)) for split in ("train", "test")
    )
    if isinstance(data.encoding, GreyLevels):
        assert extractor is not None, "images have an extractor"
        noise = torch.randint(data.encoding.levels, real.shape, generator=generator, dtype=torch.uint8)
        return Yardstick("train", train, test, data.encoding.levels), real, noise, labels
    reach = FARTHER * float(data.images["test"].abs().max())
    noise = reach * (2 * torch.rand(N, *data.shape, generator=generator, dtype=real.dtype) - 1)
    return Yardstick("test", test, None, None), real, noise, labels


def _labels(data: Data, split: Split, count: int = N) -> Tensor | None:
    return data.labels[split][:count] if split in data.labels else None


def _has_no_default(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _require_one_of(name: str, attribute: str, value: object, allowed: tuple[object, ...]) -> None:
    words = ", ".join(map(repr, allowed))
    _require(value in allowed, name, f"has {attribute} = {value!r}, which is none of {words}")


def _require(holds: bool, name: str, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"metric {name} {otherwise}")
