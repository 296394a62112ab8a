"""Networks that others trained give what their own code gives: recorded outputs, images of a pipeline, a bound.

Their weights here are random. What diffusers samples and scores with its own schedulers is done without our code.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.networks.files import files_at
from diffusion_core.networks.openai import Heads, OpenAIUNet
from tests.diffusion_core.test_diffusers import lower_where_too_long

REFERENCE = Path(__file__).parents[1] / "reference"
T = 20
COSINE = dc.Cosine()
CLIP = {"clip_sample": True, "num_train_timesteps": T}


@pytest.mark.parametrize(
    ("name", "order"),
    [("unet_improved_diffusion_b", ""), ("unet_guided_diffusion", "order0/"), ("unet_guided_diffusion", "order1/")],
)
def test_networks_of_pt_files_give_their_recorded_outputs(name, order):
    recorded = {key: torch.from_numpy(value) for key, value in np.load(REFERENCE / f"{name}.npz").items()}
    state = {key.removeprefix("state/"): value for key, value in recorded.items() if key.startswith("state/")}
    count = int(recorded.get("config/num_heads", 4))
    heads = Heads(count, int(recorded.get("config/num_head_channels", 0)), order == "order1/")
    network = OpenAIUNet(state, heads).eval()
    with torch.no_grad():
        out = network(recorded["x"], recorded["timesteps"].float(), recorded["y"])
    torch.testing.assert_close(out, recorded[f"{order}out"], rtol=0, atol=1e-5)


def unet(classes=None):
    """A small U-Net of diffusers, with weights that are all random."""
    from diffusers import UNet2DModel

    torch.manual_seed(1)
    kinds = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    channels = {"in_channels": 1, "out_channels": 1, "block_out_channels": (16, 16), "norm_num_groups": 8}
    made = UNet2DModel(sample_size=8, layers_per_block=1, num_class_embeds=classes, **kinds, **channels)
    for value in made.parameters():
        value.data += 0.05 * torch.randn_like(value)
    return made.eval()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A pipeline of diffusers, and its folder."""
    from diffusers import DDPMPipeline, DDPMScheduler

    made = DDPMPipeline(unet(), DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="fixed_large", **CLIP))
    made.set_progress_bar_config(disable=True)
    folder = tmp_path_factory.mktemp("pipeline")
    made.save_pretrained(folder)
    return made, folder


def ours(folder, schedule=COSINE):
    network = dc.Published(str(folder), horizon=T)
    taken = dc.Choices(network=network, schedule=schedule, horizon=T)
    return dc.Diffusion(taken, dc.GreyLevels(256), (1, 8, 8)).eval()


def images_of(x_0: Tensor) -> Tensor:
    return (x_0 / 2 + 0.5).clamp(0, 1)


@pytest.mark.parametrize("sampler", [dc.Ancestral(), dc.Ddim()])
def test_our_sampler_and_their_pipeline_give_the_same_images_of_the_same_noise(pipeline, sampler, monkeypatch):
    """Their last step, from their t = 0, adds no noise; each other one draws what `noise` has for our k. Ours is
    the DDIM that makes ε̂ anew from a clipped x̂_0."""
    (made, folder), asked = pipeline, {"num_inference_steps": T, "output_type": "np"}
    noise = torch.randn(T + 1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    if isinstance(sampler, dc.Ddim):
        from diffusers import DDIMPipeline, DDIMScheduler

        made = DDIMPipeline(made.unet, DDIMScheduler.from_config(made.scheduler.config))
        made.set_progress_bar_config(disable=True)
        asked["use_clipped_model_output"] = True
    draws = iter([noise[0], *noise.flip(0)])
    for module in ("pipelines.ddpm.pipeline_ddpm", "pipelines.ddim.pipeline_ddim", "schedulers.scheduling_ddpm"):
        monkeypatch.setattr(f"diffusers.{module}.randn_tensor", lambda *_, **__: next(draws))
    theirs = made(batch_size=3, **asked).images
    model = ours(folder)
    with torch.no_grad():
        *_, x_0 = sampler.walk(model, noise[0], model.chain(), model.chain().steps, lambda k: noise[k])
    assert (images_of(x_0)[:, 0] - torch.from_numpy(theirs)[..., 0]).abs().max() < 1e-5


def test_our_bound_is_a_plain_loop_over_t_with_their_posterior(pipeline):
    """Terms t = 2..T, one draw of noise each: the KL of two Gaussians. Two steps of their scheduler with the same
    noise, one by the true ε and one by the network's, differ as their means do; the variances are the scheduler's."""
    made, folder = pipeline
    scheduler, model = made.scheduler, ours(folder)
    x_0 = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1
    eps = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    scheduler.set_timesteps(T)

    def stepped(output: Tensor, t: int, x_t: Tensor) -> Tensor:
        return scheduler.step(output, t, x_t, generator=torch.Generator().manual_seed(4)).prev_sample

    for t in range(T - 1, 0, -1):
        x_t = scheduler.add_noise(x_0, eps, torch.tensor([t]))
        with torch.no_grad():
            output = made.unet(x_t, t).sample
            term = model.term(x_0, eps, model.chain(), torch.full((3,), t + 1))
        apart = stepped(eps, t, x_t) - stepped(output, t, x_t)
        true, beta = (scheduler._get_variance(t, variance_type=kind) for kind in ("fixed_small", "fixed_large"))
        kl = 0.5 * (torch.log(beta / true) + true / beta - 1 + apart**2 / beta)
        torch.testing.assert_close(term.float(), kl.flatten(1).sum(1), rtol=2e-4, atol=1e-4)


def test_a_network_is_told_the_index_of_time_and_gives_further_channels_zero(pipeline):
    made, folder = pipeline
    x = torch.randn(2, 1, 8, 8)
    grown = dc.Published(str(folder), horizon=T).build((1, 8, 8), 2)
    with torch.no_grad():
        for t in (1, T):
            both = grown(x, torch.full((2,), 1000.0 * t / T))
            torch.testing.assert_close(both[:, :1], made.unet(x, t - 1).sample)
            assert not both[:, 1:].any()


def test_labels_are_its_classes_and_none_is_refused_where_it_has_no_row(tmp_path):
    unet(classes=3).save_pretrained(tmp_path / "three")
    network = dc.Published(str(tmp_path / "three"), horizon=T)
    model = network.labelled((1, 8, 8), 1, 3)
    x, time = torch.randn(2, 1, 8, 8), torch.tensor([100.0, 100.0])
    with torch.no_grad():
        assert not torch.equal(model(x, time, torch.tensor([0, 0])), model(x, time, torch.tensor([1, 2])))
    with pytest.raises(ValueError, match="has no row for no label"):
        model(x, time, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="knows 3 classes, and is to be told 10"):
        network.labelled((1, 8, 8), 1, 10)


def test_a_digest_follows_weights_and_config_and_not_the_folder(pipeline, tmp_path):
    made, folder = pipeline
    made.save_pretrained(tmp_path / "copy")
    assert files_at(str(folder)).digest == files_at(str(tmp_path / "copy")).digest
    made.unet.conv_out.bias.data[0] += 1
    made.save_pretrained(tmp_path / "other")
    made.unet.conv_out.bias.data[0] -= 1
    assert files_at(str(folder)).digest != files_at(str(tmp_path / "other")).digest
    with pytest.raises(ValueError, match=r"holds other weights than network\.digest=0123"):
        dc.Published(str(folder), digest="0123").build((1, 8, 8), 1)


def bad(kind: str, folder: Path, place: Path) -> Path:
    """A copy of a network with one fault."""
    import shutil

    shutil.copytree(folder / "unet", place)
    config, weights = place / "config.json", place / "diffusion_pytorch_model.safetensors"
    if kind == "other architecture":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"_class_name": "UNet3DConditionModel"}))
    elif kind == "contradicting config":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"block_out_channels": [32, 16]}))
    elif kind == "no weights":
        weights.unlink()
    elif kind == "no network":
        place = place / "model.pt"
        torch.save({"a": torch.zeros(2)}, place)
    return place


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("other architecture", "holds a UNet3DConditionModel: it must be"),
        ("contradicting config", "are not those of its architecture"),
        ("no weights", "the form that cannot run code"),
        ("no network", "are not those of its architecture"),
    ],
)
def test_bad_files_are_refused_in_one_line(kind, says, pipeline, tmp_path):
    place = bad(kind, pipeline[1], tmp_path / "bad")
    with pytest.raises(ValueError, match=says) as refused:
        dc.Published(str(place)).build((1, 8, 8), 1)
    assert "\n" not in str(refused.value)


def test_root_two_is_scaled_linear():
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler(T, beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195).betas
    log_alpha_bar = torch.log1p(-theirs.double()).cumsum(0)
    gamma = dc.Linear(0.0015, 0.0195, rescale=False, root=2).gamma(T)(torch.arange(1, T + 1))
    torch.testing.assert_close(torch.sigmoid(-gamma), log_alpha_bar.exp(), rtol=1e-6, atol=0)
    assert math.isclose(float(theirs[0]), 0.0015, rel_tol=1e-6)


@pytest.mark.parametrize("equation", ["ode", "sde"])
def test_dpm_solver_of_second_order_and_their_pipeline_give_the_same_images(equation, pipeline, monkeypatch):
    """Theirs lowers its order where ours does: in a step more than twice as long as the one before."""
    from diffusers import DDPMPipeline, DPMSolverMultistepScheduler

    kind = "dpmsolver++" if equation == "ode" else "sde-dpmsolver++"
    every = {"timestep_spacing": "trailing", "solver_type": "midpoint"}
    scheduler = DPMSolverMultistepScheduler(T, 0.01, 0.3, algorithm_type=kind, **every)
    step, noise = scheduler.step, torch.randn(T + 1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def lowered(*given, **named):
        lower_where_too_long(scheduler, scheduler.sigmas, scheduler.step_index or 0)
        return step(*given, **named)

    made, draws = DDPMPipeline(pipeline[0].unet, scheduler), iter([noise[0], *noise.flip(0)])
    made.set_progress_bar_config(disable=True)
    for module in ("pipelines.ddpm.pipeline_ddpm", "schedulers.scheduling_dpmsolver_multistep"):
        monkeypatch.setattr(f"diffusers.{module}.randn_tensor", lambda *_, **__: next(draws))
    monkeypatch.setattr(scheduler, "step", lowered)
    theirs = made(batch_size=3, num_inference_steps=T, output_type="np").images
    model = ours(pipeline[1], dc.Linear(beta_1=0.01, beta_T=0.3, rescale=False)).with_clip(False)
    with torch.no_grad():
        sampler = dc.DpmSolver(order=2, equation=equation)
        *_, x_0 = sampler.walk(model, noise[0], model.chain(), T, lambda k: noise[k])
    assert (images_of(x_0)[:, 0] - torch.from_numpy(theirs)[..., 0]).abs().max() < 1e-5
