"""Optuna: what to try next, what to stop early, and the storage that remembers it.

Trials are drawn and judged in a copy of the search in memory, and kept whole, so that a kill leaves all of a trial or
nothing; until it is told it is running in the storage, and whoever opens that goes on with it. Each draw has a sampler
of its own, seeded by the trial's number: it depends on the trials before it alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import optuna
from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ablations.metrics.registry import fact_of
from ablations.search.space import Study
from ablations.tracking.store import make_whole
from analysis.errors import InputError
from analysis.labels import within
from analysis.links import reason_of, without_password
from diffusion_core.randomness import key


class Optimizer:
    """One search in one storage, by these objectives; `identity` says what is searched and how."""

    def __init__(self, study: Study, identity: str, objectives: list[str], uri: str) -> None:
        self.study, self.objectives = study, objectives
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", ExperimentalWarning)
        self.pruner = pruner_of(study, study.rungs(study.default_cell))
        make_whole(uri, lambda new: RDBStorage(new).engine.dispose())
        # The seconds to wait for a locked database.
        storage = RDBStorage(uri, {"connect_args": {"timeout": 60.0}} if uri.startswith("sqlite") else {})
        ways = [StudyDirection.MAXIMIZE if fact_of(name).sign > 0 else StudyDirection.MINIMIZE for name in objectives]
        opened = partial(optuna.create_study, study_name=study.name, directions=ways, sampler=samplers.RandomSampler())
        self.kept, self.drawn = opened(storage=storage, load_if_exists=True), opened()
        held, trials = self.kept.user_attrs.get("identity"), self.kept.get_trials()
        if held != identity and (held is not None or trials):
            raise InputError(
                f"{without_password(uri)} holds the search {study.name!r} of other choices, which are never mixed: "
                "give this one a name of its own with name=…"
            )
        self.kept.set_user_attr("identity", identity)
        self.kept.set_metric_names(objectives)
        for trial in trials:
            if not trial.state.is_finished():
                # It is judged from its beginning, for it may have been cut off between two notes of successive halving.
                trial.intermediate_values, notes = {}, trial.system_attrs.items()
                trial.system_attrs = {name: it for name, it in notes if not name.startswith("completed_rung")}
        self.drawn.add_trials(trials)

    def trials(self) -> list[FrozenTrial]:
        """All trials in the order of their numbers, with the values that were tried."""
        trials = self.drawn.get_trials()
        for trial in trials:
            trial.params = {name: self.study.parameters[name].tried(value) for name, value in trial.params.items()}
        return trials

    @property
    def over(self) -> int:
        """The number of trials that have ended."""
        return sum(trial.state.is_finished() for trial in self.drawn.get_trials(deepcopy=False))

    def ask(self) -> FrozenTrial:
        """A new trial, with a value of each parameter that applies; the first one is the default."""
        number, params = len(self.drawn.get_trials(deepcopy=False)), dict[str, Any]()
        if not number and self.study.default_is_inside and self.study.file.sampler != "grid":
            self.drawn.enqueue_trial(self.study.default)
        self.drawn.sampler = sampler_of(self.study, number)
        trial = self.drawn.ask()
        for name, parameter in self.study.parameters.items():
            if self.study.applies(name, params):
                params[name] = parameter.tried(trial._suggest(name, parameter.distribution(name)))
        # It hears of no outcome: the next one reads them all.
        self.drawn.sampler = samplers.RandomSampler()
        self.kept.add_trial(self.drawn.get_trials()[-1])
        return self.trials()[-1]

    def prunes(self, number: int, step: int, value: float) -> bool:
        """True where the pruner ends a trial that has this value at this step."""
        for storage, trial_id in self._places(number):
            storage.set_trial_intermediate_value(trial_id, step, value)
        return self.pruner.prune(self.drawn, self.drawn.get_trials()[number])

    def tell(self, number: int, state: TrialState, values: list[float] | None, notes: dict[str, Any]) -> None:
        """Keep the end of a trial, a complete one's values, and `notes`: the `reason`, and by `metrics` the means over
        its seeds and what it took."""
        judged = self.drawn.get_trials()[number].system_attrs
        for storage, trial_id in self._places(number):
            for name, value in judged.items():
                storage.set_trial_system_attr(trial_id, name, value)
            for name, value in notes.items():
                storage.set_trial_user_attr(trial_id, name, value)
        for study in (self.kept, self.drawn):
            study.tell(number, values, state)

    def _places(self, number: int) -> list[tuple[BaseStorage, int]]:
        """The two storages of a trial, each with its id there."""
        return [(it._storage, it.get_trials(deepcopy=False)[number]._trial_id) for it in (self.kept, self.drawn)]

    def winners(self) -> list[tuple[str, str, FrozenTrial]]:
        """The best trial, if any; with two objectives the best of each. Each has its level and label in the end."""
        numbers = {trial.number for trial in self.drawn.best_trials}
        front = [trial for trial in self.trials() if trial.number in numbers]
        if len(front) < 2 or len(self.objectives) == 1:
            return [("found", "found by search", trial) for trial in front[:1]]
        facts = enumerate(map(fact_of, self.objectives))
        ends = [(fact, max(front, key=lambda trial: fact.sign * trial.values[i])) for i, fact in facts]
        return [(f"best_{fact.kind.removesuffix('_distance')}", f"best {within(fact.label)}", it) for fact, it in ends]

    def importances(self) -> dict[str, dict[str, float]]:
        """By objective: the share of the values' variance explained by each parameter that all trials have (fANOVA,
        Hutter et al. 2014). Empty where there are too few trials, one parameter alone, or nothing varies."""
        always = [name for name in self.study.parameters if not self.study.when(name)]
        shares: dict[str, dict[str, float]] = {}
        if len(always) > 1 and len(self.drawn.get_trials(False, (TrialState.COMPLETE,))) >= 10:
            for i, name in enumerate(self.objectives):
                fanova, of = FanovaImportanceEvaluator(seed=0), lambda trial, i=i: trial.values[i]
                with suppress(RuntimeError):
                    shares[name] = get_param_importances(self.drawn, evaluator=fanova, params=always, target=of)
        return shares


def sampler_of(study: Study, number: int) -> samplers.BaseSampler:
    """The sampler of a study's trial."""
    seed, once = key(study.file.seed, number, "search") % 2**31, study.file.seed
    learning: dict[str, Any] = {"seed": seed, "n_startup_trials": study.file.startup}
    quiet: dict[str, Any] = {"warn_independent_sampling": False}
    apart, alone = samplers.RandomSampler(seed=seed), len(study.file.objective) == 1
    makers: dict[str, Callable[[], samplers.BaseSampler]] = {
        # Parameters together, as far as trials have them together; one by one for two objectives, Optuna's way.
        "tpe": lambda: samplers.TPESampler(**learning, group=alone),
        "gp": lambda: samplers.GPSampler(**learning, **quiet),
        "cmaes": lambda: samplers.CmaEsSampler(**learning, **quiet),
        "qmc": lambda: samplers.QMCSampler(seed=once, scramble=True, independent_sampler=apart, **quiet),
        "random": lambda: apart,
        "grid": lambda: samplers.GridSampler({name: it.choices for name, it in study.parameters.items()}, seed=once),
    }
    sampler = makers[study.file.sampler]()
    if isinstance(sampler, samplers.QMCSampler):
        # Optuna counts points in the storage, where a kill would lose one. The first trial has none.
        vars(sampler)["_find_sample_id"] = lambda *_: number - 1
    return sampler


def pruner_of(study: Study, rungs: list[int]) -> pruners.BasePruner:
    """The study's pruner, which judges trainings at these steps, or trials by their seeds."""
    first, last = (rungs[0], rungs[-1]) if rungs else (1, 1)
    return {
        "none": pruners.NopPruner(),
        "median": pruners.MedianPruner(n_startup_trials=min(5, study.file.startup)),
        "halving": pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=2),
        "hyperband": pruners.HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=2),
        "wilcoxon": pruners.WilcoxonPruner(p_threshold=0.1),
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
