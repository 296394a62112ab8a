"""Large examples go through the network some at a time, each with its own time, and come out as they do together."""

from __future__ import annotations

import torch

from diffusion_core import denoiser
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import GreyLevels
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import Epsilon
from diffusion_core.schedules import Linear
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Beta

SMALL = UNet(channels=8, multipliers=(1,), attention=(), groups=2, heads=1)


def model() -> Diffusion:
    made = Diffusion(Choices(Epsilon(), Beta(), Linear(), Simple(), Uniform(), SMALL, 50), GreyLevels(), (1, 8, 8))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return made.eval()


def test_examples_that_are_many_pixels_are_shown_some_at_a_time_where_no_gradient_is_asked_for(monkeypatch):
    made, shown = model(), []
    made.denoiser.network.register_forward_pre_hook(lambda _, given: shown.append(len(given[0])))
    x_t, t = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([1, 50, 7, 9, 30, 2, 44])
    pair = made.chain().pair(t)
    with torch.no_grad():
        whole, _ = made.denoiser(x_t, t, pair)
        monkeypatch.setattr(denoiser, "PLACES", 3 * 64)
        parts, _ = made.denoiser(x_t, t, pair)
        monkeypatch.setattr(denoiser, "PLACES", 1)
        single, _ = made.denoiser(x_t, t, pair)
    assert shown == [7, 3, 3, 1, *[1] * 7]
    assert float(whole.std()) > 0.01
    for found in (parts, single):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
    shown.clear()
    made.denoiser(x_t, t, pair)
    assert shown == [7]


def test_images_of_64_pixels_and_less_are_shown_as_many_at_once_as_ever():
    assert denoiser.PLACES == 512 * 64 * 64
