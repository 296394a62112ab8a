"""Optuna: what to try next, what to stop early, and the storage that remembers it.

A trial is drawn in a copy of the search in memory and kept whole, so that a kill leaves all of it or nothing; until it
is told it is running in the storage, and whoever opens that goes on with it. Each draw has a sampler of its own, seeded
by the trial's number: it depends on the trials before it alone.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ablations.metrics.registry import fact_of
from ablations.search.space import Params, Study
from ablations.tracking.mlflow_runs import RUNNING
from ablations.tracking.sqlite_file import make_whole
from analysis.errors import InputError
from analysis.labels import within
from analysis.links import reason_of, without_password
from diffusion_core.randomness import key

COUNTS, JUDGED = "study_attrs", "completed_rung"
"""The attribute in which a trial keeps what its sampler counts in the whole search (Sobol points); and the beginning of
those in which successive halving notes the rungs that a trial has passed."""
FEWEST, UNJUDGED = 10, 5
"""The numbers of complete trials below which importances, and a median, say nothing."""
STATES = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def status_of(trial: FrozenTrial) -> str:
    """How a trial ended, or "running"."""
    return next((name for name, state in STATES.items() if state == trial.state), RUNNING)


class Optimizer:
    """One search in one storage, by these objectives; `identity` says what is searched and how."""

    def __init__(self, study: Study, identity: str, objectives: list[str], uri: str) -> None:
        self.study, self.objectives = study, objectives
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", ExperimentalWarning)
        make_whole(uri, lambda new: RDBStorage(new).engine.dispose())
        # The seconds to wait for a locked database.
        self.storage = RDBStorage(uri, {"connect_args": {"timeout": 60.0}} if uri.startswith("sqlite") else {})
        self.optuna = self._study(self.storage)
        held = self.optuna.user_attrs.get("identity")
        if held != identity and (held is not None or self.trials()):
            raise InputError(
                f"{without_password(uri)} holds the search {study.name!r} of other choices, which are never mixed: "
                "give this one a name of its own with name=…"
            )
        self.optuna.set_user_attr("identity", identity)
        self.optuna.set_metric_names(objectives)

    def _study(self, storage: RDBStorage | None = None) -> optuna.Study:
        ways = [StudyDirection.MAXIMIZE if fact_of(it).sign > 0 else StudyDirection.MINIMIZE for it in self.objectives]
        name, sampler = self.study.name, samplers.RandomSampler()
        return optuna.create_study(
            storage=storage, study_name=name, directions=ways, sampler=sampler, load_if_exists=True
        )

    def trials(self) -> list[FrozenTrial]:
        """All trials in the order of their numbers, with the values that were tried."""
        trials = self.optuna.get_trials()
        for trial in trials:
            trial.params = {name: self.study.parameters[name].tried(value) for name, value in trial.params.items()}
        return trials

    def counted(self) -> int:
        """The number of trials that count: those that ended by accident do not, and are asked for again."""
        return sum(not trial.user_attrs.get("again") for trial in self.optuna.get_trials(deepcopy=False))

    def ask(self) -> FrozenTrial:
        """A new trial, with a value of each parameter that applies."""
        before, params = self.optuna.get_trials(), Params()
        view, (values, notes) = self._view(before), self._owed(before)
        if values is not None:
            view.enqueue_trial(values)
        view.sampler = sampler_of(self.study, len(before), alone=len(self.objectives) == 1)
        trial = view.ask()
        for name, parameter in self.study.parameters.items():
            if self.study.applies(name, params):
                params[name] = parameter.tried(trial._suggest(name, parameter.distribution(name)))
        drawn = view.get_trials()[-1]
        counts = {COUNTS: json.dumps(view._storage.get_study_system_attrs(view._study_id))}
        self.optuna.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=drawn.params,
                distributions=drawn.distributions,
                user_attrs=notes,
                system_attrs=drawn.system_attrs | counts,
            )
        )
        return self.trials()[-1]

    def _owed(self, trials: list[FrozenTrial]) -> tuple[Params | None, dict[str, Any]]:
        """The values to try before any are drawn, with a note of whose they are: first of all the default, later those
        of a trial that ended by accident."""
        if not trials and self.study.default_is_inside and self.study.file.sampler != "grid":
            return self.study.default, {}
        repeated = {trial.user_attrs.get("retry_of") for trial in trials}
        lost = [trial for trial in trials if trial.user_attrs.get("again") and trial.number not in repeated]
        return (lost[0].params, {"retry_of": lost[0].number}) if lost else (None, {})

    def _view(self, trials: list[FrozenTrial]) -> optuna.Study:
        """A copy of the search in memory, with these trials."""
        view = self._study()
        view.add_trials(trials)
        counts = [trial.system_attrs[COUNTS] for trial in trials if COUNTS in trial.system_attrs]
        for name, value in json.loads(counts[-1]).items() if counts else ():
            view._storage.set_study_system_attr(view._study_id, name, value)
        return view

    def prunes(self, number: int, reported: dict[int, float], rungs: list[int]) -> bool:
        """True where the pruner ends a trial that reported these values by step. It is judged from its beginning, so
        that one which was cut off between two notes of a pruner is judged alike."""
        trials, pruned = self.optuna.get_trials(), False
        mine = trials[number]
        mine.intermediate_values = {}
        mine.system_attrs = {name: it for name, it in mine.system_attrs.items() if not name.startswith(JUDGED)}
        view = self._view(trials)
        view.pruner = pruner_of(self.study, rungs)
        judged = Trial(view, view.get_trials(deepcopy=False)[number]._trial_id)
        for step, value in reported.items():
            judged.report(value, step)
            pruned = judged.should_prune()
            self.storage.set_trial_intermediate_value(mine._trial_id, step, value)
        for name, value in view.get_trials()[number].system_attrs.items():
            self.storage.set_trial_system_attr(mine._trial_id, name, value)
        return pruned

    def tell(self, number: int, state: str, values: tuple[float, ...], notes: dict[str, Any]) -> None:
        """Keep the outcome of a trial: "finished" with its values, "pruned" or "failed"."""
        for name, value in notes.items():
            self.storage.set_trial_user_attr(self.optuna.get_trials(deepcopy=False)[number]._trial_id, name, value)
        self.optuna.tell(number, values or None, STATES[state])

    def looks(self, cells: list[str]) -> int:
        """Note that these cells are confirmed; the number of other sets of cells that were before."""
        sets = list(self.optuna.user_attrs.get("confirmed", []))
        if sorted(cells) not in sets:
            sets.append(sorted(cells))
            self.optuna.set_user_attr("confirmed", sets)
        return len(sets) - 1

    def front(self) -> list[FrozenTrial]:
        """The trials that no other dominates, in order: one, or with two objectives those of the Pareto front."""
        numbers = {trial.number for trial in self.optuna.best_trials}
        on = [trial for trial in self.trials() if trial.number in numbers]
        return on if len(self.objectives) > 1 else on[:1]

    def importances(self) -> dict[str, dict[str, float]]:
        """By objective: the share of the values' variance explained by each parameter that all trials have (fANOVA,
        Hutter et al. 2014). Empty where there are too few trials, one parameter alone, or nothing varies."""
        always = [name for name in self.study.parameters if not self.study.when(name)]
        complete = [trial for trial in self.optuna.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
        points, shares = {tuple(trial.params[name] for name in always) for trial in complete}, {}
        for i, objective in enumerate(self.objectives):
            varied = min(len(always), len(points), len({trial.values[i] for trial in complete})) > 1
            if len(complete) >= FEWEST and varied:
                fanova, of = FanovaImportanceEvaluator(seed=0), lambda trial, i=i: trial.values[i]
                shares[objective] = get_param_importances(self.optuna, evaluator=fanova, params=always, target=of)
        return shares


def winners(optimizer: Optimizer) -> list[tuple[str, str, FrozenTrial]]:
    """The trials that are confirmed, each with its level and its label: the best one; with two objectives the best of
    each, and the one between them that is nearest to both, each scaled by the front."""
    front = optimizer.front()
    if not front or len(optimizer.objectives) == 1:
        return [("found", "found by search", trial) for trial in front]
    facts = [fact_of(name) for name in optimizer.objectives]
    costs = {trial.number: [-fact.sign * it for fact, it in zip(facts, trial.values, strict=True)] for trial in front}
    one = min(front, key=lambda trial: costs[trial.number])
    other = min(front, key=lambda trial: costs[trial.number][::-1])
    if one.values == other.values:
        return [("found", "best in both", one)]

    def distance(trial: FrozenTrial) -> float:
        low, high = costs[one.number], costs[other.number]
        (x, y) = costs[trial.number]
        return math.hypot((x - low[0]) / (high[0] - low[0]), (y - high[1]) / (low[1] - high[1]))

    ends = [
        (f"best_{fact.kind.removesuffix('_distance')}", f"best {within(fact.label)}", end)
        for fact, end in zip(facts, (one, other), strict=True)
    ]
    inner = [trial for trial in front if trial.values not in (one.values, other.values)]
    return [*ends, *(("between", "between", trial) for trial in sorted(inner, key=distance)[:1])]


def sampler_of(study: Study, number: int, *, alone: bool) -> samplers.BaseSampler:
    """The sampler of a study's trial; its objective may be `alone`."""
    seed, once = key(study.file.seed, number, "search") % 2**31, study.file.seed
    learning: dict[str, Any] = {"seed": seed, "n_startup_trials": study.file.startup}
    quiet: dict[str, Any] = {"warn_independent_sampling": False}
    match study.file.sampler:
        case "tpe":
            # Parameters together, as far as trials have them together; one by one for two objectives, Optuna's way.
            return samplers.TPESampler(**learning, group=alone)
        case "gp":
            return samplers.GPSampler(**learning, **quiet)
        case "cmaes":
            return samplers.CmaEsSampler(**learning, **quiet)
        case "qmc":
            apart = samplers.RandomSampler(seed=seed)
            return samplers.QMCSampler(seed=once, scramble=True, independent_sampler=apart, **quiet)
        case "grid":
            return samplers.GridSampler(study.combinations(), seed=once)
    return samplers.RandomSampler(seed=seed)


def pruner_of(study: Study, rungs: list[int]) -> pruners.BasePruner:
    """The study's pruner, which judges trainings at these steps."""
    first, last = (rungs[0], rungs[-1]) if rungs else (1, 1)
    return {
        "median": pruners.MedianPruner(n_startup_trials=min(UNJUDGED, study.file.startup)),
        "halving": pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=2),
        "hyperband": pruners.HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=2),
    }[study.file.pruner]


@contextmanager
def guarded(uri: str) -> Iterator[None]:
    """Turn every failure of the storage into an InputError of one line."""
    try:
        yield
    except (OptunaError, SQLAlchemyError, ImportError) as error:
        raise InputError(
            f"the storage {without_password(uri)} cannot be used: {reason_of(error, uri)}. What was trained is kept; "
            "give storage=sqlite:///PATH or a database's URL, and the same command continues"
        ) from error
