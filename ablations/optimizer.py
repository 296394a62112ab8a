"""Optuna: what to try next, what to end early, and the storage that remembers it. The only file that knows Optuna.

A search is asked and told by the driver alone, so no two processes race for its storage. Every draw depends on the
seed, the trial's number and the trials that are told: samplers are made anew for each trial, trials are told in order
of their numbers, and trial n is asked once n − `window` is told. So a search that was killed goes on as it would have,
whatever the timing of its workers; trials that were under way are still running in the storage, and are taken up again.
"""

from __future__ import annotations

import json
import re
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ablations.study import Params, Study, tried, whole
from ablations.study_file import Parameter
from ablations.trials import Outcome
from analysis.errors import InputError
from diffusion_core.randomness import key

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
UNJUDGED = 5
"""Complete trials before which a median says nothing."""
FEWEST = 10
"""Complete trials below which importances say nothing."""


@dataclass(frozen=True)
class Told:
    """A trial as the storage knows it; `state` is "running" while it is not told."""

    number: int
    state: str
    params: Params
    values: tuple[float, ...]
    metrics: dict[str, float]
    facts: dict[str, Any]
    reported: dict[int, float]


class Optimizer:
    """One search in one storage.

    `place` is this driver's results folder where others may use the storage too; None where it is ours alone.
    """

    def __init__(
        self, study: Study, identity: str, objectives: list[str], uri: str, window: int, place: Path | None = None
    ) -> None:
        self.study = study
        self.objectives = objectives
        self.uri = uri
        self.driver = f"{socket.gethostname()}:{place.resolve()}" if place is not None else ""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._guarded():
            self.optuna = optuna.create_study(
                study_name=study.name,
                storage=uri,
                directions=["minimize"] * len(objectives),
                sampler=RandomSampler(),
                load_if_exists=True,
            )
            found = self.optuna.user_attrs.get("identity")
            if found is None and self.optuna.get_trials(deepcopy=False):
                raise InputError(f"{shown(uri)} holds a study {study.name!r} that is not ours: give a name=…")
            if found not in (None, identity):
                raise InputError(
                    f"{shown(uri)} holds the search {study.name!r} of other choices, which are never mixed: give this "
                    "one a name of its own with name=…"
                )
            for name, value in {"identity": identity, "window": window, "question": study.file.question}.items():
                if name not in self.optuna.user_attrs:
                    self.optuna.set_user_attr(name, value)
            with quiet():
                self.optuna.set_metric_names(objectives)
            self.window = int(self.optuna.user_attrs["window"])
            first = study.default_is_inside and study.file.sampler != "grid"
            if first and not self.optuna.get_trials(deepcopy=False):
                self.optuna.enqueue_trial(study.default, user_attrs={"paper": True})
        self.asked: dict[int, Trial] = {}

    def trials(self) -> list[Told]:
        """All that were asked, in order."""
        with self._guarded():
            trials = self.optuna.get_trials(deepcopy=False)
        return [_told(trial) for trial in trials if trial.state != TrialState.WAITING]

    def resume(self) -> list[tuple[int, Params]]:
        """Trials of this driver that were under way when it ended."""
        with self._guarded():
            running = self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            ours = [t for t in running if not self.driver or t.user_attrs.get("driver", self.driver) == self.driver]
            return [self._taken(trial.number, trial._trial_id) for trial in ours]

    def retry(self) -> None:
        """Ask once more for trials that an accident ended."""
        with self._guarded():
            trials = self.optuna.get_trials(deepcopy=False)
            again = {trial.user_attrs.get("retry_of") for trial in trials}
            for trial in trials:
                if trial.state == TrialState.FAIL and trial.user_attrs.get("again") and trial.number not in again:
                    self.optuna.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})

    def ask(self) -> tuple[int, Params]:
        """A trial's number, and its value of each parameter that applies."""
        with self._guarded():
            trials = self.optuna.get_trials(deepcopy=False)
            number = next((t.number for t in trials if t.state == TrialState.WAITING), len(trials))
            with quiet():
                self.optuna.sampler = self._sampler(number)
                trial = self.optuna.ask()
            return self._taken(trial.number, trial._trial_id, trial)

    def _taken(self, number: int, trial_id: int, trial: Trial | None = None) -> tuple[int, Params]:
        with quiet():
            if trial is None:
                self.optuna.sampler = self._sampler(number)
                trial = Trial(self.optuna, trial_id)
            self.asked[number] = trial
            params = self._suggest(trial)
        trial.set_user_attr("driver", self.driver)
        return number, params

    def _suggest(self, trial: Trial) -> Params:
        params: Params = {}
        for name, parameter in self.study.parameters.items():
            if self.study.applies(name, params):
                params[name] = _drawn(trial, name, parameter)
        return params

    def _sampler(self, number: int) -> BaseSampler:
        """The sampler of a trial: fresh, so that nothing but what is told carries over."""
        seed = key(self.study.file.seed, number, "search") % 2**31
        startup, once = self.study.file.startup, self.study.file.seed
        makers: dict[str, Callable[[], BaseSampler]] = {
            # Parameters together, as far as trials have them together; one by one for two objectives, Optuna's way.
            "tpe": lambda: TPESampler(seed=seed, n_startup_trials=startup, group=len(self.objectives) == 1),
            "gp": lambda: GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False),
            "cmaes": lambda: CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False),
            "qmc": lambda: QMCSampler(seed=once, scramble=True, warn_independent_sampling=False),
            "random": lambda: RandomSampler(seed=seed),
            "grid": lambda: GridSampler(self.study.combinations(), seed=once),
        }
        return makers[self.study.file.sampler]()

    def prunes(self, number: int, reported: dict[int, float], rungs: list[int]) -> bool:
        """Whether the pruner ends a trial that reported these values, by the trials told when it was asked."""
        trial = self.asked[number]
        with self._guarded(), quiet():
            known = self.optuna.get_trials(deepcopy=True)[: max(0, number - self.window + 1)]
            view = optuna.create_study(study_name=self.study.name, direction="minimize")
            view.add_trials(known)
            # Those between are not known yet, but keep their numbers.
            view.add_trials([create_trial(state=TrialState.FAIL) for _ in range(number - len(known))])
            mine = self.optuna.get_trials(deepcopy=True)[number]
            view.add_trial(_reporting(mine, reported))
            pruned = self._pruner(rungs).prune(view, view.trials[-1])
            for name, value in view.trials[-1].system_attrs.items():
                if name not in mine.system_attrs:
                    self.optuna._storage.set_trial_system_attr(trial._trial_id, name, value)
        return pruned

    def _pruner(self, rungs: list[int]) -> BasePruner:
        name, first = self.study.file.pruner, rungs[0] if rungs else 1
        if name == "median":
            return MedianPruner(n_startup_trials=min(UNJUDGED, self.study.file.startup))
        if name == "halving":
            return SuccessiveHalvingPruner(min_resource=first, reduction_factor=2)
        if name == "hyperband":
            return HyperbandPruner(min_resource=first, max_resource=max(rungs), reduction_factor=2)
        return WilcoxonPruner(p_threshold=0.1)

    def tell(self, number: int, outcome: Outcome, cell_id: str) -> None:
        """What came of a trial."""
        trial = self.asked.pop(number)
        facts = {
            "reason": outcome.reason,
            "cell_id": cell_id,
            "steps": outcome.steps,
            "seconds": outcome.seconds,
            "metrics": json.dumps(outcome.metrics),
            "again": outcome.again,
        }
        with self._guarded():
            for name, value in facts.items():
                trial.set_user_attr(name, value)
            if len(self.objectives) == 1:
                known = self.optuna.get_trials(deepcopy=False)[number].intermediate_values
                for step, value in outcome.reported.items():
                    if step not in known:
                        trial.report(value, step)
            # A grid's sampler would stop a loop that is not here once it has told its last point.
            self.optuna.sampler = RandomSampler()
            values = list(outcome.values) if outcome.state == "complete" else None
            self.optuna.tell(trial, values, STATES[outcome.state])

    def spend(self, seconds: float) -> None:
        """Add to the time that the search has taken."""
        with self._guarded():
            self.optuna.set_user_attr("seconds", self.seconds + seconds)

    @property
    def seconds(self) -> float:
        """That all its commands took, so far."""
        with self._guarded():
            return float(self.optuna.user_attrs.get("seconds", 0.0))

    def front(self) -> list[int]:
        """The numbers of the trials that no other beats: one, or with two objectives those of the Pareto front."""
        with self._guarded():
            if not self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                return []
            best = self.optuna.best_trials if len(self.objectives) > 1 else [self.optuna.best_trial]
        return sorted(trial.number for trial in best)

    def importances(self) -> dict[str, dict[str, float]]:
        """By objective: the share of the values' variation that goes with each parameter that all trials have (fANOVA,
        Hutter et al. 2014); none where there are too few trials, or their values are alike."""
        always = [name for name in self.study.parameters if not self.study.when(name)]
        complete = [trial for trial in self.trials() if trial.state == "complete"]
        found: dict[str, dict[str, float]] = {}
        for i, objective in enumerate(self.objectives):
            if len(complete) < FEWEST or not always or len({trial.values[i] for trial in complete}) < 2:
                continue
            with self._guarded(), quiet():
                found[objective] = get_param_importances(
                    self.optuna,
                    evaluator=FanovaImportanceEvaluator(seed=0),
                    params=always,
                    target=partial(_value, i),
                )
        return found

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Every failure of the storage is an InputError of one line."""
        import sqlalchemy.exc

        try:
            yield
        except (OptunaError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(
                f"the storage {shown(self.uri)} cannot be used: {first[:200]}. What was trained is kept; give "
                "storage=sqlite:///PATH or a database's URL, and the same command continues"
            ) from error


def _value(objective: int, trial: FrozenTrial) -> float:
    return float(trial.values[objective])


def _drawn(trial: Trial, name: str, parameter: Parameter) -> Any:
    if parameter.choices:
        return trial.suggest_categorical(name, parameter.choices)
    low, high = parameter.ends
    if whole(name, parameter):
        return trial.suggest_int(name, int(low), int(high), step=int(parameter.step or 1), log=parameter.log)
    return tried(trial.suggest_float(name, low, high, step=parameter.step, log=parameter.log))


def _told(trial: FrozenTrial) -> Told:
    state = {value: name for name, value in STATES.items()}.get(trial.state, "running")
    params = {name: tried(value) for name, value in trial.params.items()}
    metrics = json.loads(trial.user_attrs.get("metrics", "{}"))
    values = tuple(trial.values or ()) if state == "complete" else ()
    return Told(trial.number, state, params, values, metrics, trial.user_attrs, trial.intermediate_values)


def _reporting(trial: FrozenTrial, reported: dict[int, float]) -> FrozenTrial:
    """A running trial that has reported these values."""
    trial.intermediate_values = dict(reported)
    trial.datetime_start = trial.datetime_start or datetime.now()
    return trial


@contextmanager
def quiet() -> Iterator[None]:
    """What is experimental is experimental, which need not be said at every trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def shown(uri: str) -> str:
    """A storage's URL without the password that it may hold."""
    return re.sub(r"//[^@/]*@", "//", uri)
