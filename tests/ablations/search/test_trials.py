"""A trial's way, on a journal whose results are made up: what it asks for, in which order, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablations.driver.plan import Conditions
from ablations.engine.journal import Failure, Result
from ablations.launchers.local import Serial
from ablations.search.study import make
from ablations.search.trial import Course, Outcome, SearchPlan
from ablations.settings.arguments import parse_search

NLL = ["nll/val"]
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


def planned(*words):
    """A study's trial at each of its seeds."""
    study = make(parse_search(["study=schedule", "training.steps=400", *words]))
    data = study.cell(POINT, 0).data.load()
    return SearchPlan(study, Conditions(data, "digits-cnn", Serial(), ["cpu"]), NLL).runs(POINT)


def answered(course, answer):
    """What a trial asked for, and its outcome, where every stage is answered as it comes."""
    way, asked = course.run(), []
    while True:
        try:
            stages = next(way)
        except StopIteration as stop:
            return asked, stop.value
        asked.append([(stage.kind, stage.rung, stage.cell.seed) for stage in stages])
        for stage in stages:
            answer(stage)


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


def never(reported):
    return False


def second(reported):
    return len(reported) == 2


@pytest.mark.parametrize("words", [[], ["study.pruner=none", "study.objective=mmd"]])
def test_no_stage_of_a_trial_reads_test_data(words):
    splits = {stage.held_out for item in planned(*words) for stage in item.stages}
    assert splits == {None, "validation"}


def test_without_a_pruner_seeds_go_side_by_side_and_the_value_is_their_mean():
    papers = Papers()
    asked, outcome = answered(Course(planned("study.pruner=none", "seeds=3"), papers, NLL, never), good(papers))
    assert [sorted(stages) for stages in asked] == [
        sorted((kind, 0, seed) for seed in (0, 1, 2) for kind in ("training", "bound"))
    ]
    assert (outcome.state, outcome.values) == ("finished", (3.0,))
    assert (outcome.steps, outcome.seconds) == (1200, pytest.approx(30.0))


def test_a_pruner_sees_the_first_seeds_rungs_and_may_end_the_trial():
    """The next segment is not asked for."""
    papers, seen = Papers(), []
    judge = lambda reported: seen.append(dict(reported)) or second(reported)  # noqa: E731
    course = Course(planned("seeds=2"), papers, NLL, judge)
    asked, outcome = answered(course, good(papers, rungs={100: 4.0, 200: 3.5}))
    assert asked == [[("training", step, 0), ("bound", step, 0)] for step in (100, 200)]
    assert seen == [{100: 4.0}, {100: 4.0, 200: 3.5}]
    assert (outcome.state, outcome.steps, outcome.seconds, outcome.values) == ("pruned", 200, pytest.approx(4.0), ())
    assert outcome.reason == "3.5 at step 200 of 400"


def test_a_trial_that_is_not_pruned_goes_on_where_its_last_rung_was():
    papers = Papers()
    asked, outcome = answered(Course(planned(), papers, NLL, never), good(papers))
    ways = [[("training", step, 0), ("bound", step, 0)] for step in (100, 200, 0)]
    assert asked == ways
    assert (outcome.state, outcome.values) == ("finished", (2.0,))


def test_what_the_journal_knows_is_not_asked_for_again():
    """Nor are the rungs of a training that was finished without being judged on its way."""
    papers, trial = Papers(), planned()
    for stage in trial[0].stages:
        if not stage.rung:
            good(papers)(stage)
    asked, outcome = answered(Course(trial, papers, NLL, lambda reported: pytest.fail("of nothing")), good(papers))
    assert (asked, outcome.values) == ([], (2.0,))


def test_divergence_is_a_failed_trial_with_its_reason():
    """A training that diverged before its rung has no value there, and its end says why."""
    papers, reason = Papers(), "the network loss was not finite by step 50"

    def answer(stage):
        papers.finish(stage)
        if stage.kind == "training" and not stage.rung:
            papers.results[stage.id] = Result("diverged", reason, {}, {}, {})

    outcome = answered(Course(planned(), papers, NLL, lambda reported: pytest.fail("of nothing")), answer)[1]
    assert (outcome.state, outcome.reason, outcome.again) == ("failed", reason, False)


@pytest.mark.parametrize("kind", ["training", "bound"])
@pytest.mark.parametrize("at_rung", [True, False])
def test_an_accident_is_a_failed_trial_that_is_to_be_tried_again(kind, at_rung):
    papers, message = Papers(), "OSError: No space left on device"

    def answer(stage):
        if stage.kind == kind and bool(stage.rung) == at_rung:
            papers.failures[stage.id] = Failure("machine", message)
        elif all(papers.result(need) for need in stage.needs):
            good(papers)(stage)

    outcome = answered(Course(planned(), papers, NLL, never), answer)[1]
    assert (outcome.state, outcome.reason, outcome.again) == ("failed", message, True)


def test_a_missing_objective_fails():
    papers = Papers()
    trial = planned("study.pruner=none", "seeds=2")
    outcome = answered(Course(trial, papers, NLL, never), lambda stage: papers.finish(stage, cost__x=1.0))[1]
    assert (outcome.state, outcome.reason) == ("failed", "nll/val is no number")


def test_what_makes_no_sense_fails_at_once_with_its_reason():
    refused = [replace(item, stages=[], refusal="linear needs …") for item in planned()]
    assert answered(Course(refused, Papers(), NLL, never), None) == ([], Outcome("failed", "linear needs …"))


@pytest.mark.parametrize(("objective", "state"), [("nll/val", "finished"), ("mmd/val/digits-cnn", "failed")])
def test_a_metric_that_breaks_ends_a_trial_only_where_the_search_goes_by_it(objective, state):
    papers, trial = Papers(), planned("study.pruner=none", "study.objective=mmd")

    def answer(stage):
        if stage.kind == "metric":
            papers.failures[stage.id] = Failure("error", "ValueError: all equal")
        else:
            good(papers)(stage)

    asked, outcome = answered(Course(trial, papers, [objective], never), answer)
    assert {kind for kind, _, _ in asked[0]} == {"training", "bound", "samples", "metric"}
    assert outcome.state == state
    assert outcome.reason == ("ValueError: all equal" if state == "failed" else "")


def test_what_a_search_does_not_go_by_is_measured_all_the_same():
    papers, trial = (
        Papers(),
        planned("study.pruner=none", "evaluation.metrics=[density]", "evaluation.quality=[validation,test]"),
    )
    names = {"bound": {"nll__val": 2.0}, "metric": {"density__val__digits-cnn": 0.5}}
    outcome = answered(
        Course(trial, papers, NLL, never), lambda stage: papers.finish(stage, **names.get(stage.kind, {}))
    )[1]
    assert outcome.values == (2.0,)
    assert outcome.metrics["density/val/digits-cnn"] == 0.5
