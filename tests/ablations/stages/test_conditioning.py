"""Cells whose networks are told labels: what their stages read, learn, score and draw."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ablations.data import base
from ablations.data.shipped import Digits, Mixture2d
from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.settings.budget import bound_passes
from ablations.settings.making import cell_of as read_back
from ablations.settings.making import refusal
from ablations.settings.registry import parameters
from ablations.stages.artifacts import FIT, SAMPLES
from ablations.stages.restore import load, load_encoding
from ablations.stages.samples import draw_samples, labels_of_samples
from ablations.stages.training import stored_of
from tests.ablations.cells import (
    TINY,
    cell_of,
    over,
    result_of,
    stages_of_cell,
)

TOLD = "conditioning=class"
OWN = "conditioning.self_conditioning=true"
MODES, STD = 4, 0.2
POINTS = [
    *("data=mixture2d", f"data.modes={MODES}", f"data.std={STD}", "network=mlp", "horizon=25", "evaluation.sets=1"),
    *("training.steps=200", "training.batch=256", "training.learning_rate=0.01", "training.warmup=10"),
    *(
        "training.report_every=100",
        "network.width=32",
        "network.layers=2",
        "evaluation.exact=12",
        "evaluation.strata=4",
        "evaluation.n=400",
    ),
]
LEARNING = ["parameterization=v", "variance=learned", "objective=hybrid", "spacing=optimal", "sampler.steps=10"]
LEARNING.append("conditioning.dropout=0.5")
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


@pytest.mark.parametrize("words", [[OWN], [TOLD, "conditioning.dropout=0.2"]])
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
    assert without - 0.02 < metrics["nll_unlabelled/test"] < without + 0.8
    assert {"nll_unlabelled/test_se", "nll_unlabelled/test_draw_se", "nll_unlabelled/test_L0"} <= metrics.keys()
    assert not any("unlabelled" in name for name in found["bound", "validation"][1].metrics)
    assert given < found["bound", "validation"][1].metrics["nll/val"] < given + 0.35


def test_a_fit_is_that_of_the_network_with_labels(told):
    """At t = T nearly nothing of x_0 is seen: with a label its variance is that of a mode."""
    root, found = told
    errors = read_tensors(root / found["fit", None][0].id / FIT)[0]["error"]
    assert len(errors) == 25
    assert float(errors[-1]) == pytest.approx(STD**2, rel=0.4)


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
    # And one class alone where it is asked for.
    model = load(stage.cell, data, Journal(root), stage.parts, CPU)
    drawn = draw_samples(stage.cell, model, 50, lambda share: None, label=2)
    nearest = torch.cdist(drawn.double(), Mixture2d(MODES, STD).means).argmin(1)
    assert float((nearest == 2).double().mean()) > 0.95


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


def test_the_bound_without_labels_is_of_test_images_where_they_were_left_out_and_its_variance_is_not_of_labels():
    dropping = cell_of(*TINY, TOLD)
    assert bound_passes(dropping)[4] == bound_passes(dropping)[0] > 0
    assert bound_passes(dropping, "validation")[4] == bound_passes(cell_of(*TINY))[4] == 0
    for words in ("conditioning.dropout=0", "variance=analytic"):
        assert bound_passes(cell_of(*TINY, TOLD, words))[4] == 0


def test_a_chain_of_no_steps_reads_no_labels():
    words = over(TINY, "space=latents", "space.f=2", "horizon=0")
    assert ids(*words) == ids(*words, TOLD) == ids(*words, TOLD, OWN)
    cell = cell_of(*words, TOLD)
    assert labels_of_samples(cell, cell.data.load(), 5) is None


def test_data_without_labels_are_refused_in_a_line(monkeypatch):
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
