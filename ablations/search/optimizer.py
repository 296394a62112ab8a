"""Optuna: what to try next, what to stop early, and the storage that remembers it.

A trial that a kill left running is drawn to its end, and whoever opens the storage goes on with it. Each trial has a
sampler of its own, seeded by its number: what is drawn depends on the trials before it alone.
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
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from ablations.metrics.registry import fact_of
from ablations.search.study import Study
from ablations.tracking.store import make_whole
from analysis.errors import InputError
from analysis.labels import mid_sentence
from analysis.places import reason_of, without_password
from diffusion_core.randomness import key


class Optimizer:
    """One search in one storage, by these objectives; `identity` says what is searched and how. Trials that are
    `underway` can be reported on and told."""

    def __init__(self, study: Study, identity: str, objectives: list[str], uri: str) -> None:
        self.study, self.objectives = study, objectives
        self.underway: dict[int, Trial] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", ExperimentalWarning)
        make_whole(uri, lambda new: RDBStorage(new).engine.dispose())
        # The seconds to wait for a locked database.
        storage = RDBStorage(uri, {"connect_args": {"timeout": 60.0}} if uri.startswith("sqlite") else {})
        self.kept = optuna.create_study(
            study_name=study.name,
            storage=storage,
            directions=["maximize" if fact_of(name).sign > 0 else "minimize" for name in objectives],
            pruner=pruner_of(study, study.rungs(study.default_cell)),
            load_if_exists=True,
        )
        held, trials = self.kept.user_attrs.get("identity"), self.kept.get_trials()
        if held != identity and (held is not None or trials):
            raise InputError(
                f"{without_password(uri)} holds the search {study.name!r} of other choices, which are never mixed: "
                "give this one a name of its own with name=…"
            )
        self.kept.set_user_attr("identity", identity)
        self.kept.set_metric_names(objectives)
        for left in (trial for trial in trials if not trial.state.is_finished()):
            self._draw(left.number, partial(Trial, self.kept, left._trial_id))

    def trials(self) -> list[FrozenTrial]:
        """All trials in the order of their numbers, with the values that were tried."""
        trials = self.kept.get_trials()
        for trial in trials:
            trial.params = {name: self.study.parameters[name].rounded(value) for name, value in trial.params.items()}
        return trials

    @property
    def over(self) -> int:
        return sum(trial.state.is_finished() for trial in self.kept.get_trials(deepcopy=False))

    def ask(self) -> FrozenTrial:
        """A new trial, with a value of each parameter that applies; the first one is the default."""
        number = len(self.kept.get_trials(deepcopy=False))
        self._draw(number, self.kept.ask)
        return self.trials()[number]

    def _draw(self, number: int, begin: Callable[[], Trial]) -> None:
        """Draw what a trial lacks: its sampler is there as it begins."""
        self.kept.sampler = sampler_of(self.study, number)
        trial = self.underway[number] = begin()
        params = dict[str, Any]()
        for name, parameter in self.study.parameters.items():
            if self.study.applies(name, params):
                params[name] = parameter.rounded(trial._suggest(name, parameter.distribution(name)))

    def prunes(self, number: int, step: int, value: float) -> bool:
        """True where the pruner ends a trial that has this value at this step."""
        trial = self.underway[number]
        if step not in self.kept.get_trials(deepcopy=False)[number].intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    def tell(self, number: int, state: TrialState, values: list[float] | None, notes: dict[str, Any]) -> None:
        """Keep the end of a trial, a complete one's values, and `notes`: the `reason`, and by `metrics` the means over
        its seeds and what it took."""
        trial = self.underway.pop(number)
        for name, value in notes.items():
            trial.set_user_attr(name, value)
        self.kept.tell(trial, values, state)

    def winners(self) -> list[tuple[str, str, FrozenTrial]]:
        """The best trial, if any; with two objectives the best of each. Each has its level and label in the end."""
        numbers = {trial.number for trial in self.kept.best_trials}
        front = [trial for trial in self.trials() if trial.number in numbers]
        if len(front) < 2 or len(self.objectives) == 1:
            return [("found", "found by search", trial) for trial in front[:1]]
        facts = enumerate(map(fact_of, self.objectives))
        ends = [(fact, max(front, key=lambda trial: fact.sign * trial.values[i])) for i, fact in facts]
        return [
            (f"best_{fact.kind.removesuffix('_distance')}", f"best {mid_sentence(fact.label)}", it) for fact, it in ends
        ]

    def importances(self) -> dict[str, dict[str, float]]:
        """By objective: the share of the values' variance explained by each parameter that all trials have (fANOVA,
        Hutter et al. 2014). Empty where there are too few trials, one parameter alone, or nothing varies."""
        always = [name for name in self.study.parameters if not self.study.when(name)]
        shares: dict[str, dict[str, float]] = {}
        if len(always) > 1 and len(self.kept.get_trials(False, (TrialState.COMPLETE,))) >= 10:
            for i, name in enumerate(self.objectives):
                fanova, of = FanovaImportanceEvaluator(seed=0), lambda trial, i=i: trial.values[i]
                with suppress(RuntimeError):
                    shares[name] = get_param_importances(self.kept, evaluator=fanova, params=always, target=of)
        return shares


def sampler_of(study: Study, number: int) -> samplers.BaseSampler:
    """The sampler of a study's trial; the first one is the default, if that lies in the ranges."""
    seed, random = key(study.file.seed, number, "search") % 2**31, study.file.startup
    apart, alone = samplers.RandomSampler(seed=seed), len(study.file.objective) == 1
    if not number and study.default_is_inside:
        return samplers.PartialFixedSampler(study.default, apart)
    if study.file.sampler == "tpe":
        # Parameters together, as far as trials have them together; one by one for two objectives, Optuna's way.
        return samplers.TPESampler(n_startup_trials=random, seed=seed, group=alone)
    if study.file.sampler == "gp":
        return samplers.GPSampler(n_startup_trials=random, seed=seed, warn_independent_sampling=False)
    return apart


def pruner_of(study: Study, rungs: list[int]) -> pruners.BasePruner:
    """The study's pruner, which judges trainings at these steps."""
    first, last = (rungs[0], rungs[-1]) if rungs else (1, 1)
    return {
        "none": pruners.NopPruner(),
        "median": pruners.MedianPruner(n_startup_trials=min(5, study.file.startup)),
        "halving": pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=2),
        "hyperband": pruners.HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=2),
    }[study.file.pruner]


@contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn every failure of the storage into an InputError of one line."""
    try:
        yield
    except (OptunaError, SQLAlchemyError, ImportError) as error:
        raise InputError(
            f"the storage {without_password(uri)} cannot be used: {reason_of(error, uri)}. What was trained is kept; "
            "give storage=sqlite:///PATH or a database's URL, and the same command continues"
        ) from error
