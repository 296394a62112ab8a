"""Cells in latents, from stages to results: sharing, scores, costs, refusals, collapse."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image
from torch.distributions import Normal, kl_divergence

from ablations import run, sample
from ablations.data.tensors import read_tensors
from ablations.driver import pages
from ablations.driver.plan import plan
from ablations.driver.trained import cell_in
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.grids.grid import make
from ablations.launchers.local import Local
from ablations.launchers.serial import Serial
from ablations.settings.arguments import parse_run
from ablations.settings.budget import autoencoder_flops, forward_flops, matched_steps
from ablations.settings.choices import choices_of
from ablations.settings.identity import parameters
from ablations.settings.rules import refusal
from ablations.stages.autoencoder import collapse
from ablations.stages.bound import bound_was_meant
from ablations.stages.graph import once
from ablations.stages.reconstruction import psnr
from ablations.stages.restore import Parts, autoencoder_of, load
from analysis.errors import InputError
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.latents import LatentCode, Standard
from diffusion_core.randomness import normal_blocks
from diffusion_core.vae import Vae
from tests.ablations.conftest import TINY, cell_of, over, rows, said, stages_of_cell
from tests.made_once import made_once

CPU = torch.device("cpu")
SMALL = over(TINY, "evaluation.sets=1", "sampler.steps=4")
LATENTS = ["space=latents", "space.kl_weight=1", "space.width=8", "space.steps=60", "space.batch=32"]
LATENTS += ["space.learning_rate=0.005"]


def tiny_cell(*words, base=(*SMALL, *LATENTS)):
    return cell_of(*over(base, *words))


def stages(*words, base=(*SMALL, *LATENTS)):
    return stages_of_cell(*over(base, *words))


def kinds(found):
    return [(stage.kind, getattr(stage, "split", None)) for stage in found]


VAE = [word for word in (*SMALL, *LATENTS) if not word.startswith(("horizon=", "sampler."))]


def test_the_stages_of_latents():
    judged = [("bound", "validation"), ("bound", "test"), ("samples", "test"), ("reconstruction", None)]
    assert kinds(stages()) == [("autoencoder", None), ("training", None), *judged]
    assert kinds(stages("horizon=0", base=VAE)) == [("autoencoder", None), *judged]
    scored = [kind for kind in judged if kind[0] != "bound"]
    assert kinds(stages("space.regularization=vq")) == [("autoencoder", None), ("training", None), *scored]
    assert kinds(stages(base=SMALL)) == [("training", None), *judged[:-1]]
    first, *rest = stages("variance=analytic")
    assert all(first.id in stage.needs for stage in rest)


def test_an_autoencoder_is_trained_once_for_all_cells_that_differ_in_nothing_that_it_reads():
    others = ["schedule=cosine", "training.steps=61", "network.channels=16", "evaluation.strata=3", "data.root=null"]
    first = stages()[0]
    assert all(stages(other)[0] == first.__class__(first.id, tiny_cell(other)) for other in others[:-1])
    assert stages("horizon=0", base=VAE)[0].id == first.id
    for change in ("space.f=4", "space.kl_weight=0.1", "space.steps=61", "threads=2", "first_seed=1"):
        assert stages(change)[0].id != first.id, change
        assert stages(change)[-1].id != stages()[-1].id
    both = once([*stages(), *stages("schedule=cosine")])
    assert sum(stage.kind == "autoencoder" for stage in both) == 1
    assert sum(stage.kind == "training" for stage in both) == 2


def test_what_a_regularization_does_not_read_is_no_part_of_its_identity():
    fields = ("space.codes=9", "space.kl_weight=0.5")
    for regularization, (unread, read) in (("kl", fields), ("vq", fields[::-1])):
        words = f"space.regularization={regularization}"
        first = stages(words)[0].id
        assert stages(words, unread)[0].id == first
        assert stages(words, read)[0].id != first
    kept = [word for word in LATENTS if "kl_weight" not in word]
    both = parse_run([*SMALL, *kept, "space.regularization=kl,vq", "space.kl_weight=0.5,1"])
    with pytest.raises(InputError, match=r"regularization=vq space.kl_weight=0.5 and .*=1 are the same cell"):
        plan(make(both), Local(), ["cpu"])


@pytest.fixture(scope="module")
def grid(tmp_path_factory, store):
    """Pixels, kl at f = 2, its VAE, and vq, run by the command; its pictures are for other tests."""
    words = [word for word in (*SMALL, *LATENTS) if not word.startswith(("horizon", "space=", "sampler"))]
    levels = [
        {"name": "pixels", "set": {"space": "pixels", "horizon": 25}},
        {"name": "kl", "set": {"space": "latents", "horizon": 25}},
        {"name": "vae", "set": {"space": "latents", "horizon": 0}},
        {"name": "vq", "set": {"space": "latents", "space.regularization": "vq", "horizon": 25}},
    ]
    file = {"question": "Where?", "axes": [{"name": "place", "levels": levels}], "seeds": 1, "layout": "ldm"}
    file["columns"] = ["rfid/train/{extractor}", "psnr/test", "cost/total_flops", "cost/sample_flops"]

    def make(folder):
        shutil.copy(store, folder / "mlflow.db")
        configs = folder / "configs"
        (configs / "grid").mkdir(parents=True)
        (configs / "grid" / "places.yaml").write_text(json.dumps(file))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            assert run.main(["grid=places", f"configs={configs}", f"results={folder}", "launcher=serial", *words]) == 0
        return folder

    return made_once(tmp_path_factory, "latents", make)


def metrics(row):
    return {key: float(value) for key, value in row.items() if "/" in key and value}


@pytest.mark.thorough
def test_every_cell_has_what_it_can_have(grid):
    found = {(row["axis.place"], row["seed"]): row for row in rows(grid / "places")}
    assert {row["status"] for row in found.values()} == {"finished"}
    for (place, seed), row in found.items():
        values = metrics(row)
        assert ("rfid/train/digits-cnn" in values) == (place != "pixels")
        assert "fid/train/digits-cnn" in values
        assert ("cost/train_flops" in values) == (place != "vae")
        total = values.get("cost/train_flops", 0) + values.get("cost/autoencoder_flops", 0)
        assert values["cost/total_flops"] == pytest.approx(total, rel=1e-6)
        other = {"pixels": "pixels", "vq": "vq"}.get(place, "kl")
        assert row["autoencoder_id"] == found[other, seed]["autoencoder_id"]
        assert bool(row["autoencoder_id"]) == (place != "pixels")
        assert not any(name.startswith("train/autoencoder") for name in values)
    vae, kl = found["vae", "0"], found["kl", "0"]
    for part in ("reconstruction", "entropy"):
        assert vae[f"nll/test_{part}"] == kl[f"nll/test_{part}"]
    assert float(vae["nll/test_Lt"]) == 0
    assert vae["training_id"] == vae["autoencoder_id"] != kl["training_id"]


@pytest.mark.thorough
def test_each_autoencoder_has_a_row_and_a_run_of_its_own(grid):
    found = rows(grid / "places", "autoencoders.csv")
    assert [(row["space.regularization"], row["seed"]) for row in found] == [("kl", "0"), ("vq", "0")]
    for row in found:
        values = metrics(row)
        assert values["cost/autoencoder_flops"] > 0
        assert ("elbo/val" in values) == (row["space.regularization"] == "kl")
        assert ("codes_used/val" in values) == (row["space.regularization"] == "vq")
        if "elbo/val" in values:
            parts = values["elbo/val_reconstruction"] + values["elbo/val_kl"]
            assert values["elbo/val"] == pytest.approx(parts, abs=1e-5)
    client = MlflowClient(f"sqlite:///{grid}/mlflow.db")
    experiment_id = client.get_experiment_by_name("places").experiment_id
    runs = client.search_runs([experiment_id], "tags.kind = 'autoencoder'")
    assert {run.data.tags["cell_id"] for run in runs} == {row["cell_id"] for row in found}
    for one in runs:
        assert one.data.metrics["psnr/test"] > 0
        history = client.get_metric_history(one.info.run_id, "train/autoencoder")
        assert [point.step for point in history] == [50, 60]
        assert {Path(file.path).suffix for file in client.list_artifacts(one.info.run_id, "images")} == {
            ".png",
            ".webp",
        }
    assert len(client.search_runs([experiment_id], "tags.kind = 'cell'")) == 4


@pytest.mark.thorough
def test_delivered_twice_nothing_is_new(grid, capsys):
    from ablations import publish

    assert publish.main([f"results={grid}"]) == 0
    assert "places: 0 runs published" in capsys.readouterr().out


@pytest.mark.thorough
def test_reconstructions_are_pictured_beside_their_originals(grid):
    test = tiny_cell().data.load().images["test"]
    originals = np.asarray(Image.open(grid / "places" / "reconstructions" / "originals.png"))
    wide = np.concatenate([image[0].numpy() for image in test[:12]], axis=1)
    np.testing.assert_array_equal(originals, np.rint(wide * (255 / 16)))
    for row in rows(grid / "places", "autoencoders.csv"):
        made = np.asarray(Image.open(grid / "places" / "reconstructions" / f"{row['cell_id']}.png"))
        assert made.shape == originals.shape
        assert not np.array_equal(made, originals)


def loaded(grid, place):
    row = next(row for row in rows(grid / "places") if row["axis.place"] == place)
    cell = cell_in(row)
    parts = Parts(row["training_id"], None, row["autoencoder_id"] or None)
    return row, cell, load(cell, cell.data.load(), Journal(grid / ".stages"), parts, CPU)


@pytest.mark.thorough
def test_psnr_and_samples_of_the_vae_are_what_its_files_say(grid):
    row, cell, vae = loaded(grid, "vae")
    assert isinstance(vae, Vae)
    test = cell.data.load().images["test"]
    z = vae.encoding.autoencoder.encoder(vae.encoding.autoencoder.levels.centre(test)).chunk(2, dim=1)[0]
    made = vae.encoding.autoencoder.levels.decode(vae.encoding.autoencoder.decoder(z))
    error = ((made.double() - test.double()) ** 2).mean()
    assert float(row["psnr/test"]) == pytest.approx(10 * math.log10(16**2 / float(error)), rel=1e-5)
    x0 = normal_blocks(0, 0, 0, 8, (4, 4, 4), CPU)
    drawn = sample.main([f"cell={row['cell_id']}", "n=8", f"results={grid}", f"out={grid}/vae"])
    assert drawn == 0
    picture = np.asarray(Image.open(grid / "vae.png").resize((73, 10), Image.Resampling.NEAREST))
    expected = vae.encoding.decode(x0)[0, 0].numpy() * (255 / 16)
    np.testing.assert_allclose(picture[1:9, 1:9], np.rint(expected))


@pytest.mark.thorough
def test_the_scale_is_of_all_training_images_by_the_averaged_encoder(grid):
    row, cell, model = loaded(grid, "kl")
    file, _ = read_tensors(grid / ".stages" / row["autoencoder_id"] / "weights.safetensors")
    levels = model.encoding.autoencoder.levels
    encoder = model.encoding.autoencoder.encoder
    mean, log_variance = encoder(levels.centre(cell.data.load().images["train"])).double().chunk(2, dim=1)
    variance = mean.var((0, 2, 3), correction=0) + log_variance.exp().mean((0, 2, 3))
    np.testing.assert_allclose(file["standard/mean"], mean.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(file["standard/scale"], variance.sqrt(), rtol=1e-5)
    weights = encoder.conv_in.weight
    assert torch.equal(file["average/encoder.conv_in.weight"], weights)
    assert not torch.equal(file["learner/encoder.conv_in.weight"], weights)


@pytest.mark.thorough
def test_what_an_autoencoder_scores_by_itself(grid):
    """The evidence bound by torch's divergence, on validation images; the codes that are used."""
    validation = tiny_cell().data.load().images["validation"]
    for place, row in zip(("kl", "vq"), rows(grid / "places", "autoencoders.csv")[:2], strict=True):
        values, code = metrics(row), loaded(grid, place)[2].encoding
        moments = code.autoencoder.encoder(code.autoencoder.levels.centre(validation))
        if place == "kl":
            mean, log_variance = moments.chunk(2, dim=1)
            prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
            nats = kl_divergence(Normal(mean, log_variance.exp().sqrt()), prior).flatten(1).sum(1).mean()
            assert values["elbo/val_kl"] == pytest.approx(float(nats) / (64 * math.log(2)), rel=1e-5)
        else:
            distances = ((moments[:, None] - code.autoencoder.codebook[None, :, :, None, None]) ** 2).sum(2)
            assert values["codes_used/val"] == len(distances.argmin(1).unique())


@pytest.mark.thorough
def test_a_sample_costs_its_passes_and_one_decoding(grid):
    for place in ("pixels", "kl", "vae"):
        row, cell, model = loaded(grid, place)
        passes = 0 if place == "vae" else 25 * forward_flops(model)
        decode = (
            autoencoder_flops(autoencoder_of(cell, cell.data.load()), (1, 8, 8), (4, 4, 4))[1] if row["space.f"] else 0
        )
        assert metrics(row)["cost/sample_flops"] == pytest.approx(passes + decode, rel=1e-6)


def test_an_autoencoder_without_sense_ends_as_diverged_and_its_cells_with_it(tmp_path, store, without_pictures):
    shutil.copy(store, tmp_path / "mlflow.db")
    words = over([*SMALL, *LATENTS], "space.learning_rate=1e30", f"results={tmp_path}", "launcher=serial")
    assert run.main(words) == 0
    (row,) = rows(tmp_path / "custom")
    assert row["status"] == "diverged"
    assert row["reason"].startswith("autoencoder: the autoencoder loss was not finite")


class Made(LatentCode):
    """Codes of a given variance."""

    def draw(self, stored, seed, step, purpose):
        generator = torch.Generator().manual_seed(step)
        return self.variance**0.5 * torch.randn(len(stored), 4, 4, 4, generator=generator)


@pytest.mark.parametrize(
    ("regularization", "active", "variance", "expected"),
    [
        ("kl", (0.5, 0.5, 0.5, 0.5), 1.0, "^$"),
        ("kl", (0.0, 0.5, 0.0, 0.0), 1.0, "^$"),
        ("kl", (0.005, 0.0, 0.001, 0.0), 1.0, "collapsed: what its codes say of the image is 0.5 % of their variance"),
        ("kl", (0.5, 0.5, 0.5, 0.5), 1.2, r"has the variance 1\.\d+ instead of 1"),
        ("kl", (0.5, 0.5, 0.5, 0.5), math.nan, "not finite"),
        ("vq", (1.0, 1.0, 1.0, 1.0), 0.0, "collapsed: a channel of its codes is the same"),
        ("vq", (1.0, 1.0, 1.0, 1.0), 1.0, "collapsed: every place of every image has the same code"),
    ],
)
def test_the_rules_of_collapse(regularization, active, variance, expected):
    cell = tiny_cell(f"space.regularization={regularization}")
    autoencoder = autoencoder_of(cell, cell.data.load()).requires_grad_(False)
    # Codes that start as zeros are all alike.
    scale = torch.full((4,), 1.0 if variance > 0 else variance).double()
    code = Made(autoencoder, torch.zeros(4), scale, (1, 8, 8), (4, 4, 4))
    object.__setattr__(code, "variance", variance)
    images = cell.data.load().images["train"][:20]
    standard = Standard(torch.zeros(4), scale, torch.tensor(active))
    assert re.search(expected, collapse(autoencoder, standard, code, images))


@pytest.mark.thorough
def test_a_posterior_that_ignores_the_image_is_found_out(tmp_path):
    """At a weight this large nothing is worth saying."""
    found = stages("space.kl_weight=1000", "space.steps=150")[0]
    assert perform(found, Journal(tmp_path), "cpu") == "diverged"
    assert "collapsed" in Journal(tmp_path).result(found.id).reason


@pytest.mark.thorough
def test_an_autoencoder_cut_and_continued_is_bit_identical(goes_on):
    goes_on(stages("space.steps=120")[0], cuts=1)


def test_a_foreign_or_missing_autoencoder_is_named(tmp_path):
    first, training, *_ = stages()
    other = stages("space.width=16")[0]
    journal = Journal(tmp_path)
    assert perform(training, Journal(tmp_path), "cpu") == "damaged"
    assert "weights.safetensors is missing" in journal.failure(training.id).message
    assert perform(other, Journal(tmp_path), "cpu") == "finished"
    journal.folder(other.id).rename(journal.folder(first.id))
    assert perform(training, Journal(tmp_path), "cpu") == "damaged"
    assert f"weights.safetensors was left by another stage, {other.id}" in journal.failure(training.id).message
    assert journal.failure(training.id).accidental


def convolution(channels_in, channels_out, side, size=3):
    return 2 * size * size * channels_in * channels_out * side * side


def test_operations_of_an_autoencoder_are_those_of_its_convolutions():
    """f = 2, width 8, digits 8×8: two 3×3 in a block, and a 1×1 where it changes the channels, 8 at side 8, 16 at 4."""
    cell = tiny_cell()
    autoencoder = autoencoder_of(cell, cell.data.load())
    encode, decode = autoencoder_flops(autoencoder, (1, 8, 8), (4, 4, 4))
    coarse = convolution(8, 16, 4) + convolution(16, 16, 4) + convolution(8, 16, 4, 1)
    assert encode == convolution(1, 8, 8) + 2 * convolution(8, 8, 8) + coarse + convolution(16, 8, 4)
    fine = convolution(16, 8, 8) + convolution(8, 8, 8) + convolution(16, 8, 8, 1)
    assert decode == convolution(4, 16, 4) + 2 * convolution(16, 16, 4) + fine + convolution(8, 1, 8)


def test_equal_operations_are_the_autoencoders_and_the_diffusions_together():
    plain = tiny_cell("training.steps=400", "budget=steps")
    matched = tiny_cell("training.steps=400", "budget=flops")
    data = plain.data.load()
    assert matched.training.steps == matched_steps(plain) > 400
    autoencoder = autoencoder_of(plain, data)
    encode, decode = autoencoder_flops(autoencoder, (1, 8, 8), (4, 4, 4))
    spent = 3 * (encode + decode) * 60 * 32 + encode * 897
    small = forward_flops(Diffusion(choices_of(plain), Continuous(), (4, 4, 4)))
    large = forward_flops(Diffusion(choices_of(plain), Continuous(), (1, 8, 8)))
    budget = 400 * 64 * 3 * large
    step = 64 * 3 * small
    assert budget - step < spent + matched.training.steps * step <= budget
    assert tiny_cell("budget=flops", base=SMALL).training.steps == 60


def test_a_budget_that_the_autoencoder_eats_makes_a_cell_incompatible_and_no_grid_impossible():
    """It stopped the whole grid once."""
    too_little = [word for word in (*SMALL, *LATENTS) if not word.startswith("training.steps=")] + ["training.steps=5"]
    reason = r"budget=flops: the autoencoder of space.f=2 takes .* operations, of .* that training.steps=5 take"
    with pytest.raises(InputError, match=reason):
        plan(make(parse_run([*too_little, "budget=flops"])), Serial(), ["cpu"])
    both = plan(make(parse_run([*too_little, "budget=steps,flops"])), Serial(), ["cpu"])
    (steps, flops) = both.planned
    assert steps.refusal is None
    assert re.match(reason, flops.refusal)
    assert steps.cell_id != flops.cell_id


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["data=mixture2d", "network=mlp", "space=latents"], "code of images"),
        (["horizon=0"], "horizon=0 is the autoencoder alone"),
        (["horizon=0", "space=latents", "space.regularization=vq"], "teaches nothing of a vector-quantised"),
        (["horizon=0", "space=latents", "evaluation.ode=1"], "evaluation.ode=1 speaks of a chain"),
        (["space=latents", "space.regularization=vq", "evaluation.continuous=4"], "asks for a likelihood"),
        (["space=latents", "space.f=8"], "unet with 2 resolutions needs images .* sides 2 divides"),
    ],
)
def test_what_makes_no_sense_in_latents_is_refused_with_the_reason(words, reason):
    with pytest.raises(InputError, match=reason):
        tiny_cell(*words, base=())


def test_what_is_said_of_a_chain_is_not_read_where_there_is_none():
    words = ["sampler=ddim", "sampler.steps=5", "evaluation.horizon=5", "budget=flops", "training.steps=7"]
    one, other = (stages("horizon=0", *more, base=VAE) for more in ([], words))
    assert [stage.id for stage in one] == [stage.id for stage in other]
    assert refusal(other[0].cell) is None


def test_a_large_bound_is_held_against_a_code_only_where_it_was_asked_to_be_cheap():
    assert bound_was_meant(tiny_cell())
    assert bound_was_meant(tiny_cell("evaluation.horizon=25"))
    assert not bound_was_meant(tiny_cell("space.kl_weight=0.5"))
    assert not bound_was_meant(tiny_cell("evaluation.horizon=5"))
    assert bound_was_meant(tiny_cell("horizon=0", "evaluation.horizon=5", base=VAE))
    assert bound_was_meant(tiny_cell(base=SMALL))


def test_a_suggestion_yields_where_there_is_no_likelihood():
    continuous = ["objective=vlb_continuous", "space=latents"]
    assert tiny_cell(*continuous, base=()).evaluation.continuous > 0
    quantised = tiny_cell(*continuous, "space.regularization=vq", base=())
    assert quantised.evaluation.continuous == 0
    assert refusal(quantised) is None


def test_levels_of_an_axis_are_picked_by_their_names_though_it_is_called_after_a_choice():
    made = make(parse_run(["grid=latent", "space=pixels,f2", "training.steps=2000"]))
    assert {point.levels["space"] for point in made.points} == {"pixels", "f2"}
    others = make(parse_run(["grid=latent", "training.steps=1500"]))
    assert {point.levels["training.steps"] for point in others.points} == {"1500"}
    with pytest.raises(InputError, match="no level of space called 'latents': there are f1, f2, f4, pixels"):
        make(parse_run(["grid=latent", "space=latents"]))


def test_a_field_that_varies_for_one_of_two_choices_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"space.f varies, and space=pixels has no such field: .* space=latents only"):
        make(parse_run(["space=pixels,latents", "space.f=2,4"]))


def test_a_field_of_a_varied_choice_is_for_the_cells_that_have_it():
    made = make(parse_run(["space=pixels,latents", "space.f=4", "horizon=50"]))
    assert [parameters(point.cell).get("space.f") for point in made.points] == [None, "4"]
    with pytest.raises(InputError, match=r"no field of .* called 'g'|has nothing to set"):
        make(parse_run(["space=pixels,latents", "space.g=4"]))


def test_psnr_is_of_the_mean_square_error_over_all_images():
    a = torch.tensor([[0, 16], [8, 8]], dtype=torch.uint8)
    b = torch.tensor([[4, 16], [8, 6]], dtype=torch.uint8)
    assert psnr(a, b, 17) == pytest.approx(10 * math.log10(256 / 5))
    assert psnr(a, a, 17) == math.inf
