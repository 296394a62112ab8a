"""Asking and telling: the same after a kill as without, by every sampler and pruner; and what a storage refuses."""

from __future__ import annotations

import math
import sqlite3

import numpy as np
import optuna
import pytest

from ablations.search import optimizer as module
from ablations.search.file import PRUNERS, SAMPLERS
from ablations.search.optimizer import Optimizer, storage
from ablations.search.optimizer.storage import shown
from ablations.search.optimizer.trials import TrialOutcome
from ablations.search.study import make
from ablations.settings.arguments import parse_search
from analysis.errors import InputError
from tests.sampling import sampled

PRECISION = "precision/val/digits-cnn"
"""An objective of which more is better."""
SPACE = [
    "schedule=log_snr_linear",
    "schedule.gamma_min=range(-14,-1.5,0.5)",
    "schedule.gamma_max=range(0,10.5,0.5)",
    "study.startup=4",
]


def opened(path, *words, space=SPACE, window=3, objectives=("nll/val",), identity="mine"):
    study = make(parse_search([*space, *words]))
    return Optimizer(study, identity, list(objectives), f"sqlite:///{path}/optuna.db", window)


def bowl(params):
    """Lowest, 0, at (−6, 3)."""
    return (params["schedule.gamma_min"] + 6) ** 2 / 50 + (params["schedule.gamma_max"] - 3) ** 2 / 30


def told(optimizer, number, params):
    optimizer.tell(number, TrialOutcome("finished", values=(bowl(params),), metrics={"nll/val": bowl(params)}), "cell")


def finish(optimizer, *values, of=None):
    """The values of a trial that is asked for and told at once; it scored these, or what they come to."""
    number, params = optimizer.ask()
    optimizer.tell(number, TrialOutcome("finished", values=values or (of(params),)), "cell")
    return params


def searched(path, count, kills=(), **options):
    """All params in order, where the optimizer is opened anew after some of the asks; three are under way at a time."""
    words = [f"study.{name}={value}" for name, value in options.items()]
    optimizer = opened(path, *words)
    underway, asked = {}, 0
    while asked < count or underway:
        while asked < count and len(underway) < optimizer.window:
            number, params = optimizer.ask()
            underway[number] = params
            asked += 1
            if number in kills:
                optimizer = opened(path, *words)
                assert dict(optimizer.resume()) == underway, "taken up again with the same values"
        first = min(underway)
        told(optimizer, first, underway.pop(first))
    return optimizer


def installed(sampler):
    if sampler == "cmaes":
        pytest.importorskip("cmaes")
    return sampler


MARKS = {"tpe": [], "qmc": [pytest.mark.thorough]}
EVERY_SAMPLER = pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=MARKS.get(name, [pytest.mark.slow])) for name in SAMPLERS]
)


@EVERY_SAMPLER
def test_a_search_that_was_killed_goes_on_as_it_would_have(sampler, tmp_path):
    ways = []
    for name, kills in {"whole": (), "cut": (0, 4, 9)}.items():
        (tmp_path / name).mkdir()
        done = searched(tmp_path / name, 12, kills, sampler=installed(sampler))
        ways.append([(trial.number, trial.params, trial.values) for trial in done.trials()])
    assert len(ways[0]) == 12
    assert ways[0] == ways[1]


@pytest.mark.thorough
def test_other_seeds_of_the_study_draw_other_trials(tmp_path):
    found = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        found.append([trial.params for trial in searched(tmp_path / str(seed), 4, seed=seed).trials()])
    assert found[0] != found[1]


@pytest.mark.thorough
def test_the_sampler_grid_visits_every_combination_once(tmp_path):
    words = ["schedule=log_snr_linear", "schedule.gamma_min=-8,-4", "schedule.gamma_max=range(2,5,1)"]
    optimizer = opened(tmp_path, *words, "study.sampler=grid", space=[], window=1)
    points = [tuple(finish(optimizer, of=bowl).values()) for _ in range(6)]
    assert sorted(points) == [(low, high) for low in (-8, -4) for high in (2, 3, 4)]


def test_the_search_begins_with_the_papers_default(tmp_path):
    optimizer = opened(tmp_path, "study=schedule", space=[])
    assert optimizer.ask() == (0, {"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02})


def test_a_conditional_parameter_is_there_with_its_choice_only(tmp_path):
    optimizer = opened(tmp_path, "study=schedule_joint", "study.startup=3", space=[], window=1)
    found = [finish(optimizer, i * 0.1) for i in range(14)]
    for params in found:
        assert set(params) == {key for key in optimizer.study.parameters if optimizer.study.applies(key, params)}
    assert len({params["schedule"] for params in found}) > 1


def test_failed_trials_keep_their_reason_and_accidents_are_asked_for_again_once(tmp_path):
    optimizer = opened(tmp_path)
    number, _ = optimizer.ask()
    optimizer.tell(number, TrialOutcome("failed", "the bound is not finite"), "cell")
    number, lost = optimizer.ask()
    optimizer.tell(number, TrialOutcome("failed", "No space left on device", again=True), "cell")
    assert optimizer.counted() == 1, "an accident does not count"
    again = opened(tmp_path)
    assert again.ask() == (2, lost)
    assert (again.counted(), again.ended()) == (2, 1), "one is under way"
    assert again.ask()[1] != lost
    states = [(trial.state, trial.metadata["reason"]) for trial in again.trials()[:2]]
    assert states == [("failed", "the bound is not finite"), ("failed", "No space left on device")]


JUDGING = [name for name in PRUNERS if name not in ("none", "wilcoxon")]
RUNGS = [50, 100, 200]


def judged(optimizer, number, level):
    """What a trial that falls to this level reports by rung, and whether it is ended on its way."""
    reported = {}
    for step in RUNGS:
        reported[step] = level + 100 / step
        if optimizer.prunes(number, reported, RUNGS):
            return reported, True
    return reported, False


def ended(optimizer, levels):
    """Whether the pruner ends trials of these levels, which are told one after the other."""
    verdicts = []
    for level in levels:
        number, _ = optimizer.ask()
        reported, pruned = judged(optimizer, number, level)
        state, values = ("pruned", ()) if pruned else ("finished", (level,))
        optimizer.tell(number, TrialOutcome(state, "", values, reported=reported), "cell")
        verdicts.append(pruned)
    return verdicts


@pytest.mark.parametrize("pruner", sampled(JUDGING, 3))
def test_a_pruner_ends_the_worst_and_never_the_best(pruner, tmp_path):
    """The ninth trial's values are far above all, the tenth's far below."""
    optimizer = opened(tmp_path, f"study.pruner={pruner}", window=1)
    verdicts = ended(optimizer, [1.0, 1.1, 0.9, 1.05, 0.95, 1.2, 1.15, 1.02, 9.0, 0.1])
    assert verdicts[8:] == [True, False]
    assert [trial.state for trial in optimizer.trials()][8:] == ["pruned", "finished"]
    assert optimizer.front() == [9]


@pytest.mark.parametrize("pruner", sampled(["halving", "median", "hyperband"], 3))
def test_a_trial_that_is_judged_again_after_a_kill_is_judged_alike(pruner, tmp_path):
    optimizer = opened(tmp_path, f"study.pruner={pruner}", window=1)
    ended(optimizer, [1.0, 1.1, 0.9, 1.05, 0.95, 1.2])
    for level in (0.5, 1.07, 9.0):
        number, _ = optimizer.ask()
        first = judged(optimizer, number, level)
        optimizer = opened(tmp_path, f"study.pruner={pruner}", window=1)
        assert judged(optimizer, number, level) == first
        optimizer.tell(number, TrialOutcome("failed", "x"), "cell")


def test_a_pruner_judges_by_the_trials_that_were_told_when_it_was_asked(tmp_path):
    """The median of trials 0 to 5 is 1; what comes later, all far better, is not known to trial 8 of a window of 3."""
    optimizer = opened(tmp_path, "study.pruner=median", window=3)
    params = [optimizer.ask() for _ in range(9)]
    for number, _ in params[:8]:
        level = 1.0 if number < 6 else 0.01
        optimizer.tell(number, TrialOutcome("finished", values=(level,), reported={50: level}), "cell")
    assert not optimizer.prunes(8, {50: 0.5}, [50])
    assert optimizer.prunes(8, {50: 2.0}, [50])


@pytest.mark.parametrize(
    ("objective", "worse"), [("nll/val", 0.1), pytest.param(PRECISION, -0.1, marks=pytest.mark.thorough)]
)
def test_wilcoxon_leaves_out_seeds_of_a_trial_that_is_worse_at_those_of_the_best(objective, worse, tmp_path):
    optimizer = opened(tmp_path, "study.pruner=wilcoxon", "seeds=8", window=1, objectives=(objective,))
    number, _ = optimizer.ask()
    best = {seed: 0.5 + 0.01 * seed for seed in range(8)}
    optimizer.tell(number, TrialOutcome("finished", values=(0.5,), reported=best), "cell")
    number, _ = optimizer.ask()
    assert optimizer.prunes(number, {seed: value + worse for seed, value in best.items()}, [])
    assert not optimizer.prunes(number, {seed: value - worse for seed, value in best.items()}, [])


@pytest.mark.slow
def test_importances_are_of_what_the_value_depends_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESAMPLINGS", 8)
    optimizer = opened(tmp_path, "study.sampler=random", window=1)
    for _ in range(30):
        finish(optimizer, of=lambda params: params["schedule.gamma_min"] ** 2)
    shares = optimizer.importances()["nll/val"]
    share, low, high = shares["schedule.gamma_min"]
    assert share > 0.95
    assert 0.8 < low <= high <= 1
    assert math.isclose(sum(one for one, _, _ in shares.values()), 1, abs_tol=1e-6)


@pytest.mark.slow
def test_what_the_value_does_not_depend_on_has_importances_that_say_nothing(tmp_path):
    """Values at random: the range says so, where a share alone would name a winner."""
    optimizer = opened(tmp_path, "study.sampler=random", window=1)
    values = np.random.default_rng(0).normal(size=20)
    for value in values:
        finish(optimizer, float(value))
    ranges = [(low, high) for _, low, high in optimizer.importances()["nll/val"].values()]
    assert all(high - low > 0.3 for low, high in ranges)


@pytest.mark.thorough
def test_of_few_or_equal_trials_there_are_no_importances(tmp_path):
    optimizer = opened(tmp_path, window=1)
    for _ in range(12):
        assert optimizer.importances() == {}
        finish(optimizer, 1.0)
    assert optimizer.importances() == {}


def test_a_parameter_alone_has_no_share(tmp_path):
    space = ["schedule=linear,cosine", "study.sampler=random"]
    optimizer = opened(tmp_path, space=space, window=1)
    for value in range(12):
        finish(optimizer, float(value))
    assert optimizer.importances() == {}


def test_what_is_drawn_anew_may_hold_one_point_alone(tmp_path, monkeypatch):
    """Eleven trials of twelve at one point, as where a pruner stops all others: many resamplings hold no other one."""
    monkeypatch.setattr(module, "RESAMPLINGS", 8)
    space = ["schedule=linear,cosine", "variance=beta,beta_tilde", "study.sampler=random"]
    optimizer = opened(tmp_path, space=space, window=1)
    params, kept = [], 0
    while kept < 12:
        number, point = optimizer.ask()
        params.append(point)
        keeps = point == params[0] if kept < 11 else point != params[0]
        outcome = TrialOutcome("finished", values=(float(kept),)) if keeps else TrialOutcome("failed", "elsewhere")
        optimizer.tell(number, outcome, "cell")
        kept += keeps
    shares = optimizer.importances()["nll/val"]
    assert set(shares) == {"schedule", "variance"}
    assert all(0 <= low <= high <= 1 for _, low, high in shares.values())


def test_a_storage_keeps_one_search_of_a_name(tmp_path):
    opened(tmp_path)
    with pytest.raises(InputError, match=r"holds the search 'search-custom' of other choices.*name=…"):
        opened(tmp_path, identity="other")


def test_a_foreign_study_is_left_alone(tmp_path):
    uri = f"sqlite:///{tmp_path}/optuna.db"
    foreign = optuna.create_study(study_name="search-custom", storage=uri)
    foreign.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(InputError, match="is not ours: give a name"):
        opened(tmp_path)
    assert foreign.user_attrs == {}


@pytest.mark.parametrize(
    ("uri", "shown_as"),
    [
        ("sqlite:///results/optuna.db", "sqlite:///results/optuna.db"),
        ("postgresql://me:pa/ss@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?password=secret", "postgresql://host/db"),
        ("no url", "no url:…"),
    ],
)
def test_a_url_is_shown_without_its_password(uri, shown_as):
    assert "ss@" not in shown(uri)
    assert shown(uri) == shown_as


@pytest.mark.parametrize("uri", ["nothing://x", "sqlite:////nowhere/x.db", "postgresql://me:secret@nowhere/x"])
def test_a_storage_that_cannot_be_used_is_one_line_without_its_password(uri, tmp_path):
    study = make(parse_search(SPACE))
    with pytest.raises(InputError, match=r"the storage .* cannot be used") as error:
        Optimizer(study, "mine", ["nll/val"], uri, 1)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_storage_that_others_use_too_has_one_driver_of_a_search_at_a_time(tmp_path):
    study, uri = make(parse_search(SPACE)), f"sqlite:///{tmp_path}/optuna.db"
    mine, theirs = (Optimizer(study, "mine", ["nll/val"], uri, 1, tmp_path / name) for name in ("mine", "theirs"))
    number, params = mine.ask()
    assert mine.resume() == [(number, params)]
    with pytest.raises(InputError, match=r"trials of .*:.*/mine are running in .*one driver at a time"):
        theirs.resume()
    assert Optimizer(study, "mine", ["nll/val"], uri, 1).resume() == [(number, params)], "one that is ours alone"


def test_a_kill_between_two_writes_of_an_ask_leaves_all_of_the_trial_or_nothing(tmp_path, monkeypatch):
    """Whatever is drawn before the one write that keeps it is drawn again."""
    whole = opened(tmp_path)
    monkeypatch.setattr(whole.optuna, "add_trial", lambda trial: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        whole.ask()
    again = opened(tmp_path)
    assert again.resume() == []
    (tmp_path / "other").mkdir()
    assert again.ask() == opened(tmp_path / "other").ask()


@pytest.mark.thorough
def test_sobol_points_of_a_parameter_that_only_some_trials_have_differ(tmp_path):
    optimizer = opened(tmp_path, "study=schedule_joint", "study.sampler=qmc", space=[], window=1)
    seen = {tuple(finish(optimizer, i * 0.1).items()) for i in range(16)}
    assert len(seen) == 16


def test_time_adds_up_over_commands(tmp_path):
    opened(tmp_path).spend(10.0)
    opened(tmp_path).spend(5.0)
    assert opened(tmp_path).seconds == 15.0


def test_a_storage_that_was_killed_while_it_was_made_is_made_anew(tmp_path, monkeypatch):
    """Tables without the index that keeps names apart would be used as they are, with a study anew at each command."""
    uri = f"sqlite:///{tmp_path / 'optuna.db'}"

    def killed(uri, **given):
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as half:
            half.execute("CREATE TABLE studies (study_id INTEGER PRIMARY KEY, study_name VARCHAR(512) NOT NULL)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage, "RDBStorage", killed)
        with pytest.raises(KeyboardInterrupt):
            storage.opened(uri)
    found = [optuna.create_study(study_name="a", storage=storage.opened(uri), load_if_exists=True) for _ in range(2)]
    assert len({study._study_id for study in found}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.db"]
