"""Published networks in latents give what diffusers gives: outputs, codes, and images of its pipelines.

Weights are random. The last test gives the reader damaged and hostile files: `HOSTILE=10000` is the number of them.
"""

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
from tests.diffusion_core.test_published import CLIP, Opens, T, unet

IMAGE, CODE = (1, 16, 16), (2, 8, 8)
CHAIN = CLIP | {"clip_sample": False, "beta_start": 0.01, "beta_end": 0.3}


def randomised(network):
    for value in network.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return network.eval()


def transformer(classes=1000, side=8):
    from diffusers import DiTTransformer2DModel

    torch.manual_seed(1)
    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "sample_size": side,
        "norm_num_groups": 4,
    }
    return randomised(DiTTransformer2DModel(in_channels=2, out_channels=4, num_embeds_ada_norm=classes, **sizes))


def autoencoder(kind="AutoencoderKL"):
    import diffusers

    torch.manual_seed(2)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    sizes = {"block_out_channels": (8, 8), "norm_num_groups": 4, "latent_channels": 2, "scaling_factor": 0.5}
    return randomised(getattr(diffusers, kind)(in_channels=1, out_channels=1, **blocks, **sizes))


def space_of(said):
    """The space that a folder's settings name."""
    return dc.Latents(**{key.removeprefix("space."): value for key, value in said.items() if key.startswith("space.")})


def of_folder(folder, classes=0):
    """Our diffusion and its code, of the files in a folder."""
    network, space = dc.Published(str(folder), horizon=T), space_of(published_settings(str(folder)))
    mean, scale = (torch.full((2,), value).double() for value in space.scaling)
    module = space.build(dc.GreyLevels(256), IMAGE).eval()
    code = LatentCode(module, mean, scale, IMAGE, space.shape_of(IMAGE))
    told = {"conditioning": dc.Class()} if classes else {}
    choices = dc.Choices(network=network, schedule=dc.Linear(0.01, 0.3, rescale=False), horizon=T, **told)
    return dc.Diffusion(choices, code, CODE, classes).eval(), code


def images(code, x_0):
    return (code.autoencoder.decode(code.unscaled(x_0)) / 2 + 0.5).clamp(0, 1)[:, 0]


def patched(monkeypatch, pipeline, noise):
    """A pipeline whose draws are those of `noise`, its start first."""
    draws = iter([noise[0], *noise.flip(0)])
    ends = ("scheduling_ddpm", "scheduling_ddim")
    for module in (type(pipeline).__module__, *(f"diffusers.schedulers.{end}" for end in ends)):
        monkeypatch.setattr(f"{module}.randn_tensor", lambda *_, **__: next(draws))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_a_transformer_gives_its_output_and_its_pipeline_the_same_images(tmp_path, monkeypatch):
    from diffusers import DDPMScheduler, DiTPipeline

    theirs = DiTPipeline(transformer(), autoencoder(), DDPMScheduler(variance_type="fixed_large", **CHAIN))
    theirs.save_pretrained(tmp_path)
    network, noise = dc.Published(str(tmp_path), horizon=T), torch.randn(T + 1, 3, *CODE)
    x, labels = noise[1], torch.tensor([3, 0, 999])
    module = network.labelled(CODE, 4, 1000)
    with torch.no_grad():
        for ours, told in ((labels, labels), (None, torch.full((3,), 1000))):
            out = module(x, torch.full((3,), 1000.0 * 7 / T), *([] if ours is None else [ours]))
            torch.testing.assert_close(out, theirs.transformer(x, torch.full((3,), 6), told).sample)
        assert not network.labelled(CODE, 8, 1000)(x, torch.full((3,), 100.0))[:, 4:].any()
    drawn = patched(monkeypatch, theirs, noise)(labels.tolist(), 1.0, num_inference_steps=T, output_type="np")
    model, code = of_folder(tmp_path, 1000)
    told = model.with_labels(labels)
    with torch.no_grad():
        *_, x_0 = dc.Ancestral().walk(told, noise[0], told.chain(), T, lambda k: noise[k])
        assert (images(code, x_0) - torch.from_numpy(drawn.images)[..., 0]).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["AutoencoderKL", "VQModel"])
def test_codes_and_images_are_those_of_a_pipeline_in_latents(kind, tmp_path, monkeypatch):
    from diffusers import DDIMScheduler, LDMPipeline, UNet2DModel

    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (16,)}
    torch.manual_seed(1)
    network = UNet2DModel(8, 2, 2, layers_per_block=1, norm_num_groups=8, add_attention=False, **blocks)
    theirs = LDMPipeline(autoencoder(kind), randomised(network), DDIMScheduler(**CHAIN))
    theirs.save_pretrained(tmp_path)
    noise = torch.randn(T + 1, 3, *CODE, generator=torch.Generator().manual_seed(0))
    drawn = patched(monkeypatch, theirs, noise)(batch_size=3, num_inference_steps=T, output_type="np").images
    model, code = of_folder(tmp_path)
    raw = torch.randint(256, (3, *IMAGE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        coded = theirs.vqvae.encode(raw / 127.5 - 1)
        mean, sd = (coded.latent_dist.mean, coded.latent_dist.std) if kind == "AutoencoderKL" else (coded.latents, 0)
        torch.testing.assert_close(code.encode(code.store(raw), noise[1]), 0.5 * (mean + sd * noise[1]))
        *_, x_0 = dc.Ddim().walk(model, noise[0], model.chain(), T, lambda k: noise[k])
        assert (images(code, x_0) - torch.from_numpy(drawn)[..., 0]).abs().max() < 1e-5


def test_a_network_that_could_be_told_text_is_read_where_it_is_told_classes_alone(tmp_path):
    from diffusers import UNet2DConditionModel

    sizes = {"in_channels": 1, "out_channels": 1, "block_out_channels": (8,), "norm_num_groups": 4}
    sizes |= {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "num_class_embeds": 4}
    theirs = randomised(UNet2DConditionModel(8, mid_block_type=None, layers_per_block=1, **sizes))
    theirs.save_pretrained(tmp_path / "classes")
    x, y = torch.randn(2, 1, 8, 8), torch.tensor([0, 2])
    module = dc.Published(str(tmp_path / "classes"), horizon=T).labelled((1, 8, 8), 1, 3)
    with torch.no_grad():
        torch.testing.assert_close(module(x, torch.full((2,), 500.0), y), theirs(x, T / 2 - 1, None, y).sample)
    config = tmp_path / "classes" / "config.json"
    config.write_text(config.read_text().replace('"DownBlock2D"', '"CrossAttnDownBlock2D"'))
    with pytest.raises(ValueError, match=r"like \(CrossAttn blocks\): it must be UNet2DModel, .* most$"):
        dc.Published(str(tmp_path / "classes")).build((1, 8, 8), 1)


def test_a_transformer_is_scored_and_drawn_from_in_its_latents(tmp_path, few_digits):
    """The code's s is the error of x̂, as diffusers decodes it. A folder without its autoencoder is refused."""
    from diffusers import DDPMScheduler, DiTPipeline

    pipeline = DiTPipeline(transformer(10, 4), autoencoder(), DDPMScheduler(**CHAIN))
    pipeline.save_pretrained(tmp_path / "dit")
    words = [*SMALL, f"network.path={tmp_path / 'dit'}"]
    cell = cell_of(*words)
    chosen = (type(choice).__name__ for choice in (cell.space, cell.variance, cell.objective, cell.conditioning))
    assert [*chosen] == ["Latents", "LearnedVariance", "Hybrid", "Class"]
    stages = stages_of_cell(*words)
    done = results_of(stages, tmp_path)
    metrics = {stage.kind: done[stage.id].metrics for stage in stages}
    assert metrics["bound"]["nll/test"] > metrics["bound"]["nll/test_reconstruction"]
    assert metrics["reconstruction"]["psnr/test"] > 0
    assert any(name.startswith("fid/") for name in metrics["samples"])
    data = cell.data.load()
    x = data.encoding.centre(data.images["train"])
    with torch.no_grad():
        apart = pipeline.vae.decode(pipeline.vae.encode(x).latent_dist.sample()).sample - x
    assert metrics["autoencoder"]["train/decoder_sigma"] == pytest.approx(float(apart.square().mean().sqrt()), rel=0.05)
    other = stages_of_cell(*words, "first_seed=1", "variance=beta", "objective=simple")
    assert {stages[0].id} == {stage.id for stage in other if stage.kind == "autoencoder"}
    for more, says in (
        (["space=pixels"], "takes 2 channels, and these data have 1"),
        (["space=latents"], "or the code of its own autoencoder: leave space out"),
        (["conditioning=unconditional"], "knows 11 classes, and is to be told 0"),
        (["data=patches"], "conditioning=class tells the network labels"),
    ):
        with pytest.raises(InputError, match=says):
            cell_of(*over(words, *more))
    shutil.rmtree(tmp_path / "dit" / "vae")
    with pytest.raises(InputError, match=r"space\.path=.* has no config\.json, nor has its folder vae or vqvae"):
        cell_of(*words)


def damage(draw: random.Random, place: Path) -> None:
    """Cut a file, turn bits of it, or put a bomb, a pickle that runs code or another value in its place."""
    file = draw.choice([*place.rglob("*.json"), *place.rglob("*.safetensors"), *place.rglob("*.pt")])
    content = bytearray(file.read_bytes())
    kind = draw.choice(["cut", "bits", "bits", "value", "pickle", "bomb"])
    if kind == "cut":
        del content[draw.randrange(len(content)) :]
    elif kind == "bits":
        for _ in range(draw.choice([1, 1, 8, 64])):
            content[draw.randrange(min(len(content), 1000))] ^= 1 << draw.randrange(8)
    elif kind == "value" and file.suffix == ".json":
        config = json.loads(content)
        values = [None, -1, 0, 1, 2**40, 1e300, "x", [], {}, [[]], True, ["DownBlock2D"] * 3]
        config[draw.choice([*config])] = draw.choice(values)
        content = bytearray(json.dumps(config), "utf-8")
    file.write_bytes(content)
    if kind == "pickle":
        torch.save({"a": Opens()}, file)
    elif kind == "bomb":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(10**6))


def test_damaged_and_hostile_files_are_read_or_refused_in_one_line_and_run_nothing(tmp_path, monkeypatch):
    from diffusers import DDPMScheduler, DiTPipeline

    monkeypatch.chdir(tmp_path)
    DiTPipeline(transformer(classes=3), autoencoder(), DDPMScheduler(**CHAIN)).save_pretrained(tmp_path / "dit")
    unet().save_pretrained(tmp_path / "unet")
    (tmp_path / "pt").mkdir()
    torch.save({"time_embed.0.weight": torch.zeros(4, 2)}, tmp_path / "pt" / "model.pt")
    said_of_all = []
    for i in range(int(os.environ.get("HOSTILE", "0")) or 100):
        draw = random.Random(i)
        kind = draw.choice(["dit", "dit", "unet", "pt"])
        shutil.copytree(tmp_path / kind, place := tmp_path / f"bad{i}")
        damage(draw, place)
        path = str(next(place.glob("*.pt"), place))
        try:
            said, latents = published_settings(path), "dit" in kind
            dc.Published(path).labelled(CODE if latents else (1, 8, 8), 4, 3 * latents)
            if latents:
                space_of(said).build(dc.GreyLevels(256), IMAGE)
            said_of_all.append("")
        except ValueError as error:
            said_of_all.append(str(error))
        shutil.rmtree(place)
    assert not Path("opened").exists()
    assert not any("\n" in said for said in said_of_all)
    assert said_of_all.count("") < len(said_of_all) / 2
