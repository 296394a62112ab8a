"""The cost of a cell, and which cells are worth theirs.

    training    FLOPs = 3 × forward pass × images seen where cells differ in them, else seconds on this machine;
                in latents with those of the autoencoder, which is all that a VAE takes; with those of a training that
                guides a cell's samples
    sampling    seconds an image or a point

FLOPs are exact and alike on every machine, but know nothing of what is done beside the network; seconds know it, but
also what else the machine did. So a difference of cost counts only where it is known: more than 1 % of FLOPs, or more
than 5 % of seconds in the mean, and more at each seed.

    front = {i : no cell that is not known to cost more than i is known to be better than i}

"Known to be better" is what the table's marks say (`standing`). At equal costs the front is the cells that bear one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.findings.cells import CellRuns
from analysis.findings.spaces import in_latents
from analysis.findings.values import by_kind, kinds_of, table_of
from analysis.findings.verdicts import Findings
from analysis.format.grid_json import ShownMetric
from analysis.format.names import AUTOENCODER, LIKELIHOOD
from analysis.read.runs import GridResults
from analysis.statistics.pareto import pareto_front

SAME_FLOPS = 0.01
SAME_SECONDS = 0.05
"""Seconds that differ by less are one cost, however surely they differ."""
TRAIN_FLOPS, AUTOENCODER_FLOPS, TOTAL_FLOPS = "cost/train_flops", "cost/autoencoder_flops", "cost/total_flops"
TRAIN_SECONDS = ("cost/train_seconds", "cost/autoencoder_seconds", "cost/guide_seconds")
"""The seconds of a diffusion, of its autoencoder, and of the training that guides its samples."""
_SHARED_BY = {"cost/autoencoder_seconds": AUTOENCODER, "cost/guide_seconds": "seed"}
"""The columns that tell trainings beside the diffusion's own apart, whose stages bear the training's id."""
SAMPLE_FLOPS, SAMPLE_SECONDS = "cost/sample_flops", "cost/sample_seconds"
FORWARD_FLOPS, PARAMETERS, MEMORY = "cost/flops_per_image", "cost/parameters", "cost/peak_memory_bytes"


@dataclass(frozen=True, eq=False)
class Cost:
    """One kind of cost; `values` are seed → cost of each cell, empty where it is not known; `on` is the machine, and
    `kinds` are seed → the kind of machine of each cell: seconds are compared within a kind.

    What is known is above 0: a cost of nothing is one that the cell does not have.
    """

    label: str
    unit: str
    exact: bool
    values: tuple[dict[int, float], ...]
    on: str | None = None
    kinds: tuple[dict[int, str], ...] = ()

    @property
    def head(self) -> str:
        """The cost with its unit and machine, as it stands at an axis."""
        return f"{self.label} ({self.unit})" + (f", {self.on}" if self.on else "")

    def mean(self, i: int) -> float:
        """The mean over the seeds of cell i; nan where none is known."""
        return float(np.mean(list(self.values[i].values()))) if self.values[i] else math.nan

    def dearer(self, a: int, b: int) -> bool:
        """True where cell a is known to cost more than cell b. One seed's seconds are taken as they are."""
        return bool(self.known_dearer[a, b])

    @cached_property
    def known_dearer(self) -> NDArray[np.bool_]:
        """[a, b]: whether cell a is known to cost more than cell b."""
        if self.exact:
            means = np.array([self.mean(i) for i in range(len(self.values))])
            return np.asarray(means[:, None] > (1 + SAME_FLOPS) * means)
        made = by_kind(self.kinds or ({},) * len(self.values), self.values)
        return _surely_longer(np.log(table_of(made, sorted({column for of in made for column in of}))))

    @cached_property
    def differs(self) -> bool:
        """True where any cell is known to cost more than another."""
        return bool(self.known_dearer.any())


def _surely_longer(logs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[a, b]: whether a took longer than b, from the logarithms of their seconds [cell, seed], nan where not known."""
    longer = np.zeros((len(logs), len(logs)), dtype=np.bool_)
    # A row at a time: the pairs of thousands of cells are many.
    for a in range(len(logs)):
        ratio = logs[a] - logs
        common = np.isfinite(ratio)
        mean = np.where(common, ratio, 0).sum(1) / np.maximum(common.sum(1), 1)
        longer[a] = (mean > math.log(1 + SAME_SECONDS)) & (ratio > 0).any(1) & ~(ratio <= 0).any(1)
    return longer


@dataclass(frozen=True, eq=False)
class Costs:
    """The costs of a grid's cells, by every measure."""

    grid: GridResults
    cells: Sequence[CellRuns]

    @cached_property
    def train_flops(self) -> Cost:
        """The FLOPs of training as the runs state them, else 3 × forward pass × images seen: a backward pass takes two
        forward passes."""
        values = tuple(_train_flops(cell) for cell in self.cells)
        return Cost(f"training{included(self.cells)}", "FLOPs", True, values)

    @cached_property
    def train_seconds(self) -> Cost:
        """The seconds of training the diffusion and, where there are such, its autoencoder and its guide."""
        values = tuple(_summed(cell, *TRAIN_SECONDS) for cell in self.cells)
        return self._seconds(f"training time{included(self.cells)}", values)

    @property
    def training(self) -> Cost:
        """The cost of training: FLOPs where cells differ in them, else seconds."""
        flops, seconds = self.train_flops, self.train_seconds
        return flops if flops.differs or not any(seconds.values) else seconds

    @cached_property
    def sampling(self) -> Cost:
        """The cost of sampling: seconds a sample, or those of all samples where their number is not known."""
        n = (self.grid.meta.quality_n or 0) * (self.grid.meta.quality_sets or 1)
        values = tuple(
            {seed: seconds / (n or 1) for seed, seconds in _summed(cell, SAMPLE_SECONDS).items()} for cell in self.cells
        )
        label = f"sampling time per {self.grid.meta.example}" if n else "sampling time"
        return self._seconds(label, values)

    def _seconds(self, label: str, values: tuple[dict[int, float], ...]) -> Cost:
        return Cost(label, "s", False, values, self.grid.meta.device, tuple(kinds_of(self.cells)))

    @cached_property
    def work(self) -> float:
        """The seconds of workers that the grid took in all; 0 where they are not known."""
        return work_seconds(self.grid.runs)

    @cached_property
    def one_training(self) -> bool:
        """True where the cells of each seed are all read from one training."""
        return bool((self.grid.runs.groupby("seed")["training_id"].nunique() == 1).all())

    def of(self, metric: ShownMetric) -> list[Cost]:
        """The costs at which a metric is bought: of training, unless all cells share it, and of drawing samples.

        A likelihood takes no samples; and time to sample that no two cells are known to differ in decides nothing.
        """
        if len(self.cells) < 2:
            return []
        costs = [] if self.one_training else [self.training]
        if metric.decides != LIKELIHOOD and self.sampling.differs:
            costs.append(self.sampling)
        return [cost for cost in costs if sum(bool(values) for values in cost.values) > 1]


@dataclass(frozen=True, eq=False)
class Purchase:
    """The price of a metric in one kind of cost, and which cells are on the Pareto front of the two."""

    answer: Findings
    cost: Cost
    front: tuple[bool, ...]


def work_seconds(runs: pd.DataFrame) -> float:
    """The seconds of workers that runs took in all, whichever command ran them: of training, scoring and drawing. A
    stage that several runs share counts once: it gave them the same seconds."""
    columns = [str(name) for name in runs if re.fullmatch(r"cost/\w+_seconds", str(name))]
    parts = (runs[["seed", _SHARED_BY.get(name, "training_id"), name]].drop_duplicates()[name] for name in columns)
    return float(sum(part.sum() for part in parts))


def front_of_cells(answer: Findings, cost: Cost) -> list[bool]:
    """Per cell, whether it is on the front of a metric; by their values alone where one seed gives no interval."""
    means = [estimate.mean for estimate in answer.estimates]
    beaten = answer.standing.beaten
    if all(better is None for better in beaten):
        return pareto_front([cost.mean(i) for i in range(len(means))], means, answer.metric.sign)

    def kept(i: int) -> bool:
        rivals = beaten[i]
        return rivals is not None and all(not cost.values[j] or cost.dearer(j, i) for j in rivals)

    return [bool(cost.values[i]) and kept(i) for i in range(len(means))]


def included(cells: Sequence[CellRuns]) -> str:
    """The words that a cost of training adds where some cells have an autoencoder, or are guided by another."""
    guided = any(cell.parameter("guidance.by") == "cell" for cell in cells)
    parts = [("autoencoder", any(in_latents(cell) for cell in cells)), ("guide", guided)]
    named = " and ".join(part for part, has in parts if has)
    return f", {named} included" if named else ""


def _summed(cell: CellRuns, *metrics: str) -> dict[int, float]:
    """Seed → what is known of these metrics in all."""
    total: dict[int, float] = {}
    for metric in metrics:
        for seed, value in cell.estimate(metric).values.items():
            total[seed] = total.get(seed, 0.0) + value
    return {seed: value for seed, value in total.items() if value > 0}


def _train_flops(cell: CellRuns) -> dict[int, float]:
    stated = _summed(cell, TOTAL_FLOPS) or _summed(cell, TRAIN_FLOPS, AUTOENCODER_FLOPS)
    steps, batch = cell.parameter("training.steps"), cell.parameter("training.batch")
    if stated or not (steps and batch):
        return stated
    images = float(steps) * float(batch)
    return {seed: 3 * forward * images for seed, forward in cell.estimate(FORWARD_FLOPS).values.items()}
