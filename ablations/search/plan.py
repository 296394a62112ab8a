"""A study under the conditions that all its trials share: the stages of a trial, and the metrics of its objectives."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ablations.driver.plan import Conditions, conditions
from ablations.grids.grid import Planned
from ablations.launchers.protocol import Launcher
from ablations.metrics.judging import against
from ablations.metrics.registry import facts, metric_of, names, refuse_foreign
from ablations.search.space import Params, Study
from ablations.settings.cell import Cell
from ablations.settings.evaluation import SHORT
from ablations.settings.rules import refusal
from ablations.stages.graph import validated
from ablations.stages.stage import Stage
from analysis.errors import InputError


@dataclass(frozen=True)
class SearchPlan:
    """A study under the conditions that all its trials share, with the metrics of its objectives."""

    study: Study
    here: Conditions
    objectives: list[str]

    @property
    def default(self) -> Cell:
        """The cell of the default."""
        return self.study.cell(self.study.default, self.study.seeds[0])

    @property
    def identity(self) -> str:
        """The name of the search in its storage: only a search of equal identity continues it."""
        return self.study.identity(self.here.id_of(self.default))

    @property
    def window(self) -> int:
        """The number of trials under way: somewhat more than workers, so that a trial which ends early frees its
        worker."""
        side_by_side = 1 if self.study.file.pruner == "wilcoxon" else len(self.study.seeds)
        workers = max(1, len(self.here.devices) // side_by_side)
        return workers + workers // 2

    def planned(self, params: Params) -> list[Planned]:
        """A point of the space at each seed, with the stages that validation needs. InputError where its values make no
        cell."""
        cells = [self.study.cell(params, seed) for seed in self.study.seeds]
        reason = refusal(cells[0])
        each = [self.here.planned({}, cell, reason) for cell in cells]
        return [replace(item, stages=validated(item.stages)) for item in each]

    def possible(self, params: Params) -> list[Planned]:
        """The same; none where its values make no cell."""
        try:
            return self.planned(params)
        except (InputError, KeyError):
            return []

    def demanding(self) -> list[Stage]:
        """The stages of the default, with each end and each choice of a parameter alone, and with all upper
        ends together."""
        study = self.study
        searched = {name: study.parameters[name] for name in study.default}
        points: list[Params] = [{name: value} for name, spec in searched.items() for value in spec.choices or spec.ends]
        points += [{}, {name: spec.ends[1] for name, spec in searched.items() if not spec.choices}]
        return [stage for point in points for item in self.possible(study.changed(point))[:1] for stage in item.stages]

    def refusal(self, params: Params) -> str | None:
        """The reason why a point of the space makes no sense; None if it does."""
        try:
            return self.planned(params)[0].refusal
        except InputError as error:
            return str(error)


def plan_search(study: Study, launcher: Launcher, devices: list[str]) -> SearchPlan:
    """The plan of a study; InputError where the default makes no sense, because the search is compared with
    it."""
    default = study.cell(study.default, study.seeds[0])
    reason = refusal(default)
    if reason is not None:
        raise InputError(f"what all trials share makes no sense: {reason}")
    here = conditions([default], launcher, devices, judged=bool(default.evaluation.quality))
    return SearchPlan(study, here, metric_names(study, default))


def metric_names(study: Study, cell: Cell) -> list[str]:
    """The metrics of the objectives on validation data; InputError where one does not exist for such data."""
    extractor = cell.data.extractor
    columns = []
    for name in study.file.objective:
        # What FID is to images, the energy distance is to points.
        measured = "energy_distance" if name == "fid" and extractor is None else name
        if measured not in names():
            columns.append(facts()[measured].name.replace("/test", f"/{SHORT['validation']}"))
            continue
        metric = metric_of(measured)
        refuse_foreign(metric, measured, extractor)
        columns.append(metric.column(against(cell, "validation"), extractor).name)
    if len(set(columns)) < len(columns):
        objectives = ",".join(study.file.objective)
        raise InputError(f"study.objective={objectives} is twice the same on this data: {columns[0]}")
    return columns
