"""Checks that every choice of the experiment passes, for an author to run on a class of his own.

    from ablations.testing import check
    check(MyDigits(root="/data/mine"))

`check` takes a choice of any axis, those of the core included (`diffusion_core.testing`), or a class of them, of which
it takes a choice for every value of the fields that are one of a few words. It raises an AssertionError, in one line
that says which rule is broken and by what, or returns. What is checked is in a module per axis, a function per rule.

    check_data         three splits of one shape, the same however often they are read, and codes that judge a bits/dim
    check_extractor    features as wide as declared, of each image alone, from weights that a file can hold
    check_metric       a number of any order of the samples, better for real ones than for noise
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ablations.data.base import DataSet
from ablations.metrics.extractors.architectures import Architecture
from ablations.metrics.metric import Metric
from ablations.testing import data, extractors
from ablations.testing.metrics import check_metric
from diffusion_core import testing as core
from diffusion_core.testing.saying import run
from diffusion_core.testing.variants import variants


def check_data(data_set: DataSet) -> None:
    """AssertionError, in one line, unless this is a data set; it is read twice."""
    run(data.PROPERTIES, data_set)


def check_extractor(architecture: Architecture) -> None:
    """AssertionError, in one line, unless features can come from this network, with whatever weights it has."""
    run(extractors.PROPERTIES, architecture)


CHECKS: dict[type, Callable[[Any], None]] = {
    **core.CHECKS,
    DataSet: check_data,
    Architecture: check_extractor,
    Metric: check_metric,
}
"""The check of each axis, by the base class of its choices."""


def check(choice: object, data_set: DataSet | None = None) -> None:
    """AssertionError, in one line, unless this is a choice of its axis; of a class, unless each of its variants is.

    A metric is tried on `data_set`, by default on digits or points.
    """
    cls = choice if isinstance(choice, type) else type(choice)
    bases = [base for base in CHECKS if issubclass(cls, base)]
    if not bases:
        names = ", ".join(sorted(base.__name__ for base in CHECKS))
        raise TypeError(f"{cls.__name__} is a choice of no axis: its class must derive from one of {names}")
    for instance in variants(cls) if isinstance(choice, type) else [choice]:
        if isinstance(instance, Metric):
            check_metric(instance, data_set)
        else:
            CHECKS[bases[0]](instance)
