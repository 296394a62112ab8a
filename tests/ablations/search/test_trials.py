"""A trial's way, on a journal whose results are made up: what it asks for, in which order, and what comes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablations.engine.journal import Failure, Result
from ablations.grids.grid import Planned
from ablations.search.optimizer.trials import TrialOutcome
from ablations.search.study import make
from ablations.search.trial import Course
from ablations.settings.arguments import parse_search
from ablations.stages.asked import metric_stages
from ablations.stages.graph import stages_of, validated
from ablations.stages.metric import MetricStage

NLL = ["nll/val"]


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

    def diverge(self, stage, reason):
        self.results[stage.id] = Result("diverged", reason, {}, {}, {})

    def fail(self, stage, kind, message):
        self.failures[stage.id] = Failure(kind, message)


def planned(*seeds):
    study = make(parse_search(["study=schedule", "training.steps=400"]))
    cells = [study.cell({"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02}, seed) for seed in seeds]
    stages = [validated(stages_of(cell, "digest", "float32", None)) for cell in cells]
    return [Planned({}, cell, "cell", "digest", own) for cell, own in zip(cells, stages, strict=True)]


def judged(*words):
    """A trial whose samples are judged by one more metric, and the stage that judges them."""
    study = make(parse_search(["study=schedule", "study.pruner=none", "training.steps=400", *words]))
    cell = study.cell({"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02}, 0)
    stages = stages_of(cell, "digest", "float32", None)
    own = validated([*stages, *metric_stages(cell, stages)])
    (metric,) = [stage for stage in own if isinstance(stage, MetricStage)]
    return [Planned({}, cell, "cell", "digest", own)], metric


def answered(way, papers, answer):
    """What the trial asked for, and its outcome, where every stage is answered as it comes."""
    asked = []
    while True:
        try:
            stages = next(way)
        except StopIteration as stop:
            return asked, stop.value
        asked.append([(stage.kind, getattr(stage, "step", None), stage.cell.seed) for stage in stages])
        for stage in stages:
            answer(stage)


def good(papers, nll=2.0, rungs=None):
    """Every stage finishes; rungs score what is given by step."""

    def answer(stage):
        if stage.kind == "rung":
            papers.finish(stage, nll__val=(rungs or {}).get(stage.step, 3.0), cost__train_seconds=1.0)
        elif stage.kind == "training":
            papers.finish(stage, cost__train_seconds=8.0)
        else:
            papers.finish(stage, nll__val=nll + stage.cell.seed, cost__bound_seconds=2.0)

    return answer


def but(papers, **kinds):
    """Every stage finishes, but those of these kinds are answered as is told."""
    usual = good(papers)
    return lambda stage: kinds.get(stage.kind, usual)(stage)


def test_no_stage_of_a_trial_reads_test_data():
    kinds = [(stage.kind, getattr(stage, "split", None)) for stage in planned(0)[0].stages]
    assert kinds == [("training", None), ("bound", "validation")]


def test_without_a_pruner_seeds_go_side_by_side_and_the_value_is_their_mean():
    papers = Papers()
    asked, outcome = answered(Course(planned(0, 1, 4), papers, NLL).run(), papers, good(papers))
    assert asked == [[(kind, None, seed) for seed in (0, 1, 4) for kind in ("training", "bound")]]
    assert outcome.state == "finished"
    assert outcome.values == pytest.approx((2 + 5 / 3,))
    assert (outcome.steps, outcome.seconds) == (1200, pytest.approx(30.0))


def test_a_pruner_sees_the_first_seeds_rungs_and_may_end_the_trial():
    papers, seen = Papers(), []

    def judge(reported):
        seen.append(dict(reported))
        return len(reported) == 2

    way = Course(planned(0, 1), papers, NLL, [50, 100, 200], judge).run()
    asked, outcome = answered(way, papers, good(papers, rungs={50: 4.0, 100: 3.5}))
    assert asked == [[("rung", 50, 0)], [("rung", 100, 0)]]
    assert seen == [{50: 4.0}, {50: 4.0, 100: 3.5}]
    assert (outcome.state, outcome.steps, outcome.values) == ("pruned", 100, ())
    assert outcome.reason == "3.5 at step 100 of 400"


def test_a_trial_that_is_not_pruned_goes_on_where_its_last_rung_was():
    papers = Papers()
    way = Course(planned(0), papers, NLL, [50, 200], lambda reported: False).run()
    asked, outcome = answered(way, papers, good(papers))
    assert asked == [[("rung", 50, 0)], [("rung", 200, 0)], [("training", None, 0), ("bound", None, 0)]]
    assert (outcome.state, outcome.reported, outcome.values) == ("finished", {50: 3.0, 200: 3.0}, (2.0,))


def test_what_the_journal_knows_is_not_asked_for_again():
    papers, plan = Papers(), planned(0)
    answer = good(papers)
    for stage in plan[0].stages:
        answer(stage)
    asked, outcome = answered(Course(plan, papers, NLL).run(), papers, answer)
    assert asked == []
    assert outcome.values == (2.0,)


def test_a_training_that_was_finished_unwatched_is_not_held_against_a_trial():
    """Its rungs have no values any more, so the pruner is not asked."""
    papers = Papers()
    way = Course(planned(0), papers, NLL, [50], lambda reported: pytest.fail("asked of nothing")).run()
    assert answered(way, papers, but(papers, rung=papers.finish))[1].state == "finished"


def test_seed_by_seed_the_rest_is_left_out_and_the_mean_is_of_those_that_ran():
    papers, seen = Papers(), []

    def judge(reported):
        seen.append(dict(reported))
        return len(reported) == 2

    way = Course(planned(0, 1, 2), papers, NLL, [], None, judge).run()
    asked, outcome = answered(way, papers, good(papers))
    assert [{seed for _, _, seed in stages} for stages in asked] == [{0}, {1}]
    assert seen == [{0: 2.0}, {0: 2.0, 1: 3.0}]
    assert (outcome.state, outcome.values) == ("finished", (2.5,))
    assert outcome.reason == "the first 2 seeds only: the others were left out"


@pytest.mark.parametrize("kind", ["rung", "training", "bound"])
def test_divergence_is_a_failed_trial_with_its_reason(kind):
    papers, reason = Papers(), "the network loss was not finite by step 50"
    way = Course(planned(0), papers, NLL, [50], lambda reported: False).run()
    outcome = answered(way, papers, but(papers, **{kind: lambda stage: papers.diverge(stage, reason)}))[1]
    assert (outcome.state, outcome.reason, outcome.again) == ("failed", reason, False)


def test_an_accident_is_a_failed_trial_that_is_to_be_tried_again():
    papers, message = Papers(), "OSError: No space left on device"
    way = Course(planned(0), papers, NLL).run()
    outcome = answered(way, papers, lambda stage: papers.fail(stage, "machine", message))[1]
    assert outcome == TrialOutcome("failed", message, again=True)


@pytest.mark.parametrize("prune_seeds", [None, lambda reported: False], ids=["side by side", "seed by seed"])
def test_a_missing_objective_fails(prune_seeds):
    papers = Papers()
    way = Course(planned(0, 1), papers, NLL, [], None, prune_seeds).run()
    asked, outcome = answered(way, papers, lambda stage: papers.finish(stage, cost__x=1.0))
    assert (outcome.state, outcome.reason) == ("failed", "nll/val is no number")
    assert len(asked) == 1


def test_what_makes_no_sense_fails_at_once_with_its_reason():
    papers = Papers()
    refused = [replace(item, stages=[], refusal="linear needs …") for item in planned(0)]
    assert answered(Course(refused, papers, NLL).run(), papers, None) == ([], TrialOutcome("failed", "linear needs …"))


def test_seeds_whose_metrics_differ_have_the_mean_of_what_all_have():
    papers = Papers()

    def answer(stage):
        papers.finish(stage, **{"nll__val": 2.0, f"only__{stage.cell.seed}": 1.0})

    outcome = answered(Course(planned(0, 1), papers, NLL).run(), papers, answer)[1]
    assert outcome.metrics == {"nll/val": 2.0}


@pytest.mark.parametrize(("objective", "state"), [(["nll/val"], "finished"), (["mmd/val/digits-cnn"], "failed")])
def test_a_metric_that_breaks_ends_a_trial_only_where_the_search_goes_by_it(objective, state):
    trial, metric = judged("study.objective=mmd")
    assert metric.column == "mmd/val/digits-cnn"
    papers = Papers()
    answer = but(papers, metric=lambda stage: papers.fail(stage, "error", "ValueError: all equal"))
    asked, outcome = answered(Course(trial, papers, objective).run(), papers, answer)
    assert [kind for kind, _, _ in asked[0]] == ["training", "bound", "samples", "metric"]
    assert outcome.state == state
    assert outcome.reason == ("ValueError: all equal" if state == "failed" else "")


def test_what_a_search_does_not_go_by_is_measured_all_the_same():
    trial, _ = judged("evaluation.metrics=[density]", "evaluation.quality=[validation,test]")
    papers = Papers()
    names = {"bound": {"nll__val": 2.0}, "metric": {"density__val__digits-cnn": 0.5}}
    way = Course(trial, papers, NLL).run()
    outcome = answered(way, papers, lambda stage: papers.finish(stage, **names.get(stage.kind, {})))[1]
    assert outcome.values == (2.0,)
    assert outcome.metrics == {"nll/val": 2.0, "density/val/digits-cnn": 0.5}
