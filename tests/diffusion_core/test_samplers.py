"""What every sampler keeps: a sample belongs to its seed and number, not to its batch. Moments: test_gaussian.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_core.parameterizations import X0
from diffusion_core.samplers import Ancestral, Ddim, Sampler
from diffusion_core.schedules import Schedule
from diffusion_core.testing import samplers
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.variants import name
from tests.axes import members, properties

SAMPLERS = pytest.mark.parametrize("sampler", members(Sampler), ids=name)


@properties(samplers.PROPERTIES)
@SAMPLERS
def test_every_sampler_keeps_what_samplers_keep(sampler, holds):
    holds(sampler)


@SAMPLERS
@pytest.mark.parametrize("schedule", members(Schedule), ids=name)
def test_samples_of_gaussian_data_have_their_variance_in_the_limit_under_every_schedule(sampler, schedule):
    samplers.variance_of_samples_tends_to_the_datas_as_the_horizon_grows(sampler, (schedule,))


@pytest.mark.parametrize("steps", [0, -3])
def test_a_sampler_without_a_step_is_refused_in_words(steps):
    with pytest.raises(ValueError, match=rf"sampler\.steps must be at least 1 or null for all, got {steps}"):
        Ancestral(steps=steps)


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


@pytest.mark.parametrize("values", [{"skip": 1.0}, {"skip": -0.1}, {"steps": 0}])
def test_settings_without_meaning_are_refused(values):
    with pytest.raises(ValueError, match=r"sampler\.(skip|steps)"):
        Ancestral(**values)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_eta_lies_between_the_flow_and_the_ancestral_chain(eta):
    with pytest.raises(ValueError, match=r"sampler\.eta must lie in \[0, 1\]"):
        Ddim(eta=eta)
