"""Guided samples: each kind of guide is trained and asked, a scale is tuned on validation, and nothing else changes.

With one step of DDIM a sample is x̂_0 at x_T, so what guides it is told by the samples of other cells:
guided = guide + w (cell − guide).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ablations.data.shipped import Mixture2d
from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.workers import perform
from ablations.metrics.scoring import reference_of
from ablations.stages import samples as sampling
from ablations.stages.artifacts import SAMPLES
from ablations.stages.graph import unique
from ablations.stages.restore import load_learner
from ablations.stages.samples import GuidanceStage, draw_samples, load_guided
from ablations.stages.stage import Parts, missing, needed_by
from tests.ablations.cells import TINY, over, result_of, results_of, stages_of_cell, training_of

CPU = torch.device("cpu")
POINTS = [
    *("data=mixture2d", "network=mlp", "horizon=25", "evaluation.sets=1", "sampler=ddim", "sampler.steps=1"),
    *("training.steps=40", "training.batch=256", "training.learning_rate=0.01", "training.warmup=10"),
    *("training.precision=float32", "training.report_every=20", "network.width=16", "network.layers=2"),
    *("evaluation.exact=2", "evaluation.n=300"),
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


def performed(root, *words):
    """The stages of a cell by their kinds and splits, with their results; its samples wait for no bound in truth."""
    stages = [stage for stage in stages_of_cell(*words) if stage.kind != "bound"]
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
def test_samples_go_so_far_beyond_the_guide_as_the_scale_says(by, root):
    words = over(POINTS, *BY[by])
    guided, stage = drawn(root, *words, "guidance.scale=2.5")
    own, _ = drawn(root, *words)
    if by == "class":
        guide = unlabelled(root, stage)
    else:
        # A training of so many steps is what a longer one is at that step.
        guide, _ = drawn(root, *over(POINTS, "training.steps=20", *(["network.width=8"] if by == "cell" else [])))
    torch.testing.assert_close(guided, guide + 2.5 * (own - guide), atol=1e-4, rtol=1e-4)
    assert (own - guide).abs().mean() > 1e-2


@pytest.mark.parametrize("by", BY)
def test_cells_that_differ_in_guidance_share_all_but_their_samples(by):
    asked = ("scale=1", "scale=2", "scale=auto", "scale=2 guidance.high=1e9", "scale=2 guidance.low=1")
    found = [
        {stage.id: stage.kind for stage in stages_of_cell(*over(POINTS, *BY[by]), *f"guidance.{words}".split())}
        for words in asked
    ]
    shared = set.intersection(*map(set, found))
    assert {found[0][stage] for stage in shared} == {"training", "bound"}
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
        together = unique([stage for stages in order for stage in stages])
        (one,) = [stage for stage in together if stage.id == guide.id]
        assert one.begins == training_of(alone).begins
    samples = guided[-1]
    assert guide.id in samples.needs
    assert not any(guide.id in stage.needs for stage in guided if stage.kind == "bound")


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
    (guide,) = [stage for stage in stages if stage.kind == "guide"]
    assert guide.id in [stage.id for stage in stages if stage.rung == 40]
    assert [stage.begins for stage in unique(stages) if stage.id == guide.id] == [20]


def test_a_rung_guides_whatever_else_is_scored(tmp_path):
    """Its segment is trained where the training is over already, for the guide alone."""
    words = over(POINTS, *BY["rung"], "guidance.scale=2")
    plain, guided = stages_of_cell(*POINTS), stages_of_cell(*words)
    assert training_of(plain).id == training_of(guided).id
    assert [stage.rung for stage in stages_of_cell(*words, "variance=analytic") if stage.rung] == [20]
    results_of(plain, tmp_path)
    wanted = [stage for stage in missing(guided, Journal(tmp_path)) if not stage.rung or stage.trains]
    assert [(stage.kind, stage.rung) for stage in wanted] == [("training", 20), ("samples", 0)]
    results_of(wanted, tmp_path)


def test_rungs_are_judged_as_the_cell_is_where_its_guide_is_there():
    def judged(*words):
        stages = stages_of_cell(*TINY, "evaluation.rungs=1", "evaluation.judged_rungs=1", *words)
        return {stage.id for stage in stages if stage.rung and stage.kind == "samples"}

    plain, guided = judged(TOLD), judged(TOLD, "guidance.scale=2")
    assert len(plain) == len(guided) == 1
    assert plain != guided
    assert not judged(TOLD, "guidance.scale=auto")
    assert not judged("guidance.scale=2", "guidance.by=rung")


TUNED = over(POINTS, *CHAIN, "guidance.scales=[0,1,2,4]", "guidance.scale=auto")


@pytest.mark.parametrize("by", BY)
def test_the_scale_that_is_tuned_is_the_best_of_all_candidates(by, root):
    """Each candidate by a cell of its own, whose seventeenth set is drawn and held against validation points."""
    words = over(TUNED, *BY[by])
    stage, result = performed(root, *words)["guidance", None]
    scores = {}
    for scale in stage.cell.guidance.scales:
        plain = stages_of_cell(*over(words, f"guidance.scale={scale}"))
        samples = next(stage for stage in plain if stage.kind == "samples")
        model = load_guided(samples.cell, samples.cell.data.load(), Journal(root), samples.parts, CPU)
        drawn_ = draw_samples(samples.cell, model, 300, lambda share: None, first=16 * 300)
        reference = reference_of(samples.cell, "validation", samples.cell.data.load(), CPU)
        scores[scale] = reference.values(reference.default, [drawn_])["energy_distance/val"][0]
    assert result.curves["guidance/energy_distance"] == [list(scores), list(scores.values())]
    best = min(scores, key=scores.get)
    assert result.metrics["guidance/scale"] == best
    tuned, _ = drawn(root, *words)
    fixed, _ = drawn(root, *over(words, f"guidance.scale={best}"))
    assert torch.equal(tuned, fixed)


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
    judged = stages_of_cell(*words, "evaluation.quality=[validation]")
    (samples,) = [stage for stage in judged if stage.kind == "samples"]
    kinds = [(stage.kind, stage.held_out) for stage in needed_by(samples, judged)]
    assert kinds == [("training", None), ("bound", "validation"), ("guidance", None), ("samples", "validation")]
    assert [stage.kind for stage in stages if stage.validates] == ["training", "bound"]


def test_candidates_whose_samples_are_not_finite_are_none_and_all_of_them_diverge(tmp_path, monkeypatch):
    stages = stages_of_cell(*over(TUNED, *BY["class"]))
    (stage,) = [stage for stage in stages if isinstance(stage, GuidanceStage)]
    result_of(stages[0], tmp_path)
    draw = sampling.draw_samples
    monkeypatch.setattr(
        sampling, "draw_samples", lambda cell, *given: None if cell.guidance.scale < 4 else draw(cell, *given)
    )
    result = result_of(stage, tmp_path)
    assert (result.metrics["guidance/scale"], result.curves["guidance/energy_distance"][0]) == (4.0, [4.0])
    other = replace(stage, id="none")
    monkeypatch.setattr(sampling, "draw_samples", lambda *given: None)
    assert perform(other, Journal(tmp_path), "cpu") == "diverged"
