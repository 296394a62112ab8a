"""Which noise goes with which x_0: by brute force, in closed forms, and the same however a batch is shared."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.couplings import Coupling, Immiscible, Optimal
from diffusion_core.randomness import normal
from tests.axes import across, members, name
from tests.diffusion_core.learners import told_learner


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cost(x0: Tensor, eps: Tensor) -> float:
    """Σ ‖x_0 − ε‖²."""
    return float(((x0.double() - eps.double()) ** 2).sum())


@across(coupling=members(Coupling), shape=((7, 1, 4, 4), (32, 2)))
def test_every_coupling_gives_each_x0_a_noise_by_the_batch_and_the_draws_alone(coupling, shape):
    """`permutes` says that a batch has the noise of draw 0 in another order, `independent` that x_0 is not read."""
    x0, draw = 0.5 + 0.8 * normals(*shape, seed=1000), cache(lambda j: normals(*shape, seed=j))
    eps = coupling.pair(x0, draw).clone()
    assert eps.shape == shape
    assert torch.equal(coupling.pair(x0, draw), eps)
    in_order = sorted(eps.flatten(1).tolist()) == sorted(draw(0).flatten(1).tolist())
    assert coupling.permutes == (in_order and not torch.equal(eps, draw(0)))
    assert coupling.independent == torch.equal(coupling.pair(x0.flip(0) + 1, draw), eps)


@pytest.mark.parametrize("shape", [(2,), (1, 4, 4)], ids=str)
def test_optimal_is_the_best_of_all_permutations(shape):
    for seed, size in itertools.product(range(2), range(1, 6)):
        x0, eps = 0.5 + 2 * normals(size, *shape, seed=seed), normals(size, *shape, seed=100 + seed)
        least = min(cost(x0, eps[list(order)]) for order in itertools.permutations(range(size)))
        assert cost(x0, Optimal().pair(x0, lambda j, eps=eps: eps)) == pytest.approx(least, rel=1e-12)


def test_immiscible_takes_the_nearest_of_its_draws():
    x0, drawn = normals(50, 1, 3, 3, seed=9), [normals(50, 1, 3, 3, seed=j) for j in range(7)]
    distances = np.stack([((x0 - eps).numpy() ** 2).sum((1, 2, 3)) for eps in drawn])
    expected = torch.stack([drawn[j][i] for i, j in enumerate(distances.argmin(0))])
    assert torch.equal(Immiscible(k=7).pair(x0, drawn.__getitem__), expected)


@pytest.mark.parametrize("coupling", [coupling for coupling in members(Coupling) if not coupling.independent], ids=name)
def test_noise_is_paired_within_a_class_where_labels_are_told(coupling):
    """Else noise given a label would lie where the class does, and no sample of the class starts there."""
    learner, (points, labels) = told_learner()
    points, labels = points[:15], labels[:15]
    plain = learner.batch_draws(points, labels, 0, 1)
    learner.choices = replace(learner.choices, coupling=coupling)
    paired = learner.batch_draws(points, labels, 0, 1)
    assert all(torch.equal(paired[key], plain[key]) for key in paired if key != "eps")
    assert not torch.equal(paired["eps"], plain["eps"])
    draws = [plain["eps"], *(normal(0, 1, f"eps/{j}", (15, 2), points.device) for j in (1, 2, 3))]
    for label in labels.unique():
        own = labels == label
        expected = coupling.pair(points[own], lambda j, own=own: draws[j][own])
        assert torch.equal(paired["eps"][own], expected)
