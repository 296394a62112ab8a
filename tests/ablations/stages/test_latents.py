"""Cells in latents, from their autoencoder to their scores: sharing, costs, refusals, collapse."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ablations.data.tensors import read_tensors
from ablations.engine.journal import Journal
from ablations.engine.workers import perform
from ablations.settings.budget import autoencoder_flops, forward_flops, matched_steps
from ablations.stages.artifacts import RECONSTRUCTIONS, SAMPLES
from ablations.stages.autoencoder import collapse
from ablations.stages.graph import unique
from ablations.stages.restore import autoencoder_of, load
from analysis.errors import InputError
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.latents import LatentCode, Standard, standard
from diffusion_core.likelihood import Vae
from diffusion_core.randomness import normal_blocks
from tests.ablations.cells import TINY, cell_of, over, results_of, stages_of_cell

CPU = torch.device("cpu")
SMALL = over(TINY, "evaluation.sets=1", "sampler.steps=4", "training.steps=20", "training.report_every=10")
pytestmark = pytest.mark.usefixtures("few_digits_here")
LATENTS = ["space=latents", "space.kl_weight=1", "space.width=8", "space.steps=40", "space.batch=32"]
LATENTS += ["space.learning_rate=0.005"]


def tiny_cell(*words, base=(*SMALL, *LATENTS)):
    return cell_of(*over(base, *words))


def stages(*words, base=(*SMALL, *LATENTS)):
    return stages_of_cell(*over(base, *words))


def kinds(found):
    return [(stage.kind, stage.held_out) for stage in found]


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
    first = stages()[0]
    for other in ("schedule=cosine", "training.steps=61", "network.channels=16", "evaluation.strata=3"):
        assert stages(other)[0].id == first.id
    assert stages("horizon=0", base=VAE)[0].id == first.id
    for change in ("space.f=4", "space.kl_weight=0.1", "space.steps=41", "threads=2", "first_seed=1"):
        assert stages(change)[0].id != first.id, change
        assert stages(change)[-1].id != stages()[-1].id
    both = unique([*stages(), *stages("schedule=cosine")])
    assert sum(stage.kind == "autoencoder" for stage in both) == 1
    assert sum(stage.kind == "training" for stage in both) == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory, few_digits_here):
    """Pixels, kl at f = 2, its VAE, and vq: the results of their stages by place, kind and split."""
    root = tmp_path_factory.mktemp("latents")
    places = {
        "pixels": stages(base=SMALL),
        "kl": stages(),
        "vae": stages("horizon=0", base=VAE),
        "vq": stages("space.regularization=vq"),
    }
    results = results_of(unique([stage for found in places.values() for stage in found]), root)
    return root, {
        (place, stage.kind, stage.held_out): (stage, results[stage.id])
        for place, found in places.items()
        for stage in found
    }


def test_every_cell_has_what_it_can_have(trained):
    _, found = trained
    for place in ("kl", "vae", "vq"):
        assert "rfid/train/digits-cnn" in found[place, "reconstruction", None][1].metrics
        assert "fid/train/digits-cnn" in found[place, "samples", "test"][1].metrics
    vae, kl = (found[place, "bound", "test"][1].metrics for place in ("vae", "kl"))
    for part in ("reconstruction", "entropy"):
        assert vae[f"nll/test_{part}"] == kl[f"nll/test_{part}"]
    assert vae["nll/test_Lt"] == 0
    for place in ("kl", "vq"):
        values = found[place, "autoencoder", None][1].metrics
        assert values["cost/autoencoder_flops"] > 0
        assert ("elbo/val" in values) == (place == "kl")
        assert ("codes_used/val" in values) == (place == "vq")
    values = found["kl", "autoencoder", None][1].metrics
    assert values["elbo/val"] == pytest.approx(values["elbo/val_reconstruction"] + values["elbo/val_kl"], abs=1e-5)


def loaded(trained, place):
    root, found = trained
    stage, _ = found[place, "samples", "test"]
    return stage.cell, load(stage.cell, stage.cell.data.load(), Journal(root), stage.parts, CPU)


def test_psnr_and_samples_of_the_vae_are_what_its_files_say(trained):
    root, found = trained
    cell, vae = loaded(trained, "vae")
    assert isinstance(vae, Vae)
    test, levels = cell.data.load().images["test"], vae.encoding.autoencoder.levels
    z = vae.encoding.autoencoder.encoder(levels.centre(test)).chunk(2, dim=1)[0]
    made = levels.decode(vae.encoding.autoencoder.decoder(z))
    error = ((made.double() - test.double()) ** 2).mean()
    stage, result = found["vae", "reconstruction", None]
    assert result.metrics["psnr/test"] == pytest.approx(10 * math.log10(16**2 / float(error)), rel=1e-5)
    kept = read_tensors(root / stage.id / RECONSTRUCTIONS)[0]
    assert torch.equal(kept["originals"], test[:12])
    assert torch.equal(kept["reconstructions"], made[:12])
    drawn = read_tensors(root / found["vae", "samples", "test"][0].id / SAMPLES)[0]["samples"]
    assert torch.equal(drawn[:8], vae.encoding.decode(normal_blocks(0, 0, 0, 8, (4, 4, 4), CPU)))


def test_the_scale_is_of_all_training_images_by_the_averaged_encoder(trained):
    root, found = trained
    cell, model = loaded(trained, "kl")
    file, _ = read_tensors(root / found["kl", "autoencoder", None][0].id / "weights.safetensors")
    encoder = model.encoding.autoencoder.encoder
    expected = standard(model.encoding.autoencoder, cell.data.load().images["train"])
    torch.testing.assert_close(file["standard/mean"], expected.mean, atol=1e-5, rtol=1e-7, check_dtype=False)
    torch.testing.assert_close(file["standard/scale"], expected.scale, rtol=1e-5, atol=0, check_dtype=False)
    assert torch.equal(file["average/encoder.conv_in.weight"], encoder.conv_in.weight)
    assert not torch.equal(file["learner/encoder.conv_in.weight"], encoder.conv_in.weight)


def test_what_an_autoencoder_scores_by_itself(trained):
    """The evidence bound by torch's divergence, on validation images; the codes that are used."""
    _, found = trained
    validation = tiny_cell().data.load().images["validation"]
    for place in ("kl", "vq"):
        values, code = found[place, "autoencoder", None][1].metrics, loaded(trained, place)[1].encoding
        moments = code.autoencoder.encoder(code.autoencoder.levels.centre(validation))
        if place == "kl":
            mean, log_variance = moments.chunk(2, dim=1)
            prior = Normal(torch.zeros_like(mean), torch.ones_like(mean))
            nats = kl_divergence(Normal(mean, log_variance.exp().sqrt()), prior).flatten(1).sum(1).mean()
            assert values["elbo/val_kl"] == pytest.approx(float(nats) / (64 * math.log(2)), rel=1e-5)
        else:
            distances = ((moments[:, None] - code.autoencoder.codebook[None, :, :, None, None]) ** 2).sum(2)
            assert values["codes_used/val"] == len(distances.argmin(1).unique())


def test_a_sample_costs_its_passes_and_one_decoding(trained):
    for place in ("pixels", "kl", "vae"):
        cell, model = loaded(trained, place)
        passes = 0 if place == "vae" else 4 * forward_flops(model)
        own = place != "pixels"
        decode = autoencoder_flops(autoencoder_of(cell, cell.data.load()), (1, 8, 8), (4, 4, 4))[1] if own else 0
        cost = trained[1][place, "samples", "test"][1].metrics["cost/sample_flops"]
        assert cost == pytest.approx(passes + decode, rel=1e-6)


def test_an_autoencoder_without_sense_ends_as_diverged(tmp_path):
    found = stages("space.learning_rate=1e30")[0]
    assert perform(found, Journal(tmp_path), "cpu") == "diverged"
    assert Journal(tmp_path).result(found.id).reason.startswith("autoencoder: the autoencoder loss was not finite")


class Made(LatentCode):
    """Codes of a given variance."""

    def draw(self, stored, seed, step, purpose):
        generator = torch.Generator().manual_seed(step)
        return self.variance**0.5 * torch.randn(len(stored), 4, 4, 4, generator=generator)


@pytest.mark.parametrize(
    ("regularization", "active", "variance", "expected"),
    [
        ("kl", (0.5, 0.5, 0.5, 0.5), 1.0, "^$"),
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


def test_equal_operations_are_the_autoencoders_and_the_diffusions_together():
    words = ("training.steps=400", "training.batch=64")
    plain, matched = (tiny_cell(*words, f"budget={budget}") for budget in ("steps", "flops"))
    data = plain.data.load()
    assert matched.training.steps == matched_steps(plain) > 400
    autoencoder = autoencoder_of(plain, data)
    encode, decode = autoencoder_flops(autoencoder, (1, 8, 8), (4, 4, 4))
    spent = 3 * (encode + decode) * 40 * 32 + encode * len(data.images["train"])
    small = forward_flops(Diffusion(Choices.of(plain), Continuous(), (4, 4, 4)))
    large = forward_flops(Diffusion(Choices.of(plain), Continuous(), (1, 8, 8)))
    budget = 400 * 64 * 3 * large
    step = 64 * 3 * small
    assert budget - step < spent + matched.training.steps * step <= budget
    assert tiny_cell("budget=flops", base=SMALL).training.steps == 20
    with pytest.raises(InputError, match=r"the autoencoder of space.f=2 takes .* operations, of"):
        tiny_cell("training.steps=5", "budget=flops")
