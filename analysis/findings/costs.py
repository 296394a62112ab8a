"""The costs of cells, and which cells are worth theirs.

    training    FLOPs = 3 × forward pass × images seen where cells differ in them, else seconds on this machine;
                in latents including the autoencoder's, which are all that a VAE has; and including those of a
                training that guides the cell's samples
    sampling    seconds per image or point

FLOPs are exact and the same on every machine, but leave out all work beside the network. Seconds include that work, and
also what else the machine did. So a difference of cost counts only if it is known: more than 1 % of FLOPs, or more than
5 % of seconds in the mean and more at each seed.

    front = {i : no cell that is not known to cost more than i is known to be better than i}

"Known to be better" has the same meaning as for the table's marks (`standing`). At equal costs, the front is the cells
that may be the best.
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
from analysis.grid_json import ShownMetric
from analysis.read.runs import GridResults
from analysis.schema import AUTOENCODER, LIKELIHOOD
from analysis.statistics.pareto import pareto_front

SAME_FLOPS = 0.01
SAME_SECONDS = 0.05
"""The share by which seconds must differ to count as different costs, however certain the difference is."""
TRAIN_FLOPS, AUTOENCODER_FLOPS, TOTAL_FLOPS = "cost/train_flops", "cost/autoencoder_flops", "cost/total_flops"
TRAIN_SECONDS = ("cost/train_seconds", "cost/autoencoder_seconds", "cost/guide_seconds")
"""The seconds of a diffusion, of its autoencoder, and of the training that guides its samples."""
_SHARED_BY = {"cost/autoencoder_seconds": AUTOENCODER, "cost/guide_seconds": "seed"}
"""Column of seconds → the column that identifies the training they are of, where this is not the diffusion's own."""
SAMPLE_FLOPS, SAMPLE_SECONDS = "cost/sample_flops", "cost/sample_seconds"
FORWARD_FLOPS, PARAMETERS, MEMORY = "cost/flops_per_image", "cost/parameters", "cost/peak_memory_bytes"


@dataclass(frozen=True, eq=False)
class Cost:
    """One kind of cost. `values` are seed → cost for each cell, empty where unknown; `on` is the machine that was
    timed, and `kinds` are seed → kind of machine for each cell: seconds are compared only within a kind.

    Known costs are above 0: a cell does not have a cost of 0. `exact` is True of FLOPs.
    """

    label: str
    unit: str
    exact: bool
    values: tuple[dict[int, float], ...]
    on: str | None = None
    kinds: tuple[dict[int, str], ...] = ()

    @property
    def head(self) -> str:
        """The label of an axis that shows the cost, with its unit and machine."""
        return f"{self.label} ({self.unit})" + (f", {self.on}" if self.on else "")

    def mean(self, i: int) -> float:
        """The mean over the seeds of cell i; nan where none is known."""
        return float(np.mean(list(self.values[i].values()))) if self.values[i] else math.nan

    def dearer(self, a: int, b: int) -> bool:
        """True where cell a is known to cost more than cell b. Seconds of a single seed are compared as they are."""
        return bool(self.known_dearer[a, b])

    @cached_property
    def known_dearer(self) -> NDArray[np.bool_]:
        """A table [a, b], True where cell a is known to cost more than cell b."""
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
    """A table [a, b], True where a surely took longer than b; `logs` are of seconds [cell, seed], nan if unknown."""
    longer = np.zeros((len(logs), len(logs)), dtype=np.bool_)
    # A row at a time, because thousands of cells have too many pairs for one array.
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
        """The seconds of training the diffusion, its autoencoder and its guide, as far as a cell has these."""
        values = tuple(_summed(cell, *TRAIN_SECONDS) for cell in self.cells)
        return self._seconds(f"training time{included(self.cells)}", values)

    @property
    def training(self) -> Cost:
        """The cost of training: FLOPs where cells differ in them, else seconds."""
        flops, seconds = self.train_flops, self.train_seconds
        return flops if flops.differs or not any(seconds.values) else seconds

    @cached_property
    def sampling(self) -> Cost:
        """The cost of sampling: seconds per sample, or for all samples where their number is not known."""
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
        """The total seconds that workers spent on the grid; 0 where they are not known."""
        return work_seconds(self.grid.runs)

    @cached_property
    def one_training(self) -> bool:
        """True where all cells use the same training at each seed."""
        return bool((self.grid.runs.groupby("seed")["training_id"].nunique() == 1).all())

    def of(self, metric: ShownMetric) -> list[Cost]:
        """The costs to compare a metric with: training, unless all cells share it, and sampling.

        Sampling is left out for likelihoods, which need no samples, and where no two cells are known to differ in it.
        """
        if len(self.cells) < 2:
            return []
        costs = [] if self.one_training else [self.training]
        if metric.decides != LIKELIHOOD and self.sampling.differs:
            costs.append(self.sampling)
        return [cost for cost in costs if sum(bool(values) for values in cost.values) > 1]


@dataclass(frozen=True, eq=False)
class Purchase:
    """A metric against one kind of cost, and which cells are on the Pareto front of the two."""

    answer: Findings
    cost: Cost
    front: tuple[bool, ...]


def work_seconds(runs: pd.DataFrame) -> float:
    """The total seconds that workers spent on these runs, in whichever commands: training, scoring and sampling. A
    stage that several runs share, with the same seconds in each of them, counts once."""
    columns = [str(name) for name in runs if re.fullmatch(r"cost/\w+_seconds", str(name))]
    parts = (runs[["seed", _SHARED_BY.get(name, "training_id"), name]].drop_duplicates()[name] for name in columns)
    return float(sum(part.sum() for part in parts))


def front_of_cells(answer: Findings, cost: Cost) -> list[bool]:
    """A flag per cell that says whether it is on the front of metric and cost. If nothing could be tested, as with one
    seed, the means alone decide."""
    means = [estimate.mean for estimate in answer.estimates]
    beaten = answer.standing.beaten
    if all(better is None for better in beaten):
        return pareto_front([cost.mean(i) for i in range(len(means))], means, answer.metric.sign)

    def kept(i: int) -> bool:
        rivals = beaten[i]
        return rivals is not None and all(not cost.values[j] or cost.dearer(j, i) for j in rivals)

    return [bool(cost.values[i]) and kept(i) for i in range(len(means))]


def included(cells: Sequence[CellRuns]) -> str:
    """The words that a training cost adds to its label where it includes an autoencoder, or a guide's training."""
    guided = any(cell.parameter("guidance.by") == "cell" for cell in cells)
    parts = [("autoencoder", any(in_latents(cell) for cell in cells)), ("guide", guided)]
    named = " and ".join(part for part, has in parts if has)
    return f", {named} included" if named else ""


def _summed(cell: CellRuns, *metrics: str) -> dict[int, float]:
    """Seed → the sum of these metrics' known values, without sums of 0."""
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
