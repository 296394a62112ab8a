"""A trial's way, on a journal whose results are made up: what it asks for, in which order, and what comes of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from optuna.trial import TrialState

from ablations.driver.plan import Conditions
from ablations.engine.journal import Failure, Result
from ablations.launchers.launcher import Serial
from ablations.search.study import make
from ablations.search.trial import Course, SearchPlan
from ablations.settings.arguments import parse_search

COMPLETE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL
POINT = {"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02}


class Papers:
    """A journal with results, and failures, by stage id."""

    def __init__(self):
        self.results, self.failures = {}, {}

    def result(self, stage_id):
        return self.results.get(stage_id)

    def failure(self, stage_id):
        return self.failures.get(stage_id)

    def finish(self, stage, **metrics):
        named = {name.replace("__", "/"): value for name, value in metrics.items()}
        self.results[stage.id] = Result("finished", "", named, {}, {})


class Judge:
    """An optimizer that notes what it is asked and told."""

    def __init__(self):
        self.seen, self.told = [], SimpleNamespace(state=None, values=None, reason="", metrics={})

    def prunes(self, number, step, value):
        self.seen.append((step, value))
        return False

    def tell(self, number, state, values, notes):
        self.told = SimpleNamespace(state=state, values=values, **notes)


def course(papers, *words, objective="nll/val", params=POINT):
    """A study's trial at each of its seeds."""
    study = make(parse_search(["study=schedule", "training.steps=400", *words]))
    data = study.cell(POINT, 0).data.load()
    plan = SearchPlan(study, Conditions(data, "digits-cnn", Serial(), ["cpu"]), [objective])
    judge = Judge()
    trial = Course(SimpleNamespace(number=3, params=params), plan, papers, judge.prunes, judge.tell)
    trial.judge = judge
    return trial


def answered(trial, answer):
    """What a trial asked for, and what was told of it, where every stage is answered as it comes."""
    asked = []
    for stages in trial.way:
        asked.append([(stage.kind, stage.rung, stage.cell.seed) for stage in stages])
        for stage in stages:
            answer(stage)
    return asked, trial.judge.told


def good(papers, nll=2.0, rungs=None):
    """Every stage finishes; rungs score what is given by step."""

    def answer(stage):
        if stage.kind == "training":
            papers.finish(stage, cost__train_seconds=float(stage.rung or 400) / 50)
        elif stage.rung:
            papers.finish(stage, nll__val=(rungs or {}).get(stage.rung, 3.0))
        else:
            papers.finish(stage, nll__val=nll + stage.cell.seed, cost__bound_seconds=2.0)

    return answer


@pytest.mark.parametrize("words", [[], ["study.pruner=none", "study.objective=mmd"]])
def test_no_stage_of_a_trial_reads_test_data(words):
    assert {stage.held_out for stage in course(Papers(), *words).stages} == {None, "validation"}


def test_without_a_pruner_seeds_go_side_by_side_and_the_value_is_their_mean():
    papers = Papers()
    asked, told = answered(course(papers, "study.pruner=none", "seeds=3"), good(papers))
    assert [sorted(stages) for stages in asked] == [
        sorted((kind, 0, seed) for seed in (0, 1, 2) for kind in ("training", "bound"))
    ]
    assert (told.state, told.values) == (COMPLETE, [3.0])
    assert (told.metrics["cost/steps"], told.metrics["cost/seconds"]) == (1200, pytest.approx(30.0))


def test_a_pruner_sees_the_first_seeds_rungs_and_may_end_the_trial():
    """The next segment is not asked for."""
    papers = Papers()
    trial = course(papers, "seeds=2")
    trial.prunes = lambda number, step, value: (number, step, value) == (3, 200, 3.5)
    asked, told = answered(trial, good(papers, rungs={100: 4.0, 200: 3.5}))
    assert asked == [[("training", step, 0), ("bound", step, 0)] for step in (100, 200)]
    assert (told.state, told.values, told.reason) == (PRUNED, None, "3.5 at step 200 of 400")
    assert told.metrics == {"cost/steps": 200, "cost/seconds": pytest.approx(4.0)}
    further = course(papers, "seeds=2")
    assert answered(further, good(papers))[0][0] == [
        ("training", 0, 0),
        ("bound", 0, 0),
        ("training", 0, 1),
        ("bound", 0, 1),
    ]
    assert further.judge.seen == [(100, 4.0), (200, 3.5)]


def test_what_the_journal_knows_is_not_asked_for_again():
    """Nor are the rungs of a training that was finished without being judged on its way."""
    papers = Papers()
    trial = course(papers)
    for stage in trial.stages:
        if not stage.rung:
            good(papers)(stage)
    asked, told = answered(trial, good(papers))
    assert (asked, told.values, trial.judge.seen) == ([], [2.0], [])


def test_divergence_is_a_failed_trial_with_its_reason():
    """A training that diverged before its rung has no value there, and its end says why."""
    papers, reason = Papers(), "the network loss was not finite by step 50"

    def answer(stage):
        papers.finish(stage)
        if stage.kind == "training" and not stage.rung:
            papers.results[stage.id] = Result("diverged", reason, {}, {}, {})

    trial = course(papers)
    told = answered(trial, answer)[1]
    assert (told.state, told.reason, trial.accident, trial.judge.seen) == (FAIL, reason, "", [])


@pytest.mark.parametrize("kind", ["training", "bound"])
@pytest.mark.parametrize("at_rung", [True, False])
def test_a_trial_that_ends_by_accident_has_no_outcome(kind, at_rung):
    papers, message = Papers(), "OSError: No space left on device"

    def answer(stage):
        if stage.kind == kind and bool(stage.rung) == at_rung:
            papers.failures[stage.id] = Failure("machine", message)
        elif all(papers.result(need) for need in stage.needs):
            good(papers)(stage)

    trial = course(papers)
    assert answered(trial, answer)[1].state is None
    assert trial.accident == message


def test_a_missing_objective_fails():
    papers = Papers()
    trial = course(papers, "study.pruner=none", "seeds=2")
    told = answered(trial, lambda stage: papers.finish(stage, cost__x=1.0))[1]
    assert (told.state, told.reason) == (FAIL, "nll/val is no number")


@pytest.mark.parametrize(
    ("value", "reason"), [(0.9, "linear rescaled to T=100 has beta_T=9"), (-1.0, "linear needs 0 < beta_1")]
)
def test_what_makes_no_sense_or_no_cell_fails_at_once_with_its_reason(value, reason):
    asked, told = answered(course(Papers(), params=POINT | {"schedule.beta_T": value}), None)
    assert (asked, told.state) == ([], FAIL)
    assert reason in told.reason


@pytest.mark.parametrize(("objective", "state"), [("nll/val", COMPLETE), ("mmd/val/digits-cnn", FAIL)])
def test_a_metric_that_breaks_ends_a_trial_only_where_the_search_goes_by_it(objective, state):
    papers = Papers()

    def answer(stage):
        if stage.kind == "metric":
            papers.failures[stage.id] = Failure("error", "ValueError: all equal")
        else:
            good(papers)(stage)

    asked, told = answered(course(papers, "study.pruner=none", "study.objective=mmd", objective=objective), answer)
    assert {kind for kind, _, _ in asked[0]} == {"training", "bound", "samples", "metric"}
    assert (told.state, told.reason) == (state, "ValueError: all equal" if state is FAIL else "")


def test_what_a_search_does_not_go_by_is_measured_all_the_same():
    papers, names = Papers(), {"bound": {"nll__val": 2.0}, "metric": {"density__val__digits-cnn": 0.5}}
    trial = course(papers, "study.pruner=none", "evaluation.metrics=[density]", "evaluation.quality=[validation,test]")
    told = answered(trial, lambda stage: papers.finish(stage, **names.get(stage.kind, {})))[1]
    assert told.values == [2.0]
    assert told.metrics["density/val/digits-cnn"] == 0.5
