"""Sets of stored images or points as metrics see them: X generated, Y real, and what is worked out of each once.

features φ(x), logits   by the extractor of the data, in float64 on the CPU; of points, which have none, φ(x) = x
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from ablations.metrics.extractors.architectures import Extractor, features

CHUNK = 1000
"""Rows of a matrix of distances that are there at once."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Remembering:
    """One or two sets that are judged, with the values computed from them."""

    _known: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, make: Callable[[Self], T]) -> T:
        """The value that `make` works out of it, for all metrics that ask: statistics of real images, say."""
        if make not in self._known:
            self._known[make] = make(self)
        result: T = self._known[make]
        return result


@dataclass(frozen=True, eq=False)
class Examined(_Remembering):
    """A set as metrics see it; `extractor` is None for points, `labels` [N] are the classes, −1 where there is none.

    Labels are None of data, and of samples of a model, that know no classes.
    """

    stored: Tensor
    extractor: Extractor | None = None
    labels: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """Features [N, d] of images, worked out where they lie; points as they are."""
        return self.stored.flatten(1).double().cpu() if self.extractor is None else self._outputs[0]

    @property
    def logits(self) -> Tensor:
        """Logits [N, classes] of images."""
        return self._outputs[1]

    @cached_property
    def _outputs(self) -> tuple[Tensor, Tensor]:
        assert self.extractor is not None, "points have no extractor"
        return features(self.extractor, self.stored, self.stored.device)

    def of_class(self, label: int) -> Tensor:
        """The stored values of a class."""
        assert self.labels is not None, "a metric that reads labels is asked where there are some"
        return self.stored[(self.labels == label).to(self.stored.device)]


@dataclass(frozen=True, eq=False)
class Judged(_Remembering):
    """All that a metric may read of one generated set.

    `real` is what it is held against: training images where the test split is judged, else held-out images or points.
    `held_out` are further real ones, beside training images only; `levels` how many grey levels images have, None
    of points.
    """

    generated: Examined
    real: Examined
    held_out: Examined | None = None
    levels: int | None = None

    @property
    def beside(self) -> Examined:
        """The held-out images, of which a metric that reads them is asked only where there are some."""
        assert self.held_out is not None, "a metric that reads held-out images is asked where there are some"
        return self.held_out


def checked(values: Tensor, metric: str, at_least: int) -> Tensor:
    """Samples, one a row, as float64 on the CPU; ValueError where they are too few or hold what is no number."""
    if values.dim() != 2 or len(values) < at_least:
        raise ValueError(f"{metric} needs at least {at_least} samples, one a row, got the shape {list(values.shape)}")
    if bad := int((~values.isfinite()).any(1).sum()):
        raise ValueError(f"{metric}: {bad} of {len(values)} samples hold values that are not finite")
    return values.double().cpu()


def chunks(x: Tensor) -> tuple[Tensor, ...]:
    """The rows in runs of `CHUNK`."""
    return torch.split(x, CHUNK)


def distances(x: Tensor, y: Tensor) -> Tensor:
    """|x − y| of rows [N, d], [M, d], without the matrix product, which loses half the digits of small distances."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
