"""What every sampler keeps: a sample belongs to its seed and number, not to its batch. Moments: test_gaussian.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import X0, Epsilon
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import Linear
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.variants import name
from diffusion_core.timesteps import Uniform
from diffusion_core.variances import Beta, BetaTilde
from tests.axes import members

SAMPLERS = pytest.mark.parametrize("sampler", members(Sampler), ids=name)


@pytest.fixture(params=["mlp", "unet"])
def model(request) -> Diffusion:
    network = {"mlp": Mlp(width=16, layers=1), "unet": UNet(channels=8, groups=4)}[request.param]
    choices = Choices(Epsilon(), Beta(), Linear(rescale=False), Simple(), Uniform(), network, 10)
    encoding, shape = (Continuous(), (2,)) if request.param == "mlp" else (GreyLevels(), (1, 8, 8))
    model = Diffusion(choices, encoding, shape)
    model.initialise(0)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@SAMPLERS
def test_sample_i_does_not_depend_on_how_many_are_drawn_or_in_which_batches(sampler, model):
    every = sampler.sample(model, 130, seed=3, clip=True)
    torch.testing.assert_close(sampler.sample(model, 10, seed=3, clip=True), every[:10], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sampler.sample(model, 130, seed=3, clip=True, batch=50), every, rtol=1e-5, atol=1e-5)
    assert every.shape == (130, *model.shape)
    assert len(every.unique(dim=0)) == 130


@SAMPLERS
def test_seeds_are_repeatable_and_different(sampler, model):
    one, same, other = (sampler.sample(model, 5, seed=seed, clip=False) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.isclose(one, other).any()


@SAMPLERS
def test_samples_do_not_see_autocast_around_them(sampler, model):
    plain = sampler.sample(model, 5, seed=0, clip=False)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sampler.sample(model, 5, seed=0, clip=False), plain)


@SAMPLERS
def test_strided_sampling_visits_the_chains_times_from_the_last_to_the_first(sampler):
    seen: list[int] = []

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(int(t[0]))
        assert len(t.unique()) == 1
        return 0 * x_t

    type(sampler)(steps=4).sample(diffusion(output, 31), 3, seed=0, clip=False)
    assert sorted(set(seen), reverse=True) == [31, 21, 11, 1]
    seen.clear()
    type(sampler)().sample(diffusion(output, 31), 3, seed=0, clip=False)
    assert sorted(set(seen), reverse=True) == list(range(31, 0, -1))


@SAMPLERS
def test_clipped_samples_of_bounded_data_stay_within_their_range(sampler):
    loud = diffusion(lambda x_t, t: 5 * x_t, 25, parameterization=X0(), encoding=GreyLevels(), shape=(1, 2, 2))
    assert sampler.sample(loud, 20, seed=0, clip=True).abs().max() <= 1
    assert sampler.sample(loud, 20, seed=0, clip=False).abs().max() > 1


@SAMPLERS
def test_progress_rises_to_one_in_equal_shares(sampler):
    shares: list[float] = []
    idle = diffusion(lambda x_t, t: 0 * x_t, 25)
    sampler.sample(idle, 100, seed=0, clip=False, batch=64, progress=shares.append)
    assert len(shares) == 50
    assert shares == sorted(shares)
    assert shares[24] == pytest.approx(0.64)
    assert shares[-1] == pytest.approx(1)


@SAMPLERS
@pytest.mark.parametrize("steps", [0, -3])
def test_a_sampler_needs_a_step(sampler, steps):
    with pytest.raises(ValueError, match=rf"sampler\.steps must be at least 1 or null for all, got {steps}"):
        type(sampler)(steps=steps)


def test_steps_draw_independent_noise():
    """x̂_0 = 0 and one point in time: an ancestral step is c_t x_t + σ noise, so equal noise at two steps would show."""
    kept: list[Tensor] = []

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        kept.append(x_t.clone())
        return 0 * x_t

    model = diffusion(output, 25, parameterization=X0())
    Ancestral().sample(model, 4000, seed=0, clip=False, batch=4096)
    pair = model.chain().pair(torch.arange(1, 26))
    noise = [
        (kept[i + 1] - pair.coefficient_xt[24 - i] * kept[i]) / pair.beta[24 - i].sqrt() for i in range(len(kept) - 1)
    ]
    table = torch.stack([kept[0], *noise])[:, :, 0]
    correlation = torch.corrcoef(table.double()) - torch.eye(len(table))
    assert correlation.abs().max() < 6 / 4000**0.5
    torch.testing.assert_close(table.std(1), torch.ones(len(table), dtype=table.dtype), rtol=0.06, atol=0)


@SAMPLERS
@pytest.mark.parametrize(("steps", "skip", "first"), [(None, 0.2, 25), (10, 0.2, 24), (10, 0.0, 31), (4, 0.9, 1)])
def test_skipping_starts_from_unit_noise_at_the_first_kept_step(sampler, steps, skip, first):
    """The share is of the kept steps: of 31, 6 are left out; of 10 kept times, 2, and the eighth is 1 + 7 · 30/9."""
    seen: list[tuple[int, Tensor]] = []

    def output(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append((int(t[0]), x_t))
        return 0 * x_t

    n = 4000
    model = diffusion(output, 31)
    type(sampler)(steps=steps, skip=skip).sample(model, n, seed=0, clip=False, batch=n)
    t, x = seen[0]
    assert t == first
    assert all(later <= first for later, _ in seen)
    assert x.mean(0).abs().max() < 5 / n**0.5
    assert (x.var(0) - 1).abs().max() < 5 * (2 / n) ** 0.5


@SAMPLERS
def test_what_is_skipped_does_not_change_the_noise_of_what_is_left(sampler):
    """The same x at the start and the same draws after it: two cells that differ in `skip` stay paired."""

    def start(skip: float) -> Tensor:
        seen: list[Tensor] = []
        model = diffusion(lambda x_t, t: seen.append(x_t) or 0 * x_t, 31)
        type(sampler)(skip=skip).sample(model, 8, seed=0, clip=False)
        return seen[0]

    assert torch.equal(start(0.0), start(0.5))


@pytest.mark.parametrize("values", [{"skip": 1.0}, {"skip": -0.1}, {"steps": 0}])
def test_settings_without_meaning_are_refused(values):
    with pytest.raises(ValueError, match=r"sampler\.(skip|steps)"):
        Ancestral(**values)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_lies_between_the_flow_and_the_ancestral_chain(eta):
    with pytest.raises(ValueError, match=r"sampler\.eta must lie in \[0, 1\]"):
        Ddim(eta=eta)


@SAMPLERS
def test_a_sampler_that_says_so_does_not_read_the_variance(sampler, model):
    """`reads_variance` decides which cells share their samples."""
    x, noise = torch.randn(2, 4, *model.shape, generator=torch.Generator().manual_seed(0))
    k = torch.tensor([2, 4, 7, 9])
    model.choices = replace(model.choices, variance=Beta())
    one = sampler.step(model, x, model.chain(), k, noise, clip=False)
    model.choices = replace(model.choices, variance=BetaTilde())
    other = sampler.step(model, x, model.chain(), k, noise, clip=False)
    assert torch.equal(one, other) != sampler.reads_variance
