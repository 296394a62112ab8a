"""Trainings that are scored on their way: chains of segments, which end bit by bit as a training in one piece."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.engine.journal import CHECKPOINT, STATE, Journal
from ablations.engine.workers import perform, perform_all
from ablations.settings.budget import fork_of, rungs
from ablations.stages import bound as bounds
from ablations.stages import samples as sampling
from ablations.stages import training_loop
from ablations.stages.graph import unique
from ablations.stages.stage import missing, needed_by
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from tests.ablations.cells import (
    POINTS,
    TINY,
    assert_same,
    cells_of,
    over,
    reproducible,
    result_of,
    results_of,
    stages_in,
    stages_of_cell,
    training_in,
    training_of,
    weights,
)

ASKED = ["evaluation.rungs=2"]
JUDGED = [*ASKED, "evaluation.judged_rungs=1"]
FID = "fid/train/digits-cnn"
WHOLE = ["training.steps=40", "training.report_every=5", "training.warmup=2"]
"""Rungs are at 10 and 20."""
IMAGES, ON_POINTS = over(TINY, *WHOLE, "training.batch=16"), over(POINTS, *WHOLE)
WSD = over(ON_POINTS, "training.rate=wsd", "training.clip=0.5", *ASKED)
"""Its rungs leave the trunk at 5 and 10."""
pytestmark = pytest.mark.usefixtures("few_digits_here")


def segments_in(stages):
    return [stage for stage in stages if stage.trains]


def rungs_in(stages):
    return [stage for stage in stages if stage.rung and not stage.trains]


@pytest.fixture
def taken(monkeypatch):
    """The steps that trainings take, each by its number."""
    steps = []
    step = Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda *given: steps.append(given[3]) or step(*given))
    return steps


@pytest.mark.parametrize(
    ("plan", "count", "expected"),
    [
        (Training(steps=400, report_every=50, warmup=50), 3, [50, 100, 200]),
        (Training(steps=60, report_every=60, warmup=10), 2, []),
        (Training(steps=1000, report_every=50, warmup=100, rate="wsd"), 2, [250, 500]),
        (Training(steps=1000, report_every=50, warmup=200, rate="wsd"), 2, [500]),
    ],
)
def test_rungs_are_halves_of_the_steps_at_reports(plan, count, expected):
    assert rungs(plan, count) == expected
    for steps in expected if plan.rate == "wsd" else []:
        assert fork_of(plan, steps) <= (1 - plan.cooldown) * steps < fork_of(plan, steps) + plan.report_every


def test_they_change_no_other_stage():
    plain, asked = (stages_of_cell(*IMAGES, *words) for words in ([], JUDGED))
    more = [stage for stage in asked if stage.id not in {stage.id for stage in plain}]
    assert len(asked) == len(plain) + len(more)
    assert sorted((stage.kind, stage.rung) for stage in more) == [
        *(("bound", 10), ("bound", 20), ("samples", 20), ("training", 10), ("training", 20))
    ]
    assert all(stage.optional for stage in more)
    assert not any(stage.optional for stage in plain)
    waited = {need for stage in asked for need in stage.needs if stage not in more and not stage.trains}
    assert not waited & {stage.id for stage in more}
    assert [stage.kind for stage in asked if stage.validates] == ["training", "bound"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory, few_digits_here):
    """A cell's stages with its rungs, in the order in which they run, and what they came to."""
    root = tmp_path_factory.mktemp("chain")
    stages = stages_of_cell(*IMAGES, *JUDGED)
    with pytest.MonkeyPatch.context() as patch:
        # Each leaves a checkpoint at every report.
        patch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
        return root, stages, results_of(stages, root)


def test_a_chain_ends_as_the_training_in_one_piece_and_leaves_no_state(chain, tmp_path):
    root, stages, results = chain
    whole = training_in(*IMAGES)
    assert whole.id == training_of(stages).id
    one = result_of(whole, tmp_path)
    assert_same(weights(whole, root), weights(whole, tmp_path))
    assert reproducible(results[whole.id].curves) == reproducible(one.curves)
    assert results[whole.id].metrics["cost/train_flops"] == one.metrics["cost/train_flops"]
    assert [path for name in (STATE, CHECKPOINT) for path in root.glob(f"*/{name}")] == []


def test_a_rung_scores_what_a_training_of_so_many_steps_scores(chain, tmp_path):
    """By a quarter of the strata and one set; the rate of this trainer does not look ahead."""
    _, stages, results = chain
    short = stages_of_cell(*over(IMAGES, "training.steps=20", "evaluation.strata=1", "evaluation.sets=1"))
    expected = {stage.kind + (stage.held_out or ""): result_of(stage, tmp_path).metrics for stage in short}
    found = {stage.kind: results[stage.id].metrics for stage in rungs_in(stages) if stage.rung == 20}
    assert found["bound"].keys() == {"nll/val", "cost/rung_seconds"}
    assert found["bound"]["nll/val"] == expected["boundvalidation"]["nll/val"]
    assert found["samples"].keys() == {FID, "cost/rung_seconds"}
    assert found["samples"][FID] == expected["samplestest"][FID]


@pytest.mark.parametrize("lost", ["its state", "a byte of its state"])
def test_a_segment_begins_where_the_one_before_it_ended_or_at_the_beginning(lost, tmp_path, taken):
    """The state of one goes when the next has ended."""
    stages = stages_of_cell(*over(ON_POINTS, *ASKED))
    first, second, last = segments_in(stages)
    journal = Journal(tmp_path)
    for segment in (first, second):
        result_of(segment, tmp_path)
        assert [path.parent.name for path in tmp_path.glob(f"*/{STATE}")] == [segment.id]
    assert journal.result(first.id) is not None
    path = tmp_path / second.id / STATE
    if lost == "its state":
        path.unlink()
    if lost == "a byte of its state":
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert perform(last, journal, "cpu") == "failed"
        assert "state.safetensors has been altered" in journal.failure(last.id).message
        # The same command makes it anew.
        assert [stage.id for stage in missing(stages, journal) if stage.trains] == [second.id, last.id]
        result_of(second, tmp_path)
    taken.clear()
    result_of(last, tmp_path)
    assert taken == list(range(0 if lost == "its state" else 20, 40))
    result_of(training_in(*ON_POINTS), tmp_path / "whole")
    assert_same(weights(last, tmp_path), weights(last, tmp_path / "whole"))


@pytest.mark.parametrize(
    "words",
    [
        "average=0.15 training.snapshots=8",
        "schedule=learned objective=vlb_continuous evaluation.continuous=0",
        "timesteps=importance timesteps.history=3",
        "conditioning=class conditioning.self_conditioning=true training.micro_batch=24",
    ],
)
def test_a_training_that_is_cut_at_two_checkpoints_ends_as_a_whole_one(words, tmp_path, monkeypatch):
    stage, write = training_in(*over(ON_POINTS, "training.steps=25", *words.split())), training_loop.write_checkpoint
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)

    def cut(*given):
        write(*given)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "write_checkpoint", cut)
        assert [perform(stage, Journal(tmp_path / "cut"), "cpu") for _ in range(2)] == ["failed"] * 2
    ends = [result_of(stage, tmp_path / name) for name in ("cut", "whole")]
    assert reproducible(ends[0].curves) == reproducible(ends[1].curves)
    left = [sorted((tmp_path / name / stage.id).glob("*.safetensors")) for name in ("cut", "whole")]
    assert [path.name for path in left[0]] == [path.name for path in left[1]]
    for one, other in zip(*left, strict=True):
        assert_same(read_tensors(one)[0], read_tensors(other)[0])


def test_cells_that_share_a_training_and_ask_for_other_rungs_train_it_once(tmp_path, taken):
    """Of two cells that differ in σ², one asks for step 10, the other for 20: the chain has both."""
    cells = cells_of(*over(ON_POINTS, "variance=beta,beta_tilde"))
    stages = unique([stage for cell, rung in zip(cells, (20, 10), strict=True) for stage in stages_in(cell, [rung])])
    chain = segments_in(stages)
    assert [(stage.until, stage.begins) for stage in chain] == [(10, 0), (20, 10), (40, 20)]
    assert [stage.before for stage in chain] == [None, chain[0].id, chain[1].id]
    places = {stage.id: place for place, stage in enumerate(stages)}
    assert all(places[need] < places[stage.id] for stage in stages for need in stage.needs)
    results_of(chain, tmp_path)
    assert taken == list(range(40))


def test_a_search_trains_no_further_than_it_needs():
    stages = stages_of_cell(*POINTS, rungs=[20, 60])
    ways = [needed_by(rung, stages) for rung in rungs_in(stages)]
    assert [[stage.rung for stage in way] for way in ways] == [[20, 20], [20, 60, 60]]


def test_where_a_training_is_over_its_segments_are_missing_for_their_rungs_alone(tmp_path):
    plain, asked = stages_of_cell(*ON_POINTS), stages_of_cell(*over(ON_POINTS, *ASKED))
    results_of(plain, tmp_path)
    journal = Journal(tmp_path)
    assert [(stage.kind, stage.rung) for stage in missing(asked, journal)] == [
        *(("training", 10), ("bound", 10), ("training", 20), ("bound", 20))
    ]
    for stage in rungs_in(asked):
        results_of(needed_by(stage, asked), tmp_path)
    for stage in segments_in(asked)[:-1]:
        journal.forget_result(stage.id)
    assert missing(asked, journal) == []


def test_a_training_that_diverges_on_its_way_ends_so_and_is_not_trained_again(tmp_path, taken):
    words = over(ON_POINTS, *ASKED, "training.learning_rate=1e30")
    stages, alone = stages_of_cell(*words), training_in(*over(words, "evaluation.rungs=0"))
    statuses = [perform(stage, Journal(tmp_path), "cpu") for stage in segments_in(stages)]
    assert statuses == ["finished", "finished", "diverged"]
    assert taken == list(range(len(taken)))
    assert perform(alone, Journal(tmp_path / "alone"), "cpu") == "diverged"
    one, other = (Journal(root).result(alone.id) for root in (tmp_path, tmp_path / "alone"))
    assert one.reason == other.reason == f"the network loss was not finite by step {len(taken) // 2}"
    assert reproducible(one.curves) == reproducible(other.curves)
    assert weights(alone, tmp_path).keys() == weights(alone, tmp_path / "alone").keys()
    for rung in rungs_in(stages):
        assert perform(rung, Journal(tmp_path), "cpu") == "diverged"
        assert Journal(tmp_path).result(rung.id).reason == one.reason


def test_a_score_at_a_rung_that_is_not_finite_is_none(chain, monkeypatch):
    root, stages, _ = chain
    scored, journal = bounds.bound_of, Journal(root)

    def lost(*given, **more):
        terms = scored(*given, **more)
        return replace(terms, L0=terms.L0 * math.nan)

    monkeypatch.setattr(bounds, "bound_of", lost)
    monkeypatch.setattr(sampling, "draw_samples", lambda *given: None)
    for stage in rungs_in(stages):
        other = replace(stage, id=f"{stage.id}-again")
        assert perform(other, journal, "cpu") == "diverged"
        verb = "is" if stage.kind == "bound" else "are"
        assert journal.result(other.id).reason == f"the {stage.doing} {verb} not finite"


def test_no_test_image_enters_a_judged_rung(chain, monkeypatch, tmp_path):
    """Images that were not there could not be read."""
    root, stages, results = chain
    (stage,) = [stage for stage in rungs_in(stages) if stage.kind == "samples"]
    data = stage.cell.data.load()
    blank = replace(data, images={**data.images, "test": torch.zeros_like(data.images["test"])})
    monkeypatch.setattr(type(stage.cell.data), "load", lambda self: blank)
    again = replace(stage, id="blind")
    assert result_of(again, root).metrics[FID] == results[stage.id].metrics[FID]


@pytest.mark.parametrize(
    "words",
    [
        *("variance=analytic", "spacing=optimal evaluation.horizon=5", "space=latents space.f=2 horizon=0"),
        *("average=raw", "average=0.05"),
    ],
)
def test_what_has_no_bound_on_its_way_has_no_rungs(words):
    """A variance and a spacing are fitted to the whole training, and other averages belong to its end."""
    found = stages_of_cell(*over(TINY, *words.split(), "evaluation.rungs=2"))
    assert [stage.kind for stage in found if stage.rung] == []


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    """A training at a rate with a trunk, and those of its rungs."""
    root, stages = tmp_path_factory.mktemp("trunk"), unique(stages_of_cell(*WSD))
    return root, stages, results_of(stages, root)


def test_at_a_rate_with_a_trunk_a_rung_is_the_training_of_so_many_steps(trunk, tmp_path):
    root, stages, results = trunk
    for steps in (20, 40):
        short = stages_of_cell(*over(WSD, f"training.steps={steps}", "evaluation.rungs=0", "evaluation.strata=1"))
        alone = training_of(short)
        result = result_of(alone, tmp_path)
        (stage,) = [stage for stage in segments_in(stages) if stage.id == alone.id]
        assert (stage.rung, stage.optional) == ((steps, True) if steps < 40 else (0, False))
        assert_same(weights(stage, root), weights(alone, tmp_path))
        assert reproducible(results[stage.id].curves) == reproducible(result.curves)
        (bound,) = [one for one in short if one.kind == "bound" and one.held_out == "validation"]
        for rung in (rung for rung in rungs_in(stages) if rung.rung == steps):
            assert results[rung.id].metrics["nll/val"] == result_of(bound, tmp_path).metrics["nll/val"]


def test_its_trunk_is_trained_once_for_trainings_of_all_lengths(tmp_path, taken):
    segments = segments_in(unique(stages_of_cell(*WSD)))
    assert [(stage.until, stage.begins) for stage in segments] == [(5, 0), (10, 5), (10, 5), (20, 10), (40, 10)]
    results_of(segments, tmp_path)
    # To the forks at 5 and 10, the cooldowns to 10 and 20, and the rest to 40.
    assert Counter(taken) == Counter([*range(40), *range(5, 10), *range(10, 20)])
    taken.clear()
    longer = stages_of_cell(*over(WSD, "training.steps=80", "evaluation.rungs=3"))
    results_of(unique([*segments, *segments_in(longer)]), tmp_path)
    assert Counter(taken) == Counter([*range(10, 80)])


def test_side_by_side_segments_of_unequal_length_end_as_they_do_alone(tmp_path):
    """Two begin at the beginning, and one goes on from where it was."""
    words = over(ON_POINTS, *ASKED, "seeds=3")
    chains = [segments_in(stages_in(cell)) for cell in cells_of(*words)]
    result_of(chains[2][0], tmp_path)
    first = [chains[0][0], replace(chains[1][2], before=None, begins=0, needs=()), chains[2][1]]
    assert len({stage.shape_key("cpu") for stage in first} - {""}) == 1
    assert perform_all(first, Journal(tmp_path), "cpu") == ["finished"] * 3
    for stage, segments in zip(first, chains, strict=True):
        alone = tmp_path / "alone"
        results_of([one for one in segments if one.until <= stage.until], alone)
        assert_same(weights(stage, tmp_path), weights(stage, alone))
