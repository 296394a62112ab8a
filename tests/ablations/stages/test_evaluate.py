"""What stages leave: a fit, likelihoods in continuous time, histories; each against a computation of the test's own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.stage import Bench
from ablations.stages.artifacts import Pieces
from ablations.stages.restore import load
from ablations.stages.shares import with_shares
from ablations.stages.stage import Parts
from diffusion_core.fitting import with_fitted_variance
from diffusion_core.iwae import importance_weighted
from diffusion_core.likelihood import bound
from diffusion_core.stratified import Stratification
from diffusion_core.trainer import part
from tests.ablations.cells import FEW, TINY, over, result_of, stages_of_cell

SMALL = [word for word in TINY if not word.startswith(("training.warmup", "training.learning_rate"))]
SMALL = over(SMALL, "training.steps=40", "training.report_every=10", "training.batch=32", "evaluation.sets=1")
SMALL = over(SMALL, "evaluation.exact=2", "evaluation.strata=2")
SMALL += ["sampler.steps=4"]
BRIEF = ["training.steps=10", "training.batch=16"]
POINTS = ["data=mixture2d", *(word for word in SMALL if not word.startswith("network."))]


def stages(*arguments, base=SMALL):
    return stages_of_cell(*over(base, *arguments))


def performed(root, *arguments, kinds=("training", "fit", "bound", "samples"), base=SMALL):
    """The stages of a cell that ran, by (kind, split), and their results."""
    asked = [stage for stage in stages(*arguments, base=base) if stage.kind in kinds]
    return {(stage.kind, stage.held_out): (stage, result_of(stage, root)) for stage in asked}


def network_of(root, stage):
    cell = stage.cell
    parts = getattr(stage, "parts", Parts(stage.id))
    return load(cell, cell.data.load(), Journal(root), replace(parts, fit=None), torch.device("cpu"))


def test_likelihoods_in_continuous_time_are_kept_per_image_and_add_up(tmp_path, few_digits):
    words = ["evaluation.continuous=2", "evaluation.ode=1", "evaluation.ode_steps=2", "schedule=log_snr_linear", *BRIEF]
    found = performed(tmp_path, *words, kinds=("training", "bound"))
    for split, name in (("validation", "val"), ("test", "test")):
        stage, result = found["bound", split]
        folder = Journal(tmp_path).folder(stage.id)
        terms, _ = read_tensors(folder / "continuous.safetensors")
        total = terms["L0"] + terms["Lt"] + terms["LT"]
        metrics = result.metrics
        assert metrics[f"nll_continuous/{name}"] == pytest.approx(float(total.mean()), rel=1e-12)
        parts = [metrics[f"nll_continuous/{name}_{part}"] for part in ("L0", "Lt", "LT")]
        assert sum(parts) == pytest.approx(metrics[f"nll_continuous/{name}"], rel=1e-12)
        assert f"nll_continuous/{name}_draw_se" not in metrics
        assert metrics[f"nll_continuous/{name}_se"] == pytest.approx(float(total.std()) / math.sqrt(FEW), rel=1e-12)
        ode = read_tensors(folder / "ode.safetensors")[0]["total"]
        assert ode.shape == (FEW,)
        assert metrics[f"nll_ode/{name}"] == pytest.approx(float(ode.mean()), rel=1e-12)
        assert metrics[f"nll_ode/{name}_se"] == pytest.approx(float(ode.std()) / math.sqrt(FEW), rel=1e-12)
        assert f"nll_ode/{name}_probe_se" not in metrics
        assert result.metadata.keys() == {"device", "code", "machine", "finished_at"}
        terms, _ = read_tensors(folder / "bound.safetensors")
        assert float(sum(terms.values()).mean()) == pytest.approx(metrics[f"nll/{name}"], rel=1e-12)


VAE = ["horizon=0", "space=latents", "space.kl_weight=1", "space.width=8", "space.steps=30", "space.batch=16"]
VAE += ["space.learning_rate=0.005"]


def test_a_fit_and_a_bound_clip_as_their_cell_says(tmp_path, few_digits):
    words = ["variance=analytic", "evaluation.fit=16", "evaluation.clip=false", *BRIEF]
    found = performed(tmp_path, *words, kinds=("training", "fit", "bound"))
    stage, result = found["bound", "test"]
    cell, images = stage.cell, stage.cell.data.load().images
    loaded = load(cell, cell.data.load(), Journal(tmp_path), stage.parts, torch.device("cpu"))
    ways = {}
    for way in (False, True):
        network = network_of(tmp_path, stage).with_clip(way)
        ways[way] = with_fitted_variance(network, cell.variance, images["train"], draws=16, seed=0)
    torch.testing.assert_close(loaded.x0_variance, ways[False].x0_variance, rtol=0, atol=0, equal_nan=True)
    times = Stratification(cell.evaluation.exact, cell.evaluation.strata)
    scores = {}
    for way, model in ways.items():
        terms = bound(model, images["test"], times, seed=cell.evaluation.seed, steps=cell.evaluation.horizon)
        scores[way] = float(terms.total.mean())
    assert result.metrics["nll/test"] == pytest.approx(scores[False], rel=1e-6)
    assert result.metrics["nll/test"] != pytest.approx(scores[True], rel=1e-3)
    assert "of 25 t, variance=analytic takes the estimate of analytic_mse" in result.metadata["notes"]


@pytest.mark.parametrize("words", [["evaluation.horizon=3", "evaluation.seed=2"], VAE])
def test_the_importance_weighted_bound_and_how_loose_the_bound_is(tmp_path, words, few_digits):
    found = performed(tmp_path, *words, *BRIEF, "evaluation.iwae=2", kinds=("autoencoder", "training", "bound"))
    stage, result = found["bound", "test"]
    folder, metrics = Journal(tmp_path).folder(stage.id), result.metrics
    model, plan = network_of(tmp_path, stage), stage.cell.evaluation
    scored = importance_weighted(
        model, stage.cell.data.load().images["test"], draws=2, seed=plan.seed, steps=plan.horizon
    )
    for metric, values, halves in (
        ("nll_iwae", scored.total, scored.halves),
        ("looseness", scored.looseness, scored.loose_halves),
    ):
        assert metrics[f"{metric}/test"] == pytest.approx(float(values.mean()), rel=1e-6)
        assert metrics[f"{metric}/test_se"] == pytest.approx(float(values.std()) / math.sqrt(FEW), rel=1e-6)
        own = float(((halves[0] - halves[1]) ** 2).sum().sqrt()) / (2 * FEW)
        assert metrics[f"{metric}/test_draw_se"] == pytest.approx(own, rel=1e-6)
        kept = read_tensors(folder / ("iwae.safetensors" if metric == "nll_iwae" else "looseness.safetensors"))[0]
        assert float(kept["total"].mean()) == pytest.approx(metrics[f"{metric}/test"], rel=1e-12)
    assert metrics["looseness/test"] > 0
    tightened = metrics["nll/test"] - metrics["nll_iwae/test"]
    errors = [metrics[f"{name}_draw_se"] for name in ("nll/test", "nll_iwae/test", "looseness/test")]
    assert tightened == pytest.approx(metrics["looseness/test"], abs=4 * math.hypot(*errors))
    assert "looseness/val" in found["bound", "validation"][1].metrics


LEARNED = ["schedule=learned", "objective=vlb_continuous", "evaluation.continuous=0"]


def test_a_learned_schedule_is_logged_as_it_trains_and_drawn_as_it_is_evaluated(tmp_path):
    stage, result = performed(tmp_path, *LEARNED, kinds=("training",), base=POINTS)["training", None]
    history = [result.curves[f"schedule/gamma_{q}"] for q in (0, 25, 50, 75, 100)]
    assert all(xs == [10, 20, 30, 40] for xs, _ in history)
    for q, (_, ys) in zip((0, 25, 50, 75, 100), history, strict=True):
        assert result.metrics[f"schedule/gamma_{q}"] == ys[-1]
    tensors, _ = read_tensors(Journal(tmp_path).folder(stage.id) / "weights.safetensors")
    ends = {}
    for name in ("average", "learner"):
        weights = part(tensors, name)
        start = -13.3 + 18.3 * float(weights["diffusion.denoiser.gamma.shift"])
        ends[name] = start, start + 18.3 * math.exp(float(weights["diffusion.denoiser.gamma.log_stretch"]))
    t, log_snr = result.curves["log_snr"]
    assert t == list(range(1, 26))
    assert (-log_snr[0], -log_snr[-1]) == pytest.approx(ends["average"], rel=1e-9)
    assert (history[0][1][-1], history[-1][1][-1]) == pytest.approx(ends["learner"], rel=1e-9)
    assert abs(ends["average"][0] - ends["learner"][0]) > 1e-4


def test_work_counts_forward_passes():
    counted = {
        ("training", ""): 3 * 40 * 32,
        ("training", "schedule=learned"): 5 * 40 * 32,
        ("training", "schedule=learned objective=vlb_continuous"): 7 * 40 * 32,
        ("training", "conditioning.self_conditioning=true"): 4 * 40 * 32,
        ("fit", "variance=analytic evaluation.fit=16"): 25 * 16,
        # Two halves: t = 1 three times and 2 twice, two runs, the last two times. With 3 steps there is nothing to run
        # over, and t = 1 and 2 are taken once more instead.
        ("bound", ""): 450 * 2 * (3 + 2 + 2 + 2),
        ("bound", "evaluation.horizon=3"): 450 * 2 * (4 + 3 + 1),
        # A step of the flow takes four slopes: each is a pass, and for each probe a backward pass, which counts two.
        ("bound", "evaluation.continuous=8 evaluation.ode=2 evaluation.ode_steps=5"): 450 * (18 + 8 + 4 * 5 * 5),
        ("bound", "evaluation.horizon=3 evaluation.iwae=3"): 450 * (2 * (4 + 3 + 1) + 2 * 3 * 3),
        ("samples", ""): 64 * 4,
        ("samples", "conditioning.self_conditioning=true"): 2 * 64 * 4,
        ("samples", "sampler=heun sampler.steps=10 evaluation.sets=2"): 2 * 64 * 19,
        ("samples", "sampler=ddim sampler.steps=10 sampler.skip=0.2"): 64 * 8,
    }
    for (kind, words), expected in counted.items():
        found = [stage.passes()[1] for stage in stages(*words.split()) if stage.kind == kind]
        assert set(found) == {expected}, (kind, words)


@pytest.mark.parametrize("kind", ["bound", "samples"])
def test_a_bound_and_samples_that_were_stopped_go_on_from_their_pieces(tmp_path, few_digits, monkeypatch, kind):
    """The clock of checkpoints stands at 0 s, the process dies in the third piece, and no piece is computed twice."""
    monkeypatch.setattr("ablations.stages.artifacts.CHECKPOINT_SECONDS", 0.0)
    words = [*BRIEF, "evaluation.sets=4"]
    stage, whole = performed(tmp_path / "whole", *words, kinds=("training", kind))[kind, "test"]
    monkeypatch.setattr(type(stage.cell.network), "at_once", 64)
    stopped, made = tmp_path / "stopped", []
    performed(stopped, *words, kinds=("training",))
    Journal(stopped).folder(stage.id).mkdir(exist_ok=True)
    real = Pieces.__call__

    def dying(self, number, make):
        def counted():
            if len(made) == 2:
                raise KeyboardInterrupt
            made.append(number)
            return make()

        return real(self, number, counted)

    monkeypatch.setattr(Pieces, "__call__", dying)
    with pytest.raises(KeyboardInterrupt):
        stage.run(Bench(stage.id, Journal(stopped), "cpu"))
    made.append(-1)
    result = stage.run(Bench(stage.id, Journal(stopped), "cpu"))
    assert len(made) == len({*made}) > 4
    seconds = {name for name in result.metrics if name.startswith("cost/")}
    assert {**whole.metrics, **dict.fromkeys(seconds)} == {**result.metrics, **dict.fromkeys(seconds)}


@pytest.mark.parametrize("kind", ["bound", "samples"])
def test_shares_give_the_same_numbers_and_compute_every_piece_once(tmp_path, few_digits, monkeypatch, kind):
    words = [*BRIEF, "evaluation.sets=4"]
    stage, whole = performed(tmp_path / "whole", *words, kinds=("training", kind))[kind, "test"]
    monkeypatch.setattr(type(stage.cell.network), "at_once", 64)
    performed(tmp_path / "shared", *words, kinds=("training",))
    made, real = dict[str, list[int]](), Pieces.__call__

    def counted(self, number, make):
        return real(self, number, lambda: made.setdefault(self.folder.name, []).append(number) or make())

    monkeypatch.setattr(Pieces, "__call__", counted)
    *shares, last = with_shares(stage, 3)
    *_, result = (result_of(one, tmp_path / "shared") for one in (*shares, last))
    assert made.keys() == {one.id for one in shares} < set(last.needs)
    assert sorted(number for numbers in made.values() for number in numbers) == list(
        range(sum(map(len, made.values())))
    )
    assert max(map(len, made.values())) - min(map(len, made.values())) <= 1
    assert last.id == stage.id
    seconds = {name for name in result.metrics if name.endswith("_seconds")}
    assert {**whole.metrics, **dict.fromkeys(seconds)} == {**result.metrics, **dict.fromkeys(seconds)}
