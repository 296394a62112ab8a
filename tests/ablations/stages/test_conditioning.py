"""Cells whose networks are told labels: what their stages read, learn, score and draw."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ablations import sample
from ablations.data import base
from ablations.data.digits import Digits
from ablations.data.mixture2d import Mixture2d
from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.perform import perform_all
from ablations.settings.budget import bound_passes, forward_flops, sample_passes, training_passes
from ablations.settings.identity import parameters, read_by_id
from ablations.settings.making import cell_of as read_back
from ablations.settings.rules import refusal
from ablations.stages.artifacts import SAMPLES
from ablations.stages.restore import build, labels_of_samples, load, load_encoding
from ablations.stages.rung import RungStage
from ablations.stages.samples import draw_samples, more_sets
from ablations.stages.training import TrainingStage, stored_of
from analysis.errors import InputError
from diffusion_core.networks.layers import LabelEmbedding
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.network import Network
from tests.ablations.conftest import TINY, cell_of, over, plan_of, result_of, stages_of_cell

TOLD = "conditioning=class"
OWN = "conditioning.self_conditioning=true"
MODES, STD = 4, 0.2
POINTS = [
    *("data=mixture2d", f"data.modes={MODES}", f"data.std={STD}", "network=mlp", "horizon=25", "evaluation.sets=1"),
    *("training.steps=300", "training.batch=256", "training.learning_rate=0.01", "training.warmup=10"),
    *("training.report_every=100", "network.width=32", "network.layers=2", "evaluation.exact=25", "evaluation.n=400"),
]
LEARNING = ["parameterization=v", "variance=learned", "objective=hybrid", "spacing=optimal", "sampler.steps=10"]
LEARNING.append("conditioning.dropout=0.5")
SHORT = over(POINTS, "training.steps=8", "training.report_every=2", "training.warmup=1", "evaluation.exact=2")
CPU = torch.device("cpu")


def ids(*words):
    return {(stage.kind, stage.held_out): stage.id for stage in stages_of_cell(*words)}


def performed(root, stages):
    return {(stage.kind, stage.held_out): (stage, result_of(stage, root)) for stage in stages}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Stages of a cell that learned where points of each label lie, with their results."""
    root = tmp_path_factory.mktemp("told")
    return root, performed(root, stages_of_cell(*POINTS, TOLD, *LEARNING))


def test_no_label_and_no_estimate_is_what_there_always_was():
    cell = cell_of(*TINY, "conditioning=unconditional")
    assert "conditioning" not in read_by_id(cell)
    assert ids(*TINY) == ids(*TINY, "conditioning=unconditional") == ids(*TINY, "conditioning.self_conditioning=false")
    assert parameters(cell)["conditioning"] == "unconditional"


@pytest.mark.parametrize("words", [[TOLD], [OWN], [TOLD, OWN], [TOLD, "conditioning.dropout=0.2"]])
def test_what_a_network_is_told_is_read_by_all_that_it_learns(words):
    plain, other = ids(*TINY), ids(*TINY, *words)
    assert plain.keys() == other.keys()
    assert not set(plain.values()) & set(other.values())
    cell = cell_of(*TINY, *words)
    assert read_back(parameters(cell), cell.seed) == cell


def test_labels_enter_what_learns_from_them_and_nothing_else(monkeypatch):
    before = [ids(*TINY), ids(*TINY, OWN), ids(*TINY, TOLD)]
    whole = Digits().load()
    turned = replace(whole, labels={split: labels.flip(0) for split, labels in whole.labels.items()})
    monkeypatch.setattr(base, "_loaded", lambda choice: turned)
    after = [ids(*TINY), ids(*TINY, OWN), ids(*TINY, TOLD)]
    assert after[:2] == before[:2]
    assert not set(after[2].values()) & set(before[2].values())


def test_the_bound_of_points_is_above_their_entropy_with_a_label_and_without(told):
    """H(x|y) of a Gaussian in bits per dimension, H(x) of the mixture as its exact density codes the test points."""
    _, found = told
    metrics = found["bound", "test"][1].metrics
    given = 0.5 * math.log2(2 * math.pi * math.e * STD**2)
    without = Mixture2d(MODES, STD).load().codes["exact density"]
    assert given + 0.8 < without
    assert given - 3 * metrics["nll/test_se"] < metrics["nll/test"] < given + 0.35
    assert without - 0.02 < metrics["nll_unlabelled/test"] < without + 0.6
    assert {"nll_unlabelled/test_se", "nll_unlabelled/test_draw_se", "nll_unlabelled/test_L0"} <= metrics.keys()
    assert not any("unlabelled" in name for name in found["bound", "validation"][1].metrics)
    assert given < found["bound", "validation"][1].metrics["nll/val"] < given + 0.35


def test_a_fit_is_that_of_the_network_with_labels(told):
    """At t = T nearly nothing of x_0 is seen: with a label its variance is that of a mode."""
    _, found = told
    times, errors = found["fit", None][1].curves["x0_error"]
    assert times[-1] == 25
    assert errors[-1] == pytest.approx(STD**2, rel=0.4)


def test_samples_lie_where_their_labels_say_in_the_shares_of_the_data(told):
    root, found = told
    stage, _ = found["samples", "test"]
    kept = read_tensors(Journal(root).folder(stage.id) / SAMPLES)[0]
    data = stage.cell.data.load()
    nearest = torch.cdist(kept["samples"].double(), Mixture2d(MODES, STD).means).argmin(1)
    assert float((nearest == kept["labels"]).double().mean()) > 0.95
    for labels in (kept["labels"], kept["labels"][:100]):
        shares = labels.bincount(minlength=MODES) / len(labels)
        expected = data.labels["train"].bincount(minlength=MODES) / len(data.labels["train"])
        assert float((shares - expected).abs().max()) < 0.03


def test_further_sets_go_on_where_the_first_ended(told):
    root, found = told
    stage, _ = found["samples", "test"]
    (more,) = more_sets([stage], None, 2)
    result_of(more, root)
    second = read_tensors(Journal(root).folder(more.id) / SAMPLES)[0]["labels"]
    first = read_tensors(Journal(root).folder(stage.id) / SAMPLES)[0]["labels"]
    assert torch.equal(torch.cat([first, second]), labels_of_samples(stage.cell, stage.cell.data.load(), 800))


def test_one_class_alone_is_drawn_where_it_is_asked_for(told):
    root, found = told
    stage, _ = found["samples", "test"]
    model = load(stage.cell, stage.cell.data.load(), Journal(root), stage.parts, CPU)
    drawn = draw_samples(stage.cell, model, 50, lambda share: None, label=2)
    nearest = torch.cdist(drawn.double(), Mixture2d(MODES, STD).means).argmin(1)
    assert float((nearest == 2).double().mean()) > 0.95


def test_the_command_refuses_a_label_that_the_cell_does_not_know(told, tmp_path):
    cell = told[1]["samples", "test"][0].cell
    assert sample._label_of(cell, "") is None
    assert sample._label_of(cell, 3) == 3
    with pytest.raises(InputError, match="label=4 is no class of this cell's data: give 0 to 3"):
        sample._label_of(cell, 4)
    with pytest.raises(InputError, match="told no labels: leave it out"):
        sample._label_of(cell_of(*POINTS), 0)


def test_there_is_no_bound_without_labels_where_nothing_was_learned_without_or_its_variance_is_of_labels():
    dropping = cell_of(*TINY, TOLD)
    assert bound_passes(dropping)[4] == bound_passes(dropping)[0] > 0
    assert bound_passes(dropping, "validation")[4] == bound_passes(cell_of(*TINY))[4] == 0
    for words in ("conditioning.dropout=0", "variance=analytic"):
        assert bound_passes(cell_of(*TINY, TOLD, words))[4] == 0


@pytest.mark.parametrize("words", [[TOLD], [TOLD, OWN, "training.micro_batch=48"]])
def test_a_training_that_is_cut_ends_as_a_whole_one(words, goes_on):
    (training,) = [stage for stage in stages_of_cell(*SHORT, *words) if isinstance(stage, TrainingStage)]
    goes_on(training, cuts=2)


def test_a_rung_scores_the_bound_with_labels(tmp_path):
    """As the bound on validation of a training that ends there."""
    few = over(SHORT, TOLD, "evaluation.strata=1")
    stages = stages_of_cell(*over(few, "training.steps=8", "evaluation.rungs=1"))
    (rung,) = [stage for stage in stages if isinstance(stage, RungStage)]
    assert rung.step == 4
    scored = result_of(rung.waiting_for(()), tmp_path / "rung")
    short = performed(tmp_path / "short", stages_of_cell(*over(few, "training.steps=4"))[:2])
    assert scored.metrics["nll/val"] == short["bound", "validation"][1].metrics["nll/val"]


def test_side_by_side_each_comes_to_what_it_comes_to_alone(tmp_path):
    """Members that differ in dropout of labels."""
    cells = plan_of(*SHORT, TOLD, "conditioning.dropout=0,0.5").planned
    stages = [stage for item in cells for stage in item.stages if isinstance(stage, TrainingStage)]
    assert len({stage.id for stage in stages}) == 2
    assert len({stage.company("cpu") for stage in stages} - {""}) == 1
    assert perform_all(stages, Journal(tmp_path / "together"), "cpu") == ["finished"] * 2
    for stage in stages:
        result_of(stage, tmp_path / "alone")
        mine, theirs = (
            read_tensors(Journal(tmp_path / name).folder(stage.id) / "weights.safetensors")[0]
            for name in ("alone", "together")
        )
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_codes_are_in_the_order_of_their_labels(tmp_path, few_digits):
    words = over(TINY, "space=latents", "space.steps=2", "space.width=8", "space.batch=8", "training.steps=2", TOLD)
    stages = stages_of_cell(*words)
    result_of(stages[0], tmp_path)
    cell = stages[0].cell
    data = cell.data.load()
    encoding = load_encoding(cell, data, Journal(tmp_path), stages[0].id, CPU)
    stored = stored_of(encoding, data, CPU)
    for row in (0, 17):
        assert torch.allclose(stored[row], encoding.store(data.images["train"][row : row + 1])[0], atol=1e-5)
    assert all(result_of(stage, tmp_path).status == "finished" for stage in stages[1:3])


def test_a_chain_of_no_steps_reads_no_labels():
    words = over(TINY, "space=latents", "space.f=2", "horizon=0")
    assert ids(*words) == ids(*words, TOLD) == ids(*words, TOLD, OWN)
    cell = cell_of(*words, TOLD)
    assert labels_of_samples(cell, cell.data.load(), 5) is None


def test_a_network_that_is_shown_its_estimate_takes_a_pass_more():
    plain, own = cell_of(*POINTS), cell_of(*POINTS, OWN)
    assert (training_passes(plain), training_passes(own)) == (3, 4)
    assert sample_passes(own) == 2 * sample_passes(plain)
    likelihoods = ["evaluation.ode=1", "evaluation.continuous=2", "evaluation.iwae=2", "evaluation.estimates=2"]
    plain, own = cell_of(*POINTS, *likelihoods), cell_of(*POINTS, OWN, *likelihoods)
    assert bound_passes(own) == tuple(2 * passes for passes in bound_passes(plain))
    assert min(bound_passes(plain)[:4]) > 0


@pytest.mark.parametrize("words", [[TOLD], [OWN], [TOLD, OWN]])
def test_operations_of_a_pass_are_those_of_its_matrices(words):
    """Of an embedding of labels a row is read, and nothing multiplied."""
    cell = cell_of(*POINTS, *words)
    data = cell.data.load()
    diffusion = build(cell, data.encoding, data, CPU).diffusion
    names = {id(module.weight) for module in diffusion.network.modules() if isinstance(module, LabelEmbedding)}
    matrices = [p for p in diffusion.network.parameters() if p.ndim == 2 and id(p) not in names]
    assert forward_flops(diffusion) == sum(2 * p.numel() for p in matrices)


def test_data_without_labels_and_networks_that_take_none_are_refused_in_a_line(monkeypatch):
    cell = cell_of(*POINTS)
    told = replace(cell, conditioning=cell_of(*POINTS, TOLD).conditioning)
    assert refusal(told) is None
    bare = replace(cell.data.load(), labels={})
    with monkeypatch.context() as patch:
        patch.setattr(base, "_loaded", lambda choice: bare)
        assert refusal(cell) is None
        line = refusal(told)
        assert line.startswith("conditioning=class tells the network labels, and data=mixture2d has no labels (")
        assert line.endswith("; take conditioning=unconditional, which needs none")

    class Deaf(Network):
        """One that takes no labels."""

        def build(self, shape, channels_out):
            return Mlp().build(shape, channels_out)

    assert "network=deaf takes no labels" in refusal(replace(told, network=Deaf()))
    assert refusal(replace(cell, network=Deaf())) is None
