"""Every metric by name: those of samples, each a class in a file beside this one, and those that stages measure.

What tables show, what a grid's file may name (`columns`, `expects`), what a search may go by, and what `evaluation.
metrics` may ask for is all read from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ablations.metrics.discrepancies import EnergyDistance, Kid
from ablations.metrics.fid import Fid, Is
from ablations.metrics.metric import LOOSENESS, MEASURED, Kind, Metric, MetricInfo
from ablations.metrics.neighbours import Memorisation, PrecisionMetric, RecallMetric
from ablations.settings.evaluation import Reference, against_test
from ablations.settings.plugins import origin_of
from ablations.settings.registry import class_of, classes
from analysis.errors import InputError
from diffusion_core.refusing import choice_name

DEFAULT: tuple[Metric, ...] = (Fid(), Kid(), Is(), PrecisionMetric(), RecallMetric(), Memorisation(), EnergyDistance())
"""Metrics that every generated set is scored by, where they are for its kind of data."""
SHOWN: tuple[Metric, ...] = (Fid(), Is(), Memorisation(), EnergyDistance())
"""Those of `DEFAULT` that tables show unless more is asked for."""
MEASURED_KINDS = frozenset(column.kind for column in MEASURED)
"""Names that no metric of samples can have."""


def kind_of(extractor: str | None) -> Kind:
    """The kind of data whose extractor is called so."""
    return "points" if extractor is None else "images"


def names() -> list[str]:
    return sorted(classes("metric").keys() - MEASURED_KINDS)


def metric_of(name: str) -> Metric:
    """The metric of samples that is called so; InputError where there is none."""
    if name in MEASURED_KINDS:
        allowed = ", ".join(names())
        raise InputError(f"no metric of samples can be called {name!r}, which stages measure: there are {allowed}")
    cls = class_of("metric", name)
    if not isinstance(getattr(cls, "info", None), MetricInfo):
        raise InputError(f"the metric {name} of {origin_of(cls)} has no info = MetricInfo(…), which tables need")
    metric: Metric = cls()
    return metric


def refuse_foreign(metric: Metric, name: str, extractor: str | None) -> None:
    """InputError where a metric is not for data whose extractor is called so."""
    kind = kind_of(extractor)
    if kind not in metric.info.of:
        fit = ", ".join(other for other in names() if kind in metric_of(other).info.of)
        raise InputError(
            f"{name} is a metric of {' and '.join(metric.info.of)}, and this data is of {kind}: take {fit}"
        )


def shown_metrics(
    extractor: str | None,
    *,
    reference: Reference | None = None,
    likelihoods: Collection[str] = (),
    asked: Iterable[str] = (),
    claimed: Iterable[str] = (),
    n: int,
) -> list[MetricInfo]:
    """The metrics that tables show, in order.

    The bound, further `likelihoods` by the fields that ask for them and, where `n` generated images or points in all
    sets together are judged (0: none), against the `reference`, what is shown of these by default, what is `asked` for
    by name, and what claims are of.
    """
    beside = [column for column in MEASURED if column.is_likelihood or column.name == LOOSENESS]
    shown = [column for column in beside if column.asked_by in (None, *likelihoods)]
    wanted = [metric_of(name) for name in asked] if n else []
    default = [metric for metric in SHOWN if n and is_for(metric, extractor, reference)]
    for metric in dict.fromkeys([*default, *wanted, *map(metric_of, claimed if n else ())]):
        column = metric.column(against_test(extractor, reference), extractor, n)
        shown.append(replace(column, asked=metric in wanted))
    return shown


def is_default(name: str, extractor: str | None) -> bool:
    """True where every generated set of such data is scored by the metric of this name."""
    return any(choice_name(metric) == name and kind_of(extractor) in metric.info.of for metric in DEFAULT)


def is_for(metric: Metric, extractor: str | None, reference: Reference | None = None) -> bool:
    """True where a metric judges samples of such data at the test split: of what reads test images beside the training
    images there is nothing where samples are held against the test images themselves."""
    return kind_of(extractor) in metric.info.of and not (metric.info.reads_held_out and reference == "test")


def column_of(name: str, extractor: str | None) -> MetricInfo:
    """The column of a measured metric that a grid's file names."""
    column = next(column for column in MEASURED if column.name == name)
    return replace(column, name=name.format(extractor=extractor))


def facts() -> dict[str, MetricInfo]:
    """Every metric by the name that claims and searches call it: of measured ones the first column of the kind."""
    metrics: dict[str, type[Metric]] = classes("metric")
    measured: dict[str, MetricInfo] = {}
    for column in MEASURED:
        measured.setdefault(column.kind, column)
    return measured | {name: metrics[name].column("train", "extractor") for name in names()}


def fact_of(column: str) -> MetricInfo:
    """The column that describes the metric of a column of runs.csv or trials.csv: that of nll for nll/val."""
    return facts()[column.split("/")[0]]


def directed_metrics() -> dict[str, MetricInfo]:
    """Metrics of which one end is better, so that claims can be made of them."""
    return {name: info for name, info in facts().items() if info.sign}


def objectives() -> dict[str, MetricInfo]:
    """Metrics among them that one set of validation data can give, so that a search may go by them."""
    return {name: info for name, info in directed_metrics().items() if not info.reads_held_out and not info.pools}
