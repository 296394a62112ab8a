"""Asking and telling: the same after a kill at any moment, by every sampler and pruner; and what a storage refuses."""

from __future__ import annotations

import os
import signal
from typing import get_args

import optuna
import pytest
from optuna.trial import TrialState

from ablations.search.optimizer import Optimizer, pruner_of, storage_errors
from ablations.search.study import StudyFile, make
from ablations.settings.arguments import parse_search
from analysis.errors import InputError

PRECISION = "precision/val/digits-cnn"
"""An objective of which more is better."""
SPACE = (
    "schedule=log_snr_linear",
    "schedule.gamma_min=interval(-14,-2)",
    "schedule.gamma_max=interval(0,10)",
    "study.startup=2",
)
RUNGS = [50, 100, 200]
SAMPLERS = get_args(StudyFile.model_fields["sampler"].annotation)
MARKS = {"tpe": "thorough"}
"""The first is killed at any moment below; the others take long."""
COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


def opened(path, *words, space=SPACE, objectives=("nll/val",), identity="mine"):
    path.mkdir(exist_ok=True)
    study = make(parse_search([*space, *words]))
    optimizer = Optimizer(study, identity, list(objectives), f"sqlite:///{path}/optuna.db")
    optimizer.kept.pruner = pruner_of(study, RUNGS)
    return optimizer


def bowl(params):
    """Lowest, 0, at (−6, 3)."""
    return (params["schedule.gamma_min"] + 6) ** 2 / 50 + (params["schedule.gamma_max"] - 3) ** 2 / 30


def finish(optimizer, *values, of=bowl):
    """A trial that is asked for and told at once; it scored these values, or what its parameters come to."""
    trial = optimizer.ask()
    optimizer.tell(trial.number, COMPLETE, list(values) or [of(trial.params)], {})
    return trial.params


def searched(optimizer, count, window=1):
    """Go on until so many trials are told; each reports what falls to its value, and may be ended on its way."""
    underway = [trial for trial in optimizer.trials() if not trial.state.is_finished()]
    while underway or len(optimizer.trials()) < count:
        while len(underway) < window and len(optimizer.trials()) < count:
            underway.append(optimizer.ask())
        trial = underway.pop(0)
        pruned = any(optimizer.prunes(trial.number, step, bowl(trial.params) + 100 / step) for step in RUNGS)
        values = None if pruned else [bowl(trial.params)]
        optimizer.tell(trial.number, PRUNED if pruned else COMPLETE, values, {"reason": "", "metrics": {"x/y": 1.0}})
    return tried(optimizer)


def tried(optimizer):
    return [(one.number, one.state, one.params, one.values, one.user_attrs) for one in optimizer.trials()]


MOMENTS = {
    "between two suggests": ("view", "_suggest", 12, True),
    "between the reports of a trial": ("storage", "set_trial_intermediate_value", 8, False),
    "between ask and tell": ("kept", "tell", 5, True),
    "between the notes of an outcome": ("storage", "set_trial_user_attr", 8, False),
}


def killed_at(optimizer, moment, count):
    """In a process of its own, go on until a method is called for so manieth time, and be killed there."""
    owner, name, call, before = MOMENTS[moment]
    place = {"kept": optimizer.kept, "storage": optimizer.kept._storage, "view": optuna.trial.Trial}[owner]
    real, calls = getattr(place, name), []

    def mortal(*given, **named):
        calls.append(name)
        if before and len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*given, **named)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, mortal)
    searched(optimizer, count)
    os._exit(0)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    found = searched(opened(tmp_path_factory.mktemp("whole"), "study.pruner=median"), 9)
    assert {state for _, state, *_ in found} == {COMPLETE, PRUNED}
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_it_goes_on_as_it_would_have(moment, unbroken, tmp_path):
    child = os.fork()
    if child == 0:
        killed_at(opened(tmp_path, "study.pruner=median"), moment, 9)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert searched(opened(tmp_path, "study.pruner=median"), 9) == unbroken


@pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=getattr(pytest.mark, MARKS.get(name, "slow"))) for name in SAMPLERS]
)
def test_every_sampler_goes_on_as_it_would_have(sampler, tmp_path):
    ways = []
    for name, stops in {"whole": [], "cut": [1, 6]}.items():
        for count in [*stops, 9]:
            optimizer = opened(tmp_path / name, f"study.sampler={sampler}")
            found = searched(optimizer, count)
            if count < 9:
                optimizer.ask()
        ways.append(found)
    assert len(ways[0]) == 9
    assert ways[0] == ways[1]


def test_of_several_at_a_time_none_is_lost_and_the_limit_is_exact(tmp_path):
    optimizer = opened(tmp_path)
    for _ in range(3):
        optimizer.ask()
    found = searched(opened(tmp_path), 7, window=3)
    assert [number for number, *_ in found] == list(range(7))
    assert {state for _, state, *_ in found} == {COMPLETE}


def test_the_search_begins_with_the_papers_default(tmp_path):
    optimizer = opened(tmp_path, "study=schedule", space=[])
    assert optimizer.ask().params == {"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02}


def test_a_conditional_parameter_is_there_with_its_choice_only(tmp_path):
    optimizer = opened(tmp_path, "study=schedule_joint", "study.startup=3", space=[])
    found = [finish(optimizer, i * 0.1) for i in range(8)]
    for params in found:
        assert set(params) == {key for key in optimizer.study.parameters if optimizer.study.applies(key, params)}
    assert len({params["schedule"] for params in found}) > 1


def ended(optimizer, levels):
    """Whether the pruner ends trials of these levels, which are told one after the other."""
    verdicts = []
    for level in levels:
        trial = optimizer.ask()
        pruned = any(optimizer.prunes(trial.number, step, level + 100 / step) for step in RUNGS)
        optimizer.tell(trial.number, PRUNED if pruned else COMPLETE, None if pruned else [level], {})
        verdicts.append(pruned)
    return verdicts


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_a_pruner_ends_the_worst_and_never_the_best(pruner, tmp_path):
    """The ninth trial's values are far above all, the tenth's far below."""
    optimizer = opened(tmp_path, f"study.pruner={pruner}")
    verdicts = ended(optimizer, [1.0, 1.1, 0.9, 1.05, 0.95, 1.2, 1.15, 1.02, 9.0, 0.1])
    assert verdicts[8:] == [True, False]
    assert [trial.number for _, _, trial in optimizer.winners()] == [9]


def test_of_two_objectives_the_best_of_each_is_confirmed_the_more_the_better_of_precision(tmp_path):
    optimizer = opened(tmp_path, "study.objective=nll,precision", objectives=("nll/val", PRECISION))
    for values in [(1.0, 0.1), (2.0, 0.8), (3.0, 0.9), (3.0, 0.5), (2.5, 0.8), (1.1, 0.2)]:
        finish(optimizer, *values)
    found = [(level, label, trial.number) for level, label, trial in optimizer.winners()]
    assert found == [("best_nll", "best NLL", 0), ("best_precision", "best precision", 2)]


@pytest.mark.parametrize("space", [SPACE, ["schedule=linear,cosine", "study.sampler=random"]])
def test_of_few_or_equal_trials_or_a_parameter_alone_there_are_no_importances(space, tmp_path):
    optimizer = opened(tmp_path, space=space)
    for i in range(6):
        assert optimizer.importances() == {}
        finish(optimizer, 1.0 if space is SPACE else float(i))
    assert optimizer.importances() == {}


def test_a_storage_keeps_one_search_of_a_name_and_leaves_a_foreign_one_alone(tmp_path):
    opened(tmp_path)
    with pytest.raises(InputError, match=r"holds the search 'search-custom' of other choices.*name=…"):
        opened(tmp_path, identity="other")
    (tmp_path / "foreign").mkdir()
    foreign = optuna.create_study(study_name="search-custom", storage=f"sqlite:///{tmp_path}/foreign/optuna.db")
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(InputError, match="never mixed: give this one a name"):
        opened(tmp_path / "foreign")
    assert foreign.user_attrs == {}


@pytest.mark.parametrize("uri", ["nothing://x", "sqlite:////dev/null/x.db", "postgresql://me:secret@nowhere/x"])
def test_a_storage_that_cannot_be_used_is_one_line_without_its_password(uri):
    study = make(parse_search(SPACE))
    with pytest.raises(InputError, match=r"the storage .* cannot be used") as error, storage_errors(uri):
        Optimizer(study, "mine", ["nll/val"], uri)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
