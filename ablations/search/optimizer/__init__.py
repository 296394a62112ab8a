"""Optuna: what to try next, what to stop early, and the storage that remembers it. Only this package knows Optuna.

Only the driver asks and tells, so no two processes compete for the storage. Every draw depends on the seed, the trial's
number and the trials that were told: a new sampler is made for each trial, trials are told in the order of their
numbers, and trial n is asked when exactly those up to n − `window` were told. So a search that was killed continues as
it would have, whatever the timing of its workers; trials that were under way are still marked running in the storage,
and are taken up again.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import OptunaError
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ablations.metrics.registry import fact_of
from ablations.search.optimizer.samplers import pruner_of, sampler_of
from ablations.search.optimizer.storage import cause, opened, quiet, shown
from ablations.search.optimizer.trials import STATES, StoredTrial, TrialOutcome, drawn, params_of, stored_trial
from ablations.search.space import Params, Study
from analysis.errors import InputError

STUDY_ATTRS = "study_attrs"
"""The attribute in which a trial keeps what its sampler noted about the whole search."""
FEWEST = 10
"""The number of complete trials below which importances say nothing."""
RESAMPLINGS = 20
"""The number of bootstrap resamplings of the trials, from which the range of importances is taken."""


class Optimizer:
    """One search in one storage. `place` is this driver's results folder where others may use the storage too; None
    where only this driver does."""

    def __init__(
        self, study: Study, identity: str, objectives: list[str], uri: str, window: int, place: Path | None = None
    ) -> None:
        self.study = study
        self.objectives = objectives
        self.uri = uri
        self.driver = f"{socket.gethostname()}:{place.resolve()}" if place is not None else ""
        self.marks: dict[int, dict[str, Any]] = {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._guarded():
            self.optuna = optuna.create_study(
                study_name=study.name,
                storage=opened(uri),
                directions=self.directions,
                sampler=RandomSampler(),
                load_if_exists=True,
            )
            held = self.optuna.user_attrs.get("identity")
            if held is None and self.optuna.get_trials(deepcopy=False):
                raise InputError(f"{shown(uri)} holds a study {study.name!r} that is not ours: give a name=…")
            if held not in (None, identity):
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

    @property
    def directions(self) -> list[StudyDirection]:
        """The direction of better values, for each objective."""
        signs = [fact_of(name).sign for name in self.objectives]
        return [StudyDirection.MAXIMIZE if sign > 0 else StudyDirection.MINIMIZE for sign in signs]

    def trials(self) -> list[StoredTrial]:
        """All trials that were asked, in order."""
        return [stored_trial(trial, self.study) for trial in self._trials()]

    def _trials(self) -> list[FrozenTrial]:
        with self._guarded():
            return self.optuna.get_trials(deepcopy=True)

    def counted(self) -> int:
        """The number of trials that count: trials that ended by accident do not, and are asked for again."""
        return sum(not trial.user_attrs.get("again") for trial in self._trials())

    def ended(self) -> int:
        """The number of trials that count and have ended."""
        return sum(trial.state != TrialState.RUNNING and not trial.user_attrs.get("again") for trial in self._trials())

    def resume(self) -> list[tuple[int, Params]]:
        """The trials that were under way when this driver ended; InputError where another driver's are."""
        running = [trial for trial in self._trials() if trial.state == TrialState.RUNNING]
        others = {trial.user_attrs["driver"] for trial in running} - {self.driver}
        if self.driver and others:
            raise InputError(
                f"trials of {', '.join(sorted(others))} are running in {shown(self.uri)}: a search has one driver at a "
                "time. Wait for it, or if it is gone, delete its running trials there, or give a name=…"
            )
        return [(trial.number, params_of(trial, self.study)) for trial in running]

    def ask(self) -> tuple[int, Params]:
        """A trial's number, and its value of each parameter that applies. It is drawn in a copy of the search and then
        kept whole, so that a kill leaves all of it or nothing."""
        trials = self._trials()
        number = len(trials)
        with self._guarded(), quiet():
            view = self._view(trials)
            fixed, noted = self._owed(trials)
            if fixed is not None:
                view.enqueue_trial(fixed)
            view.sampler = sampler_of(self.study, number, len(self.objectives))
            trial = view.ask()
            params = self._suggest(trial)
            drawn = view.get_trials(deepcopy=True)[number]
            # What a sampler counts in the study is kept with the trial, for the same reason.
            counts = {STUDY_ATTRS: json.dumps(view._storage.get_study_system_attrs(view._study_id))}
            self.optuna.add_trial(
                create_trial(
                    state=TrialState.RUNNING,
                    params=drawn.params,
                    distributions=drawn.distributions,
                    user_attrs={"driver": self.driver, **noted},
                    system_attrs={**drawn.system_attrs, **counts},
                )
            )
        return number, params

    def _owed(self, trials: list[FrozenTrial]) -> tuple[Params | None, dict[str, Any]]:
        """The values to try before any are drawn, with the notes of that trial: first of all the default, later
        those of a trial that ended by accident."""
        if not trials and self.study.default_is_inside and self.study.file.sampler != "grid":
            return self.study.default, {}
        again = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            if trial.user_attrs.get("again") and trial.number not in again:
                return trial.params, {"retry_of": trial.number}
        return None, {}

    def _view(self, trials: list[FrozenTrial]) -> optuna.Study:
        """A copy of the search in memory, with these trials."""
        view = optuna.create_study(study_name=self.study.name, directions=self.directions)
        view.add_trials(trials)
        kept = [trial.system_attrs[STUDY_ATTRS] for trial in trials if STUDY_ATTRS in trial.system_attrs]
        for name, value in json.loads(kept[-1]).items() if kept else ():
            view._storage.set_study_system_attr(view._study_id, name, value)
        return view

    def _suggest(self, trial: Trial) -> Params:
        params: Params = {}
        for name, parameter in self.study.parameters.items():
            if self.study.applies(name, params):
                params[name] = drawn(trial, name, parameter)
        return params

    def prunes(self, number: int, reported: dict[int, float], rungs: list[int]) -> bool:
        """True where the pruner ends a trial that reported these values, judged by the trials that were told when it
        was asked."""
        trials = self._trials()
        mine, before = trials[number], trials[: max(0, number - self.window + 1)]
        with self._guarded(), quiet():
            view = optuna.create_study(study_name=self.study.name, directions=self.directions)
            view.add_trials(before)
            # Those between are not known yet, but keep their numbers.
            view.add_trials([create_trial(state=TrialState.FAIL) for _ in range(number - len(before))])
            mine.intermediate_values = dict(reported)
            mine.system_attrs = {**mine.system_attrs, **self.marks.get(number, {})}
            view.add_trial(mine)
            judged = view.trials[-1]
            pruned = pruner_of(self.study, rungs).prune(view, judged)
            # A pruner's own notes are kept when the trial is told: one that is taken up again is judged anew.
            self.marks[number] = view.trials[-1].system_attrs
        return pruned

    def tell(self, number: int, outcome: TrialOutcome, cell_id: str) -> None:
        """Keep the outcome of a trial."""
        noted = {
            "reason": outcome.reason,
            "cell_id": cell_id,
            "steps": outcome.steps,
            "seconds": outcome.seconds,
            "metrics": json.dumps(outcome.metrics),
            "again": outcome.again,
        }
        asked = self._trials()[number]
        with self._guarded():
            # A grid's sampler would stop a loop that is not here once it has told its last point.
            self.optuna.sampler = RandomSampler()
            trial = Trial(self.optuna, asked._trial_id)
            for name, value in noted.items():
                trial.set_user_attr(name, value)
            for name, value in self.marks.pop(number, {}).items():
                if name not in asked.system_attrs:
                    self.optuna._storage.set_trial_system_attr(asked._trial_id, name, value)
            if len(self.objectives) == 1:
                for step, value in outcome.reported.items():
                    if step not in asked.intermediate_values:
                        trial.report(value, step)
            values = list(outcome.values) if outcome.state == "finished" else None
            self.optuna.tell(trial, values, STATES[outcome.state])

    def confirmed(self, cells: list[str]) -> int:
        """Note that these cells are confirmed; return how many other sets of cells were before."""
        with self._guarded():
            sets = list(self.optuna.user_attrs.get("confirmed", []))
            if sorted(cells) not in sets:
                sets.append(sorted(cells))
                self.optuna.set_user_attr("confirmed", sets)
        return len(sets) - 1

    def spend(self, seconds: float) -> None:
        """Add to the seconds that the search has taken."""
        with self._guarded():
            self.optuna.set_user_attr("seconds", self.seconds + seconds)

    @property
    def seconds(self) -> float:
        """Seconds that all its commands have taken so far."""
        with self._guarded():
            return float(self.optuna.user_attrs.get("seconds", 0.0))

    def front(self) -> list[int]:
        """The numbers of the trials that no other dominates: one, or with two objectives those of the Pareto front."""
        with self._guarded():
            if not self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                return []
            best = self.optuna.best_trials if len(self.objectives) > 1 else [self.optuna.best_trial]
        return sorted(trial.number for trial in best)

    def importances(self) -> dict[str, dict[str, tuple[float, float, float]]]:
        """By objective: the share of the values' variance explained by each parameter that all trials have (fANOVA,
        Hutter et al. 2014), with the range that holds it in nine of ten resamplings: (share, low, high). Empty where
        there are too few trials, all values are equal, or one parameter alone is in all of them, whose share is all."""
        always = [name for name in self.study.parameters if not self.study.when(name)]
        with self._guarded():
            complete = self.optuna.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(complete) < FEWEST or len(always) < 2:
            return {}
        rng = np.random.default_rng(0)
        drawn_anew = [rng.integers(len(complete), size=len(complete)) for _ in range(RESAMPLINGS)]
        by_objective: dict[str, dict[str, tuple[float, float, float]]] = {}
        for i, objective in enumerate(self.objectives):
            if not (shares := self._shares(complete, i, always)):
                continue
            resampled = [self._shares([complete[j] for j in picked], i, always) for picked in drawn_anew]
            others = [drawing for drawing in resampled if drawing] or [shares]
            by_objective[objective] = {
                name: (share, *_range([drawing.get(name, 0.0) for drawing in others])) for name, share in shares.items()
            }
        return by_objective

    def _shares(self, trials: Sequence[FrozenTrial], i: int, always: Sequence[str]) -> dict[str, float]:
        """The shares of an objective's variance among these trials, some of which may be there twice; none where these
        parameters, or the objective, have one value in all of them."""
        points = {tuple(trial.params[name] for name in always) for trial in trials}
        if len(points) < 2 or len({trial.values[i] for trial in trials}) < 2:
            return {}
        with self._guarded(), quiet():
            study = optuna.create_study(directions=self.directions)
            study.add_trials(trials)
            return get_param_importances(
                study, evaluator=FanovaImportanceEvaluator(seed=0), params=list(always), target=partial(_value, i)
            )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn every failure of the storage into an InputError of one line."""
        import sqlalchemy.exc

        try:
            yield
        except (OptunaError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
            raise InputError(
                f"the storage {shown(self.uri)} cannot be used: {cause(error)}. What was trained is kept; give "
                "storage=sqlite:///PATH or a database's URL, and the same command continues"
            ) from error


def _range(shares: Sequence[float]) -> tuple[float, float]:
    """The range that holds nine of ten."""
    low, high = np.quantile(shares, [0.05, 0.95])
    return float(low), float(high)


def _value(objective: int, trial: FrozenTrial) -> float:
    return float(trial.values[objective])
