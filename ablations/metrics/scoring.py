"""The reference that a cell's samples are scored against: real images, with their features by the data's extractor.

test          against the training images, points against the test points; or as `evaluation.reference` says
validation    against the validation images or points: for searches, which read no test data
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ablations.data.base import Data, DataSet, Split
from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import Extractor
from ablations.metrics.metric import Comparison, FeatureSet, Metric
from ablations.metrics.registry import DEFAULT, kind_of
from ablations.settings.cell import Cell
from ablations.settings.evaluation import SHORT, HeldOut, against_test
from diffusion_core.encodings import GreyLevels


@dataclass(frozen=True, eq=False)
class Reference:
    """The real data that generated sets are held against at a split; `against` is what columns call it."""

    against: str
    real: FeatureSet
    held_out: FeatureSet | None
    levels: int | None

    @property
    def extractor(self) -> str | None:
        return self.real.extractor.name if self.real.extractor else None

    def comparison(self, stored: Tensor, labels: Tensor | None = None) -> Comparison:
        """A generated set as metrics see it."""
        return Comparison(FeatureSet(stored, self.real.extractor, labels), self.real, self.held_out, self.levels)

    def values(
        self, metrics: Iterable[Metric], sets: Sequence[Tensor], labels: Sequence[Tensor] | None = None
    ) -> dict[str, list[float]]:
        """The values of disjoint generated sets, each of stored images or points, by column; `labels` are those of
        each. A metric that pools has one of all sets together."""
        n = sum(map(len, sets))
        named = {metric.column(self.against, self.extractor, n).name: metric for metric in metrics}
        pooled = {name: metric for name, metric in named.items() if metric.info.pools}
        values = self._values({name: named[name] for name in named if name not in pooled}, sets, labels)
        if pooled:
            values |= self._values(pooled, [torch.cat([*sets])], [torch.cat([*labels])] if labels else None)
        return values

    def _values(
        self, named: Mapping[str, Metric], sets: Sequence[Tensor], labels: Sequence[Tensor] | None
    ) -> dict[str, list[float]]:
        values: dict[str, list[float]] = {name: [] for name in named}
        for i, stored in enumerate(sets):
            # One at a time: of many images, the features alone take much memory.
            comparison = self.comparison(stored, labels[i] if labels else None)
            for name, metric in named.items():
                values[name].append(float(metric.compute(comparison)))
        return values

    @property
    def default(self) -> list[Metric]:
        """The metrics that every generated set is judged by."""
        fit = [metric for metric in DEFAULT if kind_of(self.extractor) in metric.info.of]
        return [metric for metric in fit if self.held_out is not None or not metric.info.reads_held_out]


def real_split_of(cell: Cell, split: HeldOut) -> Split:
    """The split of the real data that a cell's samples judged at a split are held against."""
    return against_test(cell.data.extractor, cell.evaluation.reference) if split == "test" else split


def against(cell: Cell, split: HeldOut) -> str:
    """The same as columns call it."""
    real = real_split_of(cell, split)
    return "train" if real == "train" else SHORT[real]


def set_size(cell: Cell, split: HeldOut) -> int:
    """The number of images or points in a generated set."""
    return cell.evaluation.n or len(cell.data.load().images[split])


def reference_of(cell: Cell, split: HeldOut, data: Data, device: torch.device) -> Reference:
    """The reference that a cell's generated sets are held against at a split."""
    levels = data.encoding.levels if isinstance(data.encoding, GreyLevels) else None
    real, extractor = real_split_of(cell, split), extractor_of(cell.data.extractor, cell.evaluation.weights)
    held_out = FeatureSet(data.images["test"].to(device), extractor, data.labels.get("test"))
    beside = held_out if extractor is not None and real == "train" else None
    reference = real_features(cell.data, cell.evaluation.weights, real, device)
    return Reference(against(cell, split), reference, beside, levels)


def extractor_identity(cell: Cell) -> str | None:
    """The identity of what a cell's samples will be judged by, for a plan; ValueError where it cannot be read.

    None for points.
    """
    name, weights = cell.data.extractor, cell.evaluation.weights
    if name is None and weights:
        raise ValueError("evaluation.weights is of an extractor of images, and this data is of points: leave it out")
    return None if name is None else extractors.identity(name, extractors.weights_file(name, weights))


@lru_cache(maxsize=2)
def extractor_of(name: str | None, weights: str | None) -> Extractor | None:
    """The extractor that judges samples, with its weights; None for points."""
    return None if name is None else extractors.load(name, extractors.weights_file(name, weights))


@lru_cache(maxsize=2)
def real_features(data: DataSet, weights: str | None, split: Split, device: torch.device) -> FeatureSet:
    """Real images as a data set's extractor sees them: worked out once in a worker, however many cells it judges."""
    whole, extractor = data.load(), extractor_of(data.extractor, weights)
    return FeatureSet(whole.images[split].to(device), extractor, whole.labels.get(split))
