"""Published networks in latents, of random weights, give what diffusers gives; `HOSTILE=10000` hostile files do not."""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import diffusion_core as dc
from ablations.settings.published import published_settings
from analysis.errors import InputError
from diffusion_core.latents import LatentCode
from tests.ablations.cells import cell_of, over, results_of, stages_of_cell
from tests.ablations.stages.test_published import SMALL
from tests.diffusion_core.test_published import CLIP, T

IMAGE, CODE, COLOURS = (1, 16, 16), (2, 8, 8), {"in_channels": 1, "out_channels": 1}
BLOCKS = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
CHAIN = CLIP | {"clip_sample": False, "beta_start": 0.01, "beta_end": 0.3}


def randomised(kind, **sizes):
    """A network of diffusers with weights that are all random."""
    import diffusers

    torch.manual_seed(1)
    made = getattr(diffusers, kind)(norm_num_groups=4, **sizes)
    for value in made.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return made.eval()


def transformer(classes=1000, side=8):
    sizes = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "sample_size": side}
    return randomised("DiTTransformer2DModel", in_channels=2, out_channels=4, num_embeds_ada_norm=classes, **sizes)


def autoencoder(kind="AutoencoderKL"):
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return randomised(kind, block_out_channels=(8, 8), latent_channels=2, scaling_factor=0.5, **COLOURS, **blocks)


def space_of(folder):
    """The space that a folder's files suggest."""
    said = published_settings(str(folder)).items()
    return dc.Latents(**{key.removeprefix("space."): value for key, value in said if key.startswith("space.")})


@pytest.mark.parametrize(
    ("kind", "scale"), [("AutoencoderKL", 1), ("VQModel", 1), ("transformer", 1), ("transformer", 3)]
)
def test_outputs_codes_and_images_are_those_of_a_pipeline_of_the_same_noise(kind, scale, tmp_path, monkeypatch):
    from diffusers import DDIMScheduler, DDPMScheduler, DiTPipeline, LDMPipeline

    noise = torch.randn(T + 1, 3, *CODE, generator=torch.Generator().manual_seed(0))
    labels, sampler = (torch.tensor([3, 0, 999]), dc.Ancestral()) if kind == "transformer" else (None, dc.Ddim())
    if labels is not None:
        theirs = DiTPipeline(transformer(), autoencoder(), DDPMScheduler(variance_type="fixed_large", **CHAIN))
        vae, asked = theirs.vae, {"class_labels": labels.tolist(), "guidance_scale": scale}
    else:
        network = randomised("UNet2DModel", sample_size=8, in_channels=2, out_channels=2, add_attention=False, **BLOCKS)
        theirs = LDMPipeline(autoencoder(kind), network, DDIMScheduler(**CHAIN))
        vae, asked = theirs.vqvae, {"batch_size": 3}
    theirs.save_pretrained(tmp_path)
    draws = iter([noise[0], *noise.flip(0)])
    for module in (type(theirs).__module__, "diffusers.schedulers.scheduling_ddpm"):
        monkeypatch.setattr(f"{module}.randn_tensor", lambda shape, **_: next(draws).repeat(shape[0] // 3, 1, 1, 1))
    drawn = torch.from_numpy(theirs(**asked, num_inference_steps=T, output_type="np").images)[..., 0]
    network, space, classes = dc.Published(str(tmp_path), horizon=T), space_of(tmp_path), 0 if labels is None else 1000
    scaling = (torch.full((2,), value).double() for value in space.scaling)
    code = LatentCode(space.build(dc.GreyLevels(256), IMAGE).eval(), *scaling, IMAGE, space.shape_of(IMAGE))
    told = {"conditioning": dc.Class()} if classes else {}
    choices = dc.Choices(network=network, schedule=dc.Linear(0.01, 0.3, rescale=False), horizon=T, **told)
    model = dc.Diffusion(choices, code, CODE, classes).eval().with_labels(labels)
    raw = torch.randint(256, (3, *IMAGE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        coded = vae.encode(raw / 127.5 - 1)
        mean, sd = (coded.latents, 0) if kind == "VQModel" else (coded.latent_dist.mean, coded.latent_dist.std)
        torch.testing.assert_close(code.encode(code.store(raw), noise[1]), 0.5 * (mean + sd * noise[1]))
        guided = dc.guided(model, model.with_labels(None), scale=scale)
        *_, x_0 = sampler.walk(guided, noise[0], guided.chain(), T, lambda k: noise[k])
        images = (code.autoencoder.decode(code.unscaled(x_0)) / 2 + 0.5).clamp(0, 1)[:, 0]
        assert (images - drawn).abs().max() < 1e-5
        for row in (labels, torch.full((3,), 1000)) if classes else ():
            out = network.labelled(CODE, 8, 1000)(noise[1], torch.full((3,), 1000.0 * 7 / T), row)
            torch.testing.assert_close(out[:, :4], theirs.transformer(noise[1], torch.full((3,), 6), row).sample)
            assert not out[:, 4:].any()


def test_a_network_that_could_be_told_text_is_read_where_it_is_told_classes_alone(tmp_path):
    theirs = randomised("UNet2DConditionModel", mid_block_type=None, num_class_embeds=4, **BLOCKS, **COLOURS)
    theirs.save_pretrained(tmp_path / "unet")
    x, y, network = torch.randn(2, 1, 8, 8), torch.tensor([0, 2]), dc.Published(str(tmp_path / "unet"), horizon=T)
    with torch.no_grad():
        ours = network.labelled((1, 8, 8), 1, 3)(x, torch.full((2,), 500.0), y)
        torch.testing.assert_close(ours, theirs(x, T / 2 - 1, None, y).sample)
    config = tmp_path / "unet" / "config.json"
    config.write_text(config.read_text().replace('"DownBlock2D"', '"CrossAttnDownBlock2D"'))
    with pytest.raises(ValueError, match=r"like \(CrossAttn blocks\): it must be UNet2DModel, .* at most$"):
        network.build((1, 8, 8), 1)


def test_a_transformer_is_scored_and_drawn_from_in_its_latents(tmp_path, few_digits):
    """The code's s is the error of x̂, as diffusers decodes it. A folder without its autoencoder is refused."""
    from diffusers import DDPMScheduler, DiTPipeline

    pipeline = DiTPipeline(transformer(10, 4), autoencoder(), DDPMScheduler(**CHAIN))
    pipeline.save_pretrained(tmp_path / "dit")
    words = [*SMALL, f"network.path={tmp_path / 'dit'}"]
    cell, stages = cell_of(*words), stages_of_cell(*words)
    chosen = (type(choice).__name__ for choice in (cell.space, cell.variance, cell.conditioning))
    assert [*chosen] == ["Latents", "LearnedVariance", "Class"]
    done = results_of(stages, tmp_path)
    metrics = {stage.kind: done[stage.id].metrics for stage in stages}
    assert metrics["bound"]["nll/test"] > metrics["bound"]["nll/test_reconstruction"]
    assert {name.partition("/")[0] for name in metrics["samples"]} >= {"fid"}
    x = cell.data.load().encoding.centre(cell.data.load().images["train"])
    with torch.no_grad():
        apart = pipeline.vae.decode(pipeline.vae.encode(x).latent_dist.sample()).sample - x
    assert metrics["autoencoder"]["train/decoder_sigma"] == pytest.approx(float(apart.square().mean().sqrt()), rel=0.05)
    for more, says in (
        (["space=pixels"], "takes maps of 4×4, and these data have 8×8"),
        (["space=latents"], "or the code of its own autoencoder: leave space out"),
    ):
        with pytest.raises(InputError, match=says):
            cell_of(*over(words, *more))
    shutil.rmtree(tmp_path / "dit" / "vae")
    with pytest.raises(InputError, match=r"space\.path=.* has no config\.json, nor has its folder vae or vqvae"):
        cell_of(*words)


class Opens:
    """What a pickle would run."""

    def __reduce__(self):
        return open, ("opened", "w")


def test_damaged_and_hostile_files_are_read_or_refused_in_one_line_and_run_nothing(tmp_path, monkeypatch):
    """Files cut, with bits turned, with other values, or replaced by a pickle that runs code or a bomb."""
    from diffusers import DDPMScheduler, DiTPipeline

    monkeypatch.chdir(tmp_path)
    DiTPipeline(transformer(3), autoencoder(), DDPMScheduler(**CHAIN)).save_pretrained("dit")
    torch.save({"time_embed.0.weight": torch.zeros(4, 2)}, "dit/model.pt")
    torch.save({"a": Opens()}, "pickle")
    with zipfile.ZipFile("bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    values, answers = [None, -1, 0, 2**40, 1e300, "x", [], {}, [[]], True, ["DownBlock2D"] * 3], []
    for i in range(int(os.environ.get("HOSTILE", "0")) or 100):
        draw, place = random.Random(i), Path(shutil.copytree("dit", f"bad{i}"))
        file = draw.choice([path for path in sorted(place.rglob("*")) if path.is_file()])
        content, kind = bytearray(file.read_bytes()), draw.choice(["cut", "bits", "value", "pickle", "bomb"])
        if kind in ("pickle", "bomb"):
            content = Path(kind).read_bytes()
        elif kind == "cut":
            del content[draw.randrange(len(content)) :]
        elif kind == "value" and file.suffix == ".json":
            config = json.loads(content)
            content = json.dumps(config | {draw.choice([*config]): draw.choice(values)}).encode()
        else:
            for _ in range(draw.choice([1, 8, 64])):
                content[draw.randrange(min(len(content), 1000))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        try:
            dc.Published(str(file if file.suffix == ".pt" else place)).labelled(CODE, 4, 3)
            space_of(place).build(dc.GreyLevels(256), IMAGE)
            answers.append("")
        except ValueError as error:
            answers.append(str(error))
        shutil.rmtree(place)
    assert not Path("opened").exists()
    assert not any("\n" in answer for answer in answers)
    assert all(says in str(answers) for says in ("holds more than tensors, or is damaged", "is no JSON file"))
    assert answers.count("") < len(answers) / 2
