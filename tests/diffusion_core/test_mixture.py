"""A mixture whose density is known: with its exact score the bound in continuous time has no gap."""

from __future__ import annotations

import math

import diffusion_core as dc
from diffusion_core.checking import denoiser_output
from tests.diffusion_core.mixture import MixtureData
from tests.diffusion_core.problems import diffusion


def test_with_the_exact_score_the_continuous_bound_has_no_gap():
    """½ ∫ E‖ε − ε̂‖² dγ is the information that the noise takes away (Guo et al. 2005): with the density at γ_1 and L_T
    it makes up the entropy of data with noise of variance e^{γ_1}, under every schedule.
    """
    data = MixtureData()
    points = data.sample(2000, 8)
    output = denoiser_output(data.denoise, dc.Epsilon(), dc.Linear(), 1000)
    model = diffusion(output, 1000, schedule=dc.Linear(), real=True)
    total = dc.continuous_bound(model, points, draws=64, seed=0, batch=4000).total
    gap = total + data.density.log_prob(points) / (2 * math.log(2))
    error = gap.std().item() / len(gap) ** 0.5
    assert error < 0.03
    assert abs(gap.mean().item()) < 3.5 * error
