"""Everything inferred from a grid, as data. Each part is computed once, when it is first asked for.

    GridResults ─▶ Answers ─▶ tables, figures, report, terminal, answers.json

Its only English is labels, names, and the words for the cells that are shown; the module `words` writes the sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from analysis.errors import NothingYet
from analysis.findings.budget import budget_of, ends_at_rungs
from analysis.findings.cells import CellRuns, baseline, parameters_of
from analysis.findings.claims import Claim, claims_of
from analysis.findings.comparisons import CellComparison, Standing
from analysis.findings.costs import Costs, Purchase, front_of_cells
from analysis.findings.declared import Declarations, Declared
from analysis.findings.expectations import ClaimOutcome, outcomes
from analysis.findings.factorial import Factorial, factorial
from analysis.findings.family import Family, family
from analysis.findings.lines import Line, lines_of
from analysis.findings.search import Optimism, optimism
from analysis.findings.spaces import Bits, bits_of, shares_of, space_axes
from analysis.findings.summary import DrawError, HeldOutError, Summary, draw_errors, held_out_errors, metrics_present
from analysis.findings.values import ImageShare, cells_of, curves_of, share_of_images
from analysis.findings.verdicts import Findings, Mark, Row, lead_of, standing
from analysis.findings.weights import Run, WeightCheck, changed_along, check_weights, effective_weights
from analysis.grid_json import Axis, Meta, ShownMetric
from analysis.labels import counted
from analysis.read.runs import GridResults
from analysis.schema import BOUND


@dataclass(frozen=True, eq=False)
class Answers:
    """Everything inferred from a grid. Lists with a value per cell are in the order of `cells`."""

    grid: GridResults

    @staticmethod
    def of(grid: GridResults) -> Answers:
        """The answers of a grid; NothingYet where no round of it is whole."""
        now = grid.meta.round
        if now is not None and now.number == 0:
            raise NothingYet(f"{now.finished} of {now.trainings} trainings finished; nothing to show yet")
        return Answers(grid)

    @property
    def preliminary(self) -> bool:
        """True where no verdict is due yet; everything that makes a claim is then left out."""
        return self.meta.preliminary

    @property
    def meta(self) -> Meta:
        """The grid's own description."""
        return self.grid.meta

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes that the grid varies."""
        return self.meta.axes

    @cached_property
    def cells(self) -> list[CellRuns]:
        """The cells in the order of the axes' levels."""
        return cells_of(self.grid)

    @property
    def cells_shown(self) -> str:
        """The number of cells that are shown, in words, such as "12 cells"."""
        return "one cell" if len(self.cells) == 1 else counted(len(self.cells), "cell")

    def left_out(self, whole: str = "table.csv") -> str:
        """A sentence that says which cells are shown, and that `whole` has all of them; "" if none is left out."""
        return ""

    @cached_property
    def baseline(self) -> CellRuns | None:
        """The cell that others are compared with; None where it has no finished run."""
        return baseline(self.meta, self.cells)

    @cached_property
    def metrics(self) -> list[ShownMetric]:
        """The metrics of the grid that have at least one value; all metrics if none has a value."""
        return metrics_present(self.grid)

    @cached_property
    def summary(self) -> Summary:
        """The estimates, rounding and marks of every metric, and the cells that may be the best in it."""
        stands = {m.name: standing(self.grid, m, self.cells, self.families[m.name].pairs) for m in self.metrics}
        marks = {metric.name: self._marks(metric, stands[metric.name]) for metric in self.metrics}
        return Summary.of(self.cells, self.metrics, stands, marks)

    def _marks(self, metric: ShownMetric, stands: Standing) -> list[Mark]:
        """The mark of each cell in a table, among the cells of its row where comparisons are within rows."""
        rows = [row.answer for row in self._rows(metric, stands.pairs)]
        parts = rows if self.meta.rows else [self._among(metric, self.cells, stands)]
        marks = {id(cell): mark for part in parts for cell, mark in zip(part.cells, part.marks, strict=True)}
        return [marks.get(id(cell), "") for cell in self.cells]

    @cached_property
    def families(self) -> dict[str, Family]:
        """The comparisons of each metric and the claims about it, judged together."""
        return {metric.name: family(self.grid, metric, self.cells, self.claimed) for metric in self.metrics}

    @cached_property
    def claimed(self) -> list[Claim]:
        """The claims of papers, as contrasts of cells."""
        return claims_of(self.grid, self.cells, self.metrics)

    @cached_property
    def findings(self) -> list[Findings]:
        """The answer in each deciding metric, over all cells and within each row."""
        stands = [(m, self.summary.standing[m.name]) for m in self.metrics if m.deciding and m.name in self.grid.runs]
        return [replace(self._among(m, self.cells, of), rows=self._rows(m, of.pairs)) for m, of in stands]

    def _among(self, metric: ShownMetric, cells: list[CellRuns], stands: Standing) -> Findings:
        """The answer among `cells`, given their standing; with a `lead` if preliminary, or a `budget` if there are
        rungs."""
        estimates = [cell.estimate(metric.name) for cell in cells]
        codes = self.meta.baselines.get(metric.name, ())
        answer = Findings(metric, cells, estimates, stands, self.meta.continued, codes=codes)
        if self.preliminary:
            return replace(answer, lead=lead_of(self.grid, metric, [cells[i] for i in answer.ranked]))
        if not self.meta.rungs or self.falls:
            return answer
        here = {id(cell) for cell in cells}

        def curves(name: str) -> list[pd.DataFrame]:
            return [curve for cell, curve in zip(self.cells, self.curve(name), strict=True) if id(cell) in here]

        return replace(answer, budget=budget_of(metric, cells, stands, answer.best, curves))

    def _rows(self, metric: ShownMetric, pairs: Sequence[CellComparison]) -> list[Row]:
        """The answer within each row in which at least two cells have a value."""
        by_levels: dict[tuple[tuple[str, str], ...], list[CellRuns]] = {}
        for cell in self.cells if self.meta.rows else ():
            levels = cell.levels_of(self.axes)
            by_levels.setdefault(tuple((axis, levels[axis]) for axis in self.meta.rows), []).append(cell)
        rows = []
        for at, cells in by_levels.items():
            if sum(cell.estimate(metric.name).known for cell in cells) > 1:
                answer = self._among(metric, cells, standing(self.grid, metric, cells, pairs))
                lead = lead_of(self.grid, metric, [cells[i] for i in answer.ranked])
                rows.append(Row(dict(at), answer, lead))
        return rows

    @property
    def falls(self) -> bool:
        """True where no two cells can be compared at rungs, since the learning rate falls towards the end."""
        return sum(map(ends_at_rungs, self.cells)) < min(2, len(self.cells))

    @cached_property
    def image_shares(self) -> list[tuple[CellRuns, CellRuns, ImageShare] | None]:
        """A tuple per deciding metric: the best cell, its rival (the baseline or the second best), and the share of
        images on which the best cell is better. None where values per image are not known."""
        return [self._image_share(answer) for answer in self.findings]

    def _image_share(self, answer: Findings) -> tuple[CellRuns, CellRuns, ImageShare] | None:
        if self.preliminary or answer.best is None or len(answer.ranked) < 2:
            return None
        best = self.cells[answer.best]
        second = next(self.cells[i] for i in answer.ranked if i != answer.best)
        other = second if self.baseline is None or self.baseline is best else self.baseline
        share = share_of_images(self.grid, answer.metric, best, other)
        return None if share is None else (best, other, share)

    @cached_property
    def claims(self) -> list[ClaimOutcome]:
        """The fate of each claim that the grid's file states."""
        judged = [claim for of_metric in self.families.values() for claim in of_metric.claims]
        return outcomes(self.claimed, judged, {answer.metric.name: answer for answer in self.findings}, self.meta)

    @cached_property
    def declarations(self) -> Declarations:
        """The declarations of comparisons and claims."""
        return Declarations(self.grid, self.cells)

    @cached_property
    def declared_pairs(self) -> list[Declared]:
        """The time of declaration (before or after results) of each listed comparison, metric by metric."""
        pairs = [pair for answer in self.findings for pair in answer.pairs]
        return [self.declarations.comparison(pair.a, pair.b, primary=pair.primary) for pair in pairs]

    @cached_property
    def declared_claims(self) -> list[Declared]:
        """The time of declaration (before or after results) of each claim."""
        return [self.declarations.claim(outcome.claim) for outcome in self.claims]

    @cached_property
    def effects(self) -> list[Factorial]:
        """The effects of the axes on each deciding metric, if there are enough axes and runs to estimate them."""
        if self.preliminary:
            return []
        effects = [
            factorial(self.grid, answer.metric, self.cells, self.families[answer.metric.name])
            for answer in self.findings
        ]
        return [effect for effect in effects if effect is not None]

    @cached_property
    def costs(self) -> Costs:
        """The costs of the cells."""
        return Costs(self.grid, self.cells)

    @cached_property
    def purchases(self) -> list[Purchase]:
        """The trade-off between each deciding metric and each cost that matters for it."""
        if self.preliminary:
            return []
        return [
            Purchase(answer, cost, tuple(front_of_cells(answer, cost)))
            for answer in self.findings
            for cost in self.costs.of(answer.metric)
        ]

    @cached_property
    def parameters(self) -> list[str]:
        """The columns of the runs that are choices."""
        return parameters_of(self.grid.runs)

    @cached_property
    def varied(self) -> frozenset[str]:
        """The parameters in which cells of the grid differ."""
        return frozenset(name for name in self.parameters if self.grid.runs[name].nunique() > 1)

    @cached_property
    def changes(self) -> dict[str, set[str]]:
        """Axis → the parameters that differ along it."""
        return {axis.name: changed_along(self.grid, axis) for axis in self.axes}

    @cached_property
    def space_axes(self) -> list[Axis]:
        """The axes that change the space that is diffused in."""
        return space_axes(self.axes, self.changes)

    @cached_property
    def weights(self) -> dict[Run, pd.Series[float]]:
        """The weight of each t in every run that has one."""
        return effective_weights(self.grid.curves)

    @cached_property
    def weight_check(self) -> WeightCheck:
        """The check for axes that change the weight of t without declaring it."""
        return check_weights(self.grid, self.changes, lambda: self.weights)

    @cached_property
    def lines(self) -> dict[str, list[Line]]:
        """The lines of cells that differ in a single number, by the name of that number."""
        return lines_of(self.cells, self.parameters)

    def curve(self, name: str) -> list[pd.DataFrame]:
        """The curve of this name as [x, seed] of each cell, without rows where it has none."""
        if name not in self._curves:
            self._curves[name] = curves_of(self.grid.curves, name, self.cells)
        return self._curves[name]

    @cached_property
    def _curves(self) -> dict[str, list[pd.DataFrame]]:
        """A cache of the curves asked for so far, because several figures show the same ones."""
        return {}

    @cached_property
    def bits(self) -> list[Bits | None]:
        """The bits of each cell, split by where they are spent; None where a part is not known."""
        return [bits_of(cell) for cell in self.cells]

    @cached_property
    def shares(self) -> list[tuple[float, float, float] | None]:
        """The shares of L_0, L_1 to L_{T−1} and L_T in each cell's bound; None where one is not known."""
        return [shares_of(cell, curve) for cell, curve in zip(self.cells, self.curve(BOUND), strict=True)]

    @cached_property
    def draw_errors(self) -> list[DrawError]:
        """The error from random draws of each metric that is estimated by draws, where the runs recorded it."""
        return draw_errors(self.cells, self.metrics)

    @cached_property
    def held_out_errors(self) -> list[HeldOutError]:
        """The error that the choice of held-out images gives each metric with values per image."""
        return held_out_errors(self.grid, self.cells, self.metrics)

    @cached_property
    def optimism(self) -> list[Optimism] | None:
        """The optimism of the search that the grid confirms, for each winner; None if the grid confirms none."""
        if self.preliminary or self.grid.search is None:
            return None
        return optimism(self.grid.search, self.grid)

    def once_a_training(self, metric: str) -> Answers:
        """The answers from one run per training and value of `metric`, and only from runs that have a value. Cells that
        differ in sampling alone would repeat the value of the training that they share."""
        runs = self.grid.runs[self.grid.runs[metric].notna()]
        return Answers.of(replace(self.grid, runs=runs.drop_duplicates(["training_id", "seed", metric])))
