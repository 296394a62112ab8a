"""What stages leave: a fit, likelihoods in continuous time, histories; each against a computation of the test's own."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import pytest
import torch

from ablations.data.tensors import read_tensors
from ablations.driver.trained import trained
from ablations.engine.journal import Journal, noted
from ablations.metrics import extractors
from ablations.results.folder import per_image
from ablations.stages import samples as sampling
from ablations.stages.restore import Parts, load
from diffusion_core.fitting import with_fitted_variance
from diffusion_core.forward import diffuse
from diffusion_core.iwae import importance_weighted
from diffusion_core.likelihood import bound
from diffusion_core.randomness import draw, normal, uniform
from diffusion_core.stratified import Stratification
from diffusion_core.terms import mean_dims
from diffusion_core.trainer import part
from tests.ablations.conftest import TINY, cell_of, over, plan_of, result_of, stages_of_cell

SMALL = [word for word in TINY if not word.startswith(("training.warmup", "training.learning_rate"))]
SMALL = over(SMALL, "training.steps=40", "training.report_every=10", "training.batch=32", "evaluation.sets=1")
SMALL += ["sampler.steps=4"]
POINTS = ["data=mixture2d", *(word for word in SMALL if not word.startswith("network."))]


def stages(*arguments, base=SMALL):
    return stages_of_cell(*over(base, *arguments))


def performed(root, *arguments, kinds=("training", "fit", "bound", "samples"), base=SMALL):
    """The stages of a cell that ran, by (kind, split), and their results."""
    asked = [stage for stage in stages(*arguments, base=base) if stage.kind in kinds]
    return {(stage.kind, getattr(stage, "split", None)): (stage, result_of(stage, root)) for stage in asked}


def network_of(root, stage):
    cell = stage.cell
    parts = getattr(stage, "parts", Parts(stage.id))
    return load(cell, cell.data.load(), Journal(root), replace(parts, fit=None), torch.device("cpu"))


@pytest.fixture(scope="module")
def analytic(tmp_path_factory):
    """A cell with a fitted variance, all its stages."""
    root = tmp_path_factory.mktemp("analytic") / ".stages"
    return root, performed(root, "variance=analytic", "evaluation.fit=16", "evaluation.seed=3")


@pytest.mark.thorough
def test_a_fit_is_what_the_network_tells_of_noise_and_misses_of_x0_at_each_t(analytic):
    """By draws of the training's seed, 0, whatever the evaluation's."""
    root, found = analytic
    stage, result = found["fit", None]
    tensors, _ = read_tensors(Journal(root).folder(stage.id) / "fit.safetensors")
    diffusion, data = network_of(root, stage), stage.cell.data.load()
    index = torch.randint(897, (16,), generator=draw(0, 0, "fit/image"))
    raw = data.images["train"][index]
    level = 15 * raw + (uniform(0, 0, "fit/dequantise", (16, 1, 8, 8), raw.device) * 15).floor()
    x0 = (level / 127.5 - 1).float()
    for t in (1, 7, 25):
        eps = normal(0, t, "fit/eps", (16, 1, 8, 8), raw.device)
        times = torch.full((16,), t)
        gamma = diffusion.gamma(times)
        x_t = diffuse(x0, eps, gamma)
        with torch.no_grad():
            predicted = diffusion.network(x_t, times * (1000 / 25))
        sigma, signal = torch.sigmoid(gamma).sqrt()[0].float(), torch.sigmoid(-gamma).sqrt()[0].float()
        missed = x0 - ((x_t - sigma * predicted) / signal).clamp(-1, 1)
        told = mean_dims(eps**2 - predicted**2)
        assert float(tensors["noise"][t - 1]) == pytest.approx(float(told.mean()), rel=1e-4, abs=1e-5)
        assert float(tensors["noise_se"][t - 1]) == pytest.approx(float(told.std()) / 4, rel=1e-3)
        assert float(tensors["error"][t - 1]) == pytest.approx(float(mean_dims(missed**2).mean()), rel=1e-4)
        assert float(tensors["alpha_bar"][t - 1]) == pytest.approx(float(torch.sigmoid(-gamma[0])))
    level = 15 * data.images["train"] + (uniform(0, 1, "fit/dequantise", (897, 1, 8, 8), raw.device) * 15).floor()
    spread = float((level / 127.5 - 1).var(0, correction=0).mean())
    assert float(tensors["data"]) == pytest.approx(spread, rel=1e-4)
    curves = {"noise_told": tensors["noise"], "x0_error": tensors["error"]}
    for name, values in curves.items():
        assert result.curves[name] == [list(range(1, 26)), values.tolist()]


def analytic_x0_variance(moments):
    """Theorem 1 of Bao et al. 2022 with the draws' own noise, no more than Var x_0 (T = 25 ends before noise alone);
    where a tenth of that is less than its standard error, the error of x_0."""
    told, error = (
        values * (1 - moments["alpha_bar"]) / moments["alpha_bar"]
        for values in (moments["noise"].clamp(min=0), moments["noise_se"])
    )
    return torch.where(error > moments["data"] / 10, moments["error"], told).minimum(moments["data"])


def test_a_bound_reads_the_fit(analytic):
    root, found = analytic
    stage, result = found["bound", "validation"]
    moments, _ = read_tensors(Journal(root).folder(stage.parts.fit) / "fit.safetensors")
    diffusion, data = network_of(root, stage), stage.cell.data.load()
    images = data.images["validation"]
    scores = []
    for x0_variance in (analytic_x0_variance(moments), moments["error"]):
        diffusion.fit(x0_variance)
        scored = bound(diffusion, images, Stratification(2, 2), seed=3)
        scores.append((float(scored.total.mean()), scored.draw_error))
    assert (result.metrics["nll/val"], result.metrics["nll/val_draw_se"]) == scores[0]
    assert abs(scores[0][0] - scores[1][0]) > 0.01
    own = analytic_x0_variance(moments) != moments["error"].minimum(moments["data"])
    for judged in (result, found["samples", "test"][1]):
        taken = f"at {25 - int(own.sum())} of 25 t, variance=analytic takes the estimate of analytic_mse"
        assert taken in judged.metadata["notes"]


def test_sampling_a_finished_cell_reads_its_fit(analytic):
    root, found = analytic
    stage, _ = found["samples", "test"]
    moments = read_tensors(Journal(root).folder(stage.parts.fit) / "fit.safetensors")[0]
    row = {"cell_id": "x", "training_id": stage.parts.training}
    diffusion = trained(stage.cell, row, Journal(root), torch.device("cpu"))
    assert torch.equal(diffusion.x0_variance[1:], analytic_x0_variance(moments))
    again = sampling.draw_samples(stage.cell, diffusion, 64, lambda share: None)
    kept = read_tensors(Journal(root).folder(stage.id) / "samples.safetensors")[0]["samples"]
    assert torch.equal(again, kept[:64])


def test_samples_of_before_are_not_taken_for_those_whose_churn_is_to_known_times():
    churned, plain = ("sampler=heun", "sampler.churn=4"), ("sampler=heun",)
    for words, expected in ((churned, True), (plain, False), ((*churned, "time=continuous"), False)):
        content = sampling.samples_content(cell_of("horizon=25", *words), Parts("x"), "test", None, 1)
        assert ("asked" in content) == expected


def test_an_extractors_weights_are_known_by_their_digest(tmp_path):
    for folder in ("here", "there"):
        shutil.copytree(extractors.HERE, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    files = [f"evaluation.weights={tmp_path / name / 'digits-cnn.safetensors'}" for name in ("here", "there")]
    plans = [plan_of(*SMALL, *words) for words in ([], *([file] for file in files))]
    shipped, here, there = ([one.planned[0].cell_id, *(stage.id for stage in one.stages())] for one in plans)
    assert here == there
    assert here[0] != shipped[0]
    assert here[1:] == shipped[1:]


def test_likelihoods_in_continuous_time_are_kept_per_image_and_add_up(tmp_path):
    words = ["evaluation.continuous=2", "evaluation.ode=1", "evaluation.ode_steps=2", "schedule=log_snr_linear"]
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
        assert metrics[f"nll_continuous/{name}_se"] == pytest.approx(float(total.std()) / math.sqrt(450), rel=1e-12)
        ode = read_tensors(folder / "ode.safetensors")[0]["total"]
        assert ode.shape == (450,)
        assert metrics[f"nll_ode/{name}"] == pytest.approx(float(ode.mean()), rel=1e-12)
        assert metrics[f"nll_ode/{name}_se"] == pytest.approx(float(ode.std()) / math.sqrt(450), rel=1e-12)
        assert f"nll_ode/{name}_probe_se" not in metrics
        assert result.metadata.keys() == {"device", "code", "machine", "finished_at"}
        for file, metric in (("bound", "nll"), ("continuous", "nll_continuous"), ("ode", "nll_ode")):
            values = per_image(folder, f"{file}.safetensors")
            assert len(values) == 450
            assert math.fsum(values) / 450 == pytest.approx(metrics[f"{metric}/{name}"], rel=1e-12)


VAE = ["horizon=0", "space=latents", "space.kl_weight=1", "space.width=8", "space.steps=60", "space.batch=32"]
VAE += ["space.learning_rate=0.005"]


@pytest.mark.parametrize("clip", [True, False])
def test_a_fit_and_a_bound_clip_as_their_cell_says(clip, tmp_path):
    words = ["variance=analytic_mse", "evaluation.fit=16", f"evaluation.clip={clip}".lower()]
    found = performed(tmp_path, *words, kinds=("training", "fit", "bound"))
    stage, result = found["bound", "test"]
    cell, images = stage.cell, stage.cell.data.load().images
    loaded = load(cell, cell.data.load(), Journal(tmp_path), stage.parts, torch.device("cpu"))
    ways = {}
    for way in (clip, not clip):
        network = network_of(tmp_path, stage).with_clip(way)
        ways[way] = with_fitted_variance(network, cell.variance, images["train"], draws=16, seed=0)
    torch.testing.assert_close(loaded.x0_variance, ways[clip].x0_variance, rtol=0, atol=0, equal_nan=True)
    times = Stratification(cell.evaluation.exact, cell.evaluation.strata)
    scores = {}
    for way, model in ways.items():
        terms = bound(model, images["test"], times, seed=cell.evaluation.seed, steps=cell.evaluation.horizon)
        scores[way] = float(terms.total.mean())
    assert result.metrics["nll/test"] == pytest.approx(scores[clip], rel=1e-6)
    assert result.metrics["nll/test"] != pytest.approx(scores[not clip], rel=1e-3)


@pytest.mark.parametrize("words", [["evaluation.horizon=3", "evaluation.seed=2"], VAE])
def test_the_importance_weighted_bound_and_how_loose_the_bound_is(tmp_path, words):
    found = performed(tmp_path, *words, "evaluation.iwae=2", kinds=("autoencoder", "training", "bound"))
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
        assert metrics[f"{metric}/test_se"] == pytest.approx(float(values.std()) / math.sqrt(450), rel=1e-6)
        own = float(((halves[0] - halves[1]) ** 2).sum().sqrt()) / 900
        assert metrics[f"{metric}/test_draw_se"] == pytest.approx(own, rel=1e-6)
        kept = per_image(folder, "iwae.safetensors" if metric == "nll_iwae" else "looseness.safetensors")
        assert math.fsum(kept) / 450 == pytest.approx(metrics[f"{metric}/test"], rel=1e-12)
    assert metrics["looseness/test"] > 0
    tightened = metrics["nll/test"] - metrics["nll_iwae/test"]
    errors = [metrics[f"{name}_draw_se"] for name in ("nll/test", "nll_iwae/test", "looseness/test")]
    assert tightened == pytest.approx(metrics["looseness/test"], abs=4 * math.hypot(*errors))
    assert "looseness/val" in found["bound", "validation"][1].metrics


def test_what_is_no_number_is_left_out_and_noted():
    metrics = {"nll/test": 1.0, "nll_ode/test": math.nan, "nll_ode/test_se": math.inf}
    assert noted(metrics) == {"notes": "without nll_ode/test, nll_ode/test_se, which are not finite"}
    assert noted(metrics, "a remark") == {
        "notes": "a remark\nwithout nll_ode/test, nll_ode/test_se, which are not finite"
    }
    assert noted({"nll/test": 1.0}, "a remark") == {"notes": "a remark"}
    assert noted({"nll/test": 1.0}) == {}


LEARNED = ["schedule=learned", "objective=vlb_continuous", "evaluation.continuous=0"]


def test_a_learned_schedule_is_logged_as_it_trains_and_drawn_as_it_is_evaluated(tmp_path):
    stage, result = performed(tmp_path, *LEARNED, kinds=("training",), base=POINTS)["training", None]
    history = [result.curves[f"schedule/gamma_{q}"] for q in (0, 25, 50, 75, 100)]
    assert all(xs == [10, 20, 30, 40] for xs, _ in history)
    for q, (_, ys) in zip((0, 25, 50, 75, 100), history, strict=True):
        assert result.metrics[f"schedule/gamma_{q}"] == ys[-1]
    groups = ("network", "schedule_ends", "schedule_shape")
    for group in groups:
        assert len(result.curves[f"train/{group}"][1]) == 4
        assert min(result.curves[f"train/{group}_sd"][1]) > 0
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


def test_the_spread_of_the_losses_is_that_of_the_steps_between_reports(tmp_path):
    every, some = (
        performed(tmp_path / n, f"training.report_every={n}", kinds=("training",))["training", None][1]
        for n in ("1", "20")
    )
    losses = torch.tensor(every.curves["train/network"][1], dtype=torch.float64)
    assert every.curves["train/network_sd"][1] == [0.0] * 40
    assert some.curves["train/network"][0] == [20, 40]
    for i, block in enumerate(losses.split(20)):
        assert some.curves["train/network"][1][i] == pytest.approx(float(block.mean()), rel=1e-6)
        assert some.curves["train/network_sd"][1][i] == pytest.approx(float(block.std(correction=0)), rel=1e-4)


def test_an_importance_sampler_that_is_still_cold_is_noted(tmp_path):
    words = ["timesteps=importance", "training.report_every=5"]
    cold = performed(tmp_path, *words, "training.steps=5", kinds=("training",))["training", None][1]
    assert 0 <= cold.metrics["timesteps/warm"] < 1
    share = math.floor(100 * cold.metrics["timesteps/warm"])
    assert cold.metadata["notes"] == f"importance sampler still warming up: {share} % of t have their 10 losses"
    words += ["timesteps.history=2", "training.steps=20"]
    warm = performed(tmp_path, *words, kinds=("training",))["training", None][1]
    assert warm.metrics["timesteps/warm"] == warm.curves["timesteps/warm"][1][-1] == 1
    assert "notes" not in warm.metadata


@pytest.mark.parametrize("choices", [LEARNED, ["timesteps=importance", "timesteps.history=3"]])
def test_a_training_cut_at_any_report_and_continued_is_bit_identical(choices, goes_on):
    goes_on(stages(*choices, base=POINTS)[0], cuts=2)


def test_work_counts_forward_passes():
    data = stages()[0].cell.data.load()
    counted = {
        ("training", ""): 3 * 40 * 32,
        ("training", "schedule=learned"): 5 * 40 * 32,
        ("training", "schedule=learned objective=vlb_continuous"): 7 * 40 * 32,
        ("fit", "variance=analytic evaluation.fit=16"): 25 * 16,
        # Two halves: t = 1 three times and 2 twice, two runs, the last two times. With 3 steps there is nothing to run
        # over, and t = 1 and 2 are taken once more instead.
        ("bound", ""): 450 * 2 * (3 + 2 + 2 + 2),
        ("bound", "evaluation.horizon=3"): 450 * 2 * (4 + 3 + 1),
        ("bound", "evaluation.continuous=8 evaluation.ode=2 evaluation.ode_steps=5"): 450 * (18 + 8 + 4 * 5 * 5),
        ("samples", ""): 450 * 4,
        ("samples", "sampler=heun sampler.steps=10 evaluation.sets=2"): 2 * 450 * 19,
        ("samples", "sampler=ddim sampler.steps=10 sampler.skip=0.2"): 450 * 8,
    }
    for (kind, words), expected in counted.items():
        found = [stage.work(data) for stage in stages(*words.split()) if stage.kind == kind]
        assert set(found) == {expected}, (kind, words)
