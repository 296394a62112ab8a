"""The rate of wrong claims where means span a wide range and noise is skewed, by the scale of the comparison.

A value is a skewed function of a normal variate, so its mean and that of its logarithm are known by quadrature. On
either scale, cells that do not differ have one mean on that scale, and an interval is held to the difference there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.findings.summary import SPAN
from analysis.findings.values import log_of_mean
from analysis.statistics.families import ALPHA
from analysis.statistics.variances import Array
from evidence.inference_grids import IMAGES, chunks
from evidence.inference_rules import Bools, against_first, claimed, excluded, moments_of
from evidence.inference_tables import COVERAGE, MOST, Table, generator

SPANS = (2.0, 5.0, 10.0, 100.0)
SIZES = [(k, n) for k in (3, 11, 27) for n in (3, 5, 8)]
"""Cells, the baseline among them, and seeds."""
WITH_IMAGES = [(11, 3), (11, 8)]
FROM = (math.inf, 10.0, 5.0, 3.0, 2.0, 0.0)
"""The spans of means above which values are compared by their logarithm: never, some, always."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
_UNEQUAL = 0.6
_BY_IMAGE = 0.15
"""The SD of logs over images, which has been 0.1 to 0.37 in committed grids."""


def _skewed(z: Array) -> Array:
    """A standard exponential variate, of a standard normal one."""
    return -special.log_ndtr(-z)


@dataclass(frozen=True)
class Noise:
    """Values of a cell at a level, by a standard normal variate; `size` is that of the noise, times exp(0.6 z) by
    cell."""

    name: str
    size: float
    value: Callable[[Array, Array, Array], Array]
    """Values by variate, level and size of the noise."""
    by_image: bool = False


NOISES = [
    Noise("log-normal, 0.05", 0.05, lambda z, level, size: level * np.exp(size * z)),
    Noise("log-normal, 0.3", 0.3, lambda z, level, size: level * np.exp(size * z)),
    Noise("log-normal, 1", 1.0, lambda z, level, size: level * np.exp(size * z)),
    Noise(
        "log-normal above 0.95, 0.3", 0.3, lambda z, level, size: 0.95 + (level - 0.95) * np.exp(size * z - size**2 / 2)
    ),
    Noise("exponential, 0.3", 0.3, lambda z, level, size: level * (1 + np.minimum(size, 0.9) * (_skewed(z) - 1))),
    Noise("normal, 0.02 of the least", 0.02, lambda z, level, size: level + np.minimum(size, 0.05) * z),
]
IMAGED = [Noise(f"log-normal, {size:g}; images", size, NOISES[0].value, by_image=True) for size in (0.02, 0.3)]


@dataclass(frozen=True)
class Wrong:
    """The errors in each grid on one scale: whether the list claims a difference that is none, whether a best cell
    is lost, and the share of the differences' intervals that do not hold the truth; and the `span` of its means."""

    false: Bools
    lost: Bools
    missed: Array
    span: Array


def scale_tables(replicates: int) -> list[str]:
    """Shares of grids that are wrong, by the span above which values are compared by their logarithm."""
    rows = {
        f"{noise.name}; span {span:g}": worst(noise, span, replicates) for noise in (*NOISES, *IMAGED) for span in SPANS
    }
    tables = [{name: part[i] for name, part in rows.items()} for i in range(3)]
    words = {math.inf: "never", 0.0: "always", SPAN: f"above {SPAN:g} (the rule)"}
    head = ["noise", *(words.get(limit, f"above {limit:g}") for limit in FROM)]
    of = ", ".join(str(k) for k in sorted({k for k, _ in SIZES}))
    return [
        "## The scale of the comparison",
        "",
        "Half of the cells do not differ from the baseline, which has the least mean or the largest; from there the",
        "means of the others go on to the other end of the span. Noise multiplies a cell's level, but for what a row",
        f"says; its size, of logs where it is log-normal, is times exp({_UNEQUAL:g} z) by cell. Values are compared by",
        "their logarithm where the means that a grid shows span more than a column says. On either scale, cells that",
        f"do not differ have one mean on that scale. The worst of k = {of} cells, the baseline among them, and",
        f"n = 3, 5, 8 seeds, {replicates} grids each; with {IMAGES} images, whose logs have an SD of {_BY_IMAGE:g}",
        "times the same, and as much again from seed to seed, of k = 11 and n = 3, 8.",
        "",
        f"The list against the baseline claims a difference that is none. Target: at most {MOST:g}.",
        "",
        *Table(tables[0], MOST).lines(head),
        "The baseline is one of the best cells, and is not among those that may be the best, or the list has a better",
        f"one. Target: at most {MOST:g}.",
        "",
        *Table(tables[1], MOST).lines(head),
        f"Coverage of the 95 % interval of a difference with the baseline. Target: at least {COVERAGE:g}.",
        "",
        *Table(tables[2], COVERAGE, least=True).lines(head),
    ]


def worst(noise: Noise, span: float, replicates: int) -> tuple[list[float], list[float], list[float]]:
    """The largest rates of false and lost, and the least coverage, by the limits of `FROM`."""
    false, lost, held = [], [], []
    for k, n in WITH_IMAGES if noise.by_image else SIZES:
        for baseline_is_least in (True, False):
            both = drawn(noise, levels(k, span, least_first=baseline_is_least), n, replicates)
            rates = np.array([at_limit(*both, limit) for limit in FROM])
            false.append(rates[:, 0])
            held.append(rates[:, 2])
            if baseline_is_least:
                lost.append(rates[:, 1])
    return np.max(false, 0).tolist(), np.max(lost, 0).tolist(), np.min(held, 0).tolist()


def levels(k: int, span: float, *, least_first: bool) -> Array:
    """The levels of k cells, half of them the first one's and the others evenly spaced in logs to the other end."""
    half = (k + 1) // 2
    places = np.concatenate([np.zeros(half), np.linspace(0, 1, k - half + 1)[1:]])
    return np.asarray(span ** (places if least_first else 1 - places))


def at_limit(linear: Wrong, log: Wrong, limit: float) -> tuple[float, float, float]:
    """Rates of false and of lost, and coverage, where grids whose means span more than a limit are compared in logs."""
    as_is, in_logs = linear.span <= limit, log.span > limit
    false = (linear.false & as_is) | (log.false & in_logs)
    lost = (linear.lost & as_is) | (log.lost & in_logs)
    missed = np.concatenate([linear.missed[as_is], log.missed[in_logs]])
    return 100 * float(false.mean()), 100 * float(lost.mean()), 100 * (1 - float(missed.mean()))


def drawn(noise: Noise, level: Array, n: int, replicates: int) -> tuple[Wrong, Wrong]:
    """The same grids on the linear scale and on that of logarithms, each with levels that are means there."""
    rng, parts = generator(11, len(level), n), []
    each = len(level) * n * (IMAGES if noise.by_image else 1)
    for count in chunks(replicates, 4 * each):
        size = noise.size * np.exp(_UNEQUAL * rng.normal(size=(count, len(level), 1)))
        values = noise.value(rng.normal(size=(count, len(level), n)), level[:, None], size)
        nodes = noise.value(_NODES, level[:, None], size)
        centre = nodes @ _WEIGHTS / _WEIGHTS.sum(), np.log(nodes) @ _WEIGHTS / _WEIGHTS.sum()
        images = _images(rng, values.shape) if noise.by_image else None
        parts.append([_wrong(values, images, mean[..., None], level, log=i > 0) for i, mean in enumerate(centre)])
    return _joined([part[0] for part in parts]), _joined([part[1] for part in parts])


def _images(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Factors of mean 1 by image [grids, k, n, images], in part alike at all seeds."""
    size = np.minimum(_BY_IMAGE * np.exp(_UNEQUAL * rng.normal(size=(*shape[:2], 1, 1))), 0.5)
    logs = rng.normal(size=(*shape[:2], 1, IMAGES)) + rng.normal(size=(*shape, IMAGES))
    return np.asarray(np.exp(size * logs - size**2))


def _wrong(values: Array, images: Array | None, centre: Array, level: Array, *, log: bool) -> Wrong:
    """The errors on one scale, on which cells have their level as the mean."""
    at = values * np.exp(np.log(level)[:, None] - centre) if log else values * (level[:, None] / centre)
    if images is not None:
        at = at[..., None] * images
    means = at.reshape(*at.shape[:2], -1).mean(-1)
    shown = at if not log else np.log(at) if images is None else log_of_mean(at)
    truth = np.log(level) if log else level
    moments = moments_of(against_first(shown))
    different, _ = claimed(moments)
    none = (level == level[0])[1:]
    # Less is better.
    worse = (different & (moments.mean < 0)).any(-1)
    missed = np.abs(moments.mean - (truth[1:] - truth[0])) > moments.half_width(ALPHA)
    return Wrong(
        (different & none).any(-1), excluded(-shown, 0) | worse, missed.mean(-1), means.max(-1) / means.min(-1)
    )


def _joined(parts: list[Wrong]) -> Wrong:
    """Grids that were drawn one after another."""
    return Wrong(*(np.concatenate([getattr(part, name) for part in parts]) for name in Wrong.__dataclass_fields__))
