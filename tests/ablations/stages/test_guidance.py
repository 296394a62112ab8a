"""Guided samples: each kind of guide is trained and asked, a scale is tuned on validation, and nothing else changes.

With one step of DDIM a sample is x̂_0 at x_T, so what guides it is told by the samples of other cells:
guided = guide + w (cell − guide).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ablations.data.mixture2d import Mixture2d
from ablations.data.tensors import read_tensors
from ablations.driver.trained import cell_in, to_sample
from ablations.engine.journal import Journal, Result
from ablations.engine.perform import perform
from ablations.results.folder import line_of
from ablations.results.records import record
from ablations.stages import guidance as tuning
from ablations.stages.artifacts import SAMPLES, average_at
from ablations.stages.graph import once, training_of, validated
from ablations.stages.guidance import GuidanceStage
from ablations.stages.restore import Parts, load_learner
from ablations.stages.rung import RungStage, rung_of
from ablations.stages.samples import SamplesStage, draw_samples
from ablations.tracking.model import read_model, write_model
from analysis.errors import InputError
from tests.ablations.conftest import TINY, over, plan_of, result_of, stages_of_cell

CPU = torch.device("cpu")
POINTS = [
    *("data=mixture2d", "network=mlp", "horizon=25", "evaluation.sets=1", "sampler=ddim", "sampler.steps=1"),
    *("training.steps=40", "training.batch=256", "training.learning_rate=0.01", "training.warmup=10"),
    *(
        "training.precision=float32",
        "training.report_every=20",
        "network.width=16",
        "network.layers=2",
        "evaluation.exact=2",
        "evaluation.n=300",
    ),
]
TOLD = "conditioning=class"
SMALLER = "guidance.guide=['network.width=8','training.steps=20']"
BY = {
    "class": [TOLD, "guidance.by=class"],
    "rung": ["guidance.by=rung", "evaluation.rungs=1"],
    "cell": ["guidance.by=cell", SMALLER],
}
CHAIN = ["sampler=ancestral", "sampler.steps=5"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A journal that these tests share: what one of them trains, others find."""
    return tmp_path_factory.mktemp("guided")


def performed(root, *words, bounds=False):
    """The stages of a cell by their kinds and splits, with their results; its samples wait for no bound in truth."""
    stages = [stage for stage in stages_of_cell(*words) if bounds or stage.kind not in ("bound", "rung")]
    return {(stage.kind, stage.held_out): (stage, result_of(stage, root)) for stage in stages}


def drawn(root, *words):
    """The samples of a cell, and their stage."""
    stage, _ = performed(root, *words)["samples", "test"]
    return read_tensors(root / stage.id / SAMPLES)[0]["samples"].double(), stage


def unlabelled(root, stage):
    """Samples of the noise of a stage's first ones by its network without a label."""
    cell = stage.cell
    own = Parts(stage.parts.training)
    diffusion = load_learner(cell, cell.data.load(), Journal(root), own, CPU).diffusion
    return cell.sampler.sample(diffusion, 300, seed=cell.seed).double()


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("scale", [0.0, 2.5])
def test_samples_go_so_far_beyond_the_guide_as_the_scale_says(by, scale, root):
    words = over(POINTS, *BY[by])
    guided, stage = drawn(root, *words, f"guidance.scale={scale}")
    own, _ = drawn(root, *words)
    if by == "class":
        guide = unlabelled(root, stage)
    else:
        # A training of so many steps is what a longer one is at that step.
        guide, _ = drawn(root, *over(POINTS, "training.steps=20", *(["network.width=8"] if by == "cell" else [])))
    torch.testing.assert_close(guided, guide + scale * (own - guide), atol=1e-4, rtol=1e-4)
    assert (own - guide).abs().mean() > 1e-2


@pytest.mark.parametrize("by", BY)
def test_an_interval_guides_some_of_the_steps_and_costs_as_much_less(by, root):
    words = over(POINTS, *CHAIN, *BY[by])
    asked = [], ["guidance.scale=3", "guidance.high=1"], ["guidance.scale=3"]
    own, some, all_of_them = (drawn(root, *words, *more)[0] for more in asked)
    assert len({float(values.sum()) for values in (own, some, all_of_them)}) == 3
    costs = [performed(root, *words, *more)["samples", "test"][1].metrics["cost/sample_flops"] for more in asked]
    assert costs[0] < costs[1] < costs[2]
    assert by == "cell" or costs[2] == 2 * costs[0]


@pytest.mark.parametrize("by", BY)
def test_a_scale_of_one_is_the_cell_that_it_always_was(by):
    words = over(POINTS, *BY[by])
    plain = over(POINTS, *(word for word in BY[by] if not word.startswith("guidance")))
    assert [s.id for s in stages_of_cell(*words)] == [s.id for s in stages_of_cell(*plain)]
    item, other = (plan_of(*of).planned[0] for of in (words, plain))
    assert item.cell_id == other.cell_id
    assert item.cell == other.cell


@pytest.mark.parametrize("by", BY)
def test_cells_that_differ_in_guidance_share_all_but_their_samples(by):
    asked = ("scale=1", "scale=2", "scale=auto", "scale=2 guidance.high=1e9", "scale=2 guidance.low=1")
    found = [
        {stage.id: stage.kind for stage in stages_of_cell(*over(POINTS, *BY[by]), *f"guidance.{words}".split())}
        for words in asked
    ]
    shared = set.intersection(*map(set, found))
    assert {found[0][stage] for stage in shared} == {"training", "bound"} | ({"rung"} if by == "rung" else set())
    own = [{kind for stage, kind in stages.items() if stage not in shared} for stages in found]
    guide = {"guide"} if by == "cell" else set()
    assert own == [{"samples"}, *({"samples", *kinds, *guide} for kinds in ((), ("guidance",), (), ()))]
    assert len({stage for stages in found for stage, kind in stages.items() if kind == "samples"}) == len(asked)
    assert len({stage for stages in found for stage, kind in stages.items() if kind == "guide"}) == len(guide)


def test_the_training_of_a_guide_is_that_of_a_cell_which_stands_in_the_grid(root):
    guided = stages_of_cell(*over(POINTS, *BY["cell"], "guidance.scale=2"))
    alone = stages_of_cell(*over(POINTS, "network.width=8", "training.steps=20", "evaluation.rungs=1"))
    (guide,) = [stage for stage in guided if stage.kind == "guide"]
    assert guide.id == training_of(alone).id != training_of(guided).id
    assert guide.cell.seed == training_of(guided).cell.seed
    for order in ((guided, alone), (alone, guided)):
        together = once([stage for stages in order for stage in stages])
        (one,) = [stage for stage in together if stage.id == guide.id]
        assert one.scored == training_of(alone).scored
        assert one.kept == training_of(alone).kept
    samples = guided[-1]
    assert guide.id in samples.needs
    assert not any(guide.id in stage.needs for stage in guided if stage.kind == "bound")
    others = plan_of(*over(POINTS, *BY["cell"], "guidance.scale=2", "seeds=2")).stages()
    assert {(s.kind, s.cell.seed) for s in others if s.kind in ("training", "guide")} == {
        (kind, seed) for kind in ("training", "guide") for seed in (0, 1)
    }
    assert len({stage.id for stage in others if stage.kind == "guide"}) == 2


def test_a_guide_of_latents_has_the_codes_of_what_it_guides_and_a_short_one_its_trunk():
    latent = stages_of_cell(
        *TINY, "space=latents", "guidance.by=cell", "guidance.guide=['network.channels=16']", "guidance.scale=2"
    )
    kinds = [stage.kind for stage in latent]
    assert kinds == ["autoencoder", "training", "bound", "bound", "guide", "samples", "reconstruction"]
    guide = latent[kinds.index("guide")]
    assert guide.autoencoder == latent[0].id
    assert guide.needs == (latent[0].id,)
    words = over(POINTS, "training.rate=wsd", "training.steps=80", "guidance.by=cell", "guidance.scale=2")
    stages = stages_of_cell(*words, "guidance.guide=['training.steps=40']", "evaluation.rungs=1")
    (branch, guide) = [stage for stage in stages if stage.kind in ("branch", "guide")][::-1]
    assert branch.id == guide.id


def test_a_rung_guides_where_its_training_leaves_its_average_whatever_else_is_scored():
    words = over(POINTS, *BY["rung"], "guidance.scale=2")
    training = training_of(stages_of_cell(*words))
    assert training.kept == training.rungs == {20}
    fitted = training_of(stages_of_cell(*words, "variance=analytic"))
    assert (fitted.scored, fitted.rungs) == ((), {20})
    assert training.id == training_of(stages_of_cell(*over(POINTS))).id
    assert training_of(once([*stages_of_cell(*POINTS), *stages_of_cell(*words)])).kept == {20}


def test_a_training_that_left_no_average_is_made_anew_for_its_guide(tmp_path):
    training, *_ = stages_of_cell(*POINTS)
    before = result_of(training, tmp_path)
    stages = stages_of_cell(*over(POINTS, *BY["rung"], "guidance.scale=2"))
    samples, journal = stages[-2] if stages[-1].kind == "rung" else stages[-1], Journal(tmp_path)
    assert isinstance(samples, SamplesStage)
    assert training.id in samples.needs
    assert not (tmp_path / training.id / average_at(20)).exists()
    assert perform(samples, journal, "cpu") == "damaged"
    assert f"{average_at(20)} is missing" in journal.failure(samples.id).message
    assert journal.result(training.id) is None
    again = result_of(training_of(stages), tmp_path)
    assert again.metrics["train/network"] == before.metrics["train/network"]
    result_of(samples, tmp_path)


def test_rungs_are_judged_as_the_cell_is_where_its_guide_is_there():
    def judged(*words):
        stages = stages_of_cell(
            *over(TINY, "training.steps=60"), "evaluation.rungs=1", "evaluation.judged_rungs=1", *words
        )
        return {stage.id for stage in stages if isinstance(stage, RungStage) and stage.scores == "samples"}

    plain, guided = judged(TOLD), judged(TOLD, "guidance.scale=2")
    assert len(plain) == len(guided) == 1
    assert plain != guided
    assert not judged(TOLD, "guidance.scale=auto")
    assert not judged("guidance.scale=2", "guidance.by=rung")


TUNED = over(POINTS, *CHAIN, "guidance.scales=[0,0.5,1,1.5,2,4]", "guidance.scale=auto")


@pytest.mark.parametrize("by", BY)
def test_the_scale_that_is_tuned_is_the_best_of_all_candidates(by, root):
    """Each candidate by a cell of its own, whose seventeenth set is drawn and held against validation points."""
    words = over(TUNED, *BY[by])
    stage, result = performed(root, *words)["guidance", None]
    scores = {}
    for scale in stage.cell.guidance.scales:
        plain = stages_of_cell(*over(words, f"guidance.scale={scale}"))
        samples = next(stage for stage in plain if stage.kind == "samples")
        last = replace(samples, id=f"brute-{by}-{scale}", split="validation", first=16)
        scores[scale] = result_of(last, root).metrics["energy_distance/val"]
    assert result.curves["guidance/energy_distance"] == [list(scores), list(scores.values())]
    best = min(scores, key=scores.get)
    assert result.metrics["guidance/scale"] == best
    tuned, _ = drawn(root, *words)
    fixed, _ = drawn(root, *over(words, f"guidance.scale={best}"))
    assert torch.equal(tuned, fixed)


def test_what_a_candidate_has_scored_is_not_drawn_again(tmp_path, root, monkeypatch):
    words = over(TUNED, *BY["class"])
    _, result = performed(root, *words)["guidance", None]
    stages = stages_of_cell(*words)
    (stage,) = [stage for stage in stages if isinstance(stage, GuidanceStage)]
    result_of(stages[0], tmp_path)
    asked, draw = [], tuning.draw_samples

    def counted(cell, *given):
        asked.append(cell.guidance.scale)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return draw(cell, *given)

    monkeypatch.setattr(tuning, "draw_samples", counted)
    with pytest.raises(KeyboardInterrupt):
        perform(stage, Journal(tmp_path), "cpu")
    again = result_of(stage, tmp_path)
    assert asked == [0, 0.5, 1, 1, 1.5, 2, 4]
    assert again.metrics["guidance/scale"] == result.metrics["guidance/scale"]
    assert again.curves == result.curves


def test_a_scale_is_tuned_without_a_look_at_test_points(tmp_path, root, monkeypatch):
    words = over(TUNED, *BY["class"])
    _, result = performed(root, *words)["guidance", None]
    stages = stages_of_cell(*words)
    whole = Mixture2d().load()
    blind = replace(whole, images=whole.images | {"test": torch.full_like(whole.images["test"], torch.nan)})
    monkeypatch.setattr(Mixture2d, "load", lambda self: blind)
    result_of(stages[0], tmp_path)
    (stage,) = [stage for stage in stages if isinstance(stage, GuidanceStage)]
    assert result_of(stage, tmp_path).curves == result.curves
    kinds = [
        (stage.kind, stage.held_out) for stage in validated(stages_of_cell(*words, "evaluation.quality=[validation]"))
    ]
    assert kinds == [("training", None), ("bound", "validation"), ("guidance", None), ("samples", "validation")]
    assert [stage.kind for stage in validated(stages)] == ["training", "bound"]


def test_candidates_whose_samples_are_not_finite_are_none_and_all_of_them_diverge(tmp_path, monkeypatch):
    stages = stages_of_cell(*over(TUNED, *BY["class"]))
    (stage,) = [stage for stage in stages if isinstance(stage, GuidanceStage)]
    result_of(stages[0], tmp_path)
    draw = tuning.draw_samples
    monkeypatch.setattr(
        tuning, "draw_samples", lambda cell, *given: None if cell.guidance.scale < 4 else draw(cell, *given)
    )
    result = result_of(stage, tmp_path)
    assert (result.metrics["guidance/scale"], result.curves["guidance/energy_distance"][0]) == (4.0, [4.0])
    other = replace(stage, id="none")
    monkeypatch.setattr(tuning, "draw_samples", lambda *given: None)
    assert perform(other, Journal(tmp_path), "cpu") == "diverged"


@pytest.fixture(scope="module")
def cell_of_row(root):
    """A cell that is guided by another, by a scale that was tuned: its record, and its stages with their results."""
    words = over(TUNED, *BY["cell"])
    found = performed(root, *words, bounds=True)
    (item,) = plan_of(*words).planned
    return record(replace(item, stages=[stage for stage, _ in found.values()]), Journal(root)), found


def test_a_row_holds_the_scale_of_its_cell_and_what_its_guide_cost(cell_of_row):
    found, stages = cell_of_row
    assert found.status == "finished", found.reason
    own, guide = stages["training", None][1], stages["guide", None][1]
    assert found.metrics["cost/total_flops"] == own.metrics["cost/train_flops"] + guide.metrics["cost/train_flops"]
    assert found.metrics["cost/train_flops"] == own.metrics["cost/train_flops"]
    assert found.metrics["cost/guide_seconds"] == guide.metrics["cost/train_seconds"]
    assert found.metrics["guidance/scale"] == stages["guidance", None][1].metrics["guidance/scale"]
    assert list(found.curves["train/network"]) == own.curves["train/network"]
    assert found.planned.parts.training == stages["training", None][0].id


def test_a_guide_that_diverges_ends_the_cell_and_says_that_it_did(cell_of_row, tmp_path):
    found, stages = cell_of_row
    journal = Journal(tmp_path)
    for stage, result in stages.values():
        if stage.kind == "guide":
            result = Result("diverged", "the network loss was not finite", {}, {}, result.metadata)
        journal.folder(stage.id).mkdir()
        journal.write_result(stage.id, result)
    ended = record(found.planned, journal)
    assert (ended.status, ended.reason) == ("diverged", "guide: the network loss was not finite")


def test_from_its_row_samples_are_drawn_as_its_stage_drew_them(cell_of_row, root):
    found, stages = cell_of_row
    line = {name: str(value) for name, value in line_of(found).items()}
    cell, model = to_sample(cell_in(line), line, Journal(root), CPU)
    wanted = read_tensors(root / stages["samples", "test"][0].id / SAMPLES)[0]["samples"]
    assert torch.equal(draw_samples(cell, model, 300, lambda share: None), wanted)
    del line["guidance/scale"]
    with pytest.raises(InputError, match="has no guidance/scale yet: run its grid again"):
        to_sample(cell_in(line), line, Journal(root), CPU)


@pytest.mark.parametrize("by", BY)
def test_its_model_draws_the_samples_of_the_cell(by, root, tmp_path):
    words = over(TUNED, *BY[by])
    wanted, stage = drawn(root, *words)
    write_model(tmp_path, stage.cell, stage.parts, Journal(root))
    cell, model = read_model(tmp_path, CPU)
    assert cell.guidance.scale == Journal(root).result(stage.parts.tuned).metrics["guidance/scale"]
    assert torch.equal(draw_samples(cell, model, 300, lambda share: None).double(), wanted)


def test_a_rung_that_leads_leaves_the_average_that_is_to_guide(tmp_path):
    """One of a search, which takes a training so far before it is run."""
    words = over(POINTS, "training.steps=80", *BY["rung"], "guidance.scale=2", "guidance.rung=2", "evaluation.rungs=2")
    training = training_of(stages_of_cell(*words))
    assert training.kept == {20}
    rung = rung_of(training, 60)
    assert rung.leads
    result_of(rung, tmp_path)
    assert (tmp_path / training.id / average_at(20)).exists()
