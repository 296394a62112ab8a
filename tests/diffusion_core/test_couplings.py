"""Which noise goes with which x_0: by brute force, in closed forms, and the same however a batch is shared."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.batches import batch_indices
from diffusion_core.couplings import Coupling, Immiscible, Independent, Optimal
from diffusion_core.learner import DiffusionLearner
from diffusion_core.randomness import normal
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from tests.axes import across, members, name
from tests.diffusion_core.learners import image_learner, told_learner

CPU = torch.device("cpu")
PLAN = Training(steps=2, batch=6, warmup=0, precision="float32")
PAIRING = tuple(coupling for coupling in members(Coupling) if not coupling.independent)


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
    for seed, size in itertools.product(range(3), range(1, 7)):
        x0, eps = 0.5 + 2 * normals(size, *shape, seed=seed), normals(size, *shape, seed=100 + seed)
        least = min(cost(x0, eps[list(order)]) for order in itertools.permutations(range(size)))
        assert cost(x0, Optimal().pair(x0, lambda j, eps=eps: eps)) == pytest.approx(least, rel=1e-12)


def test_immiscible_takes_the_nearest_of_its_draws():
    x0, drawn = normals(50, 1, 3, 3, seed=9), [normals(50, 1, 3, 3, seed=j) for j in range(7)]
    distances = np.stack([((x0 - eps).numpy() ** 2).sum((1, 2, 3)) for eps in drawn])
    expected = torch.stack([drawn[j][i] for i, j in enumerate(distances.argmin(0))])
    assert torch.equal(Immiscible(k=7).pair(x0, drawn.__getitem__), expected)


@pytest.mark.parametrize("k", [1, 0, 1001])
def test_so_many_draws_make_no_sense(k):
    with pytest.raises(ValueError, match=rf"^immiscible needs k from 2 to 1000 .*, got {k}$"):
        Immiscible(k)


@pytest.fixture
def seen(monkeypatch):
    """Stored data and draws of all pieces that losses are asked of."""
    pieces: list[tuple[Tensor, dict[str, Tensor]]] = []
    told = DiffusionLearner._told

    def asked(self, raw, draws):
        pieces.append((raw, draws))
        return told(self, raw, draws)

    monkeypatch.setattr(DiffusionLearner, "_told", asked)
    return pieces


def given(seen, learner_of, coupling: Coupling, plan: Training = PLAN) -> dict[str, Tensor]:
    """The stored data and draws of a training's examples, one batch after another."""
    seen.clear()
    learner, data = learner_of()
    learner.diffusion.choices = learner.choices = replace(learner.choices, coupling=coupling)
    list(Trainer(learner, plan, CPU).run(data, 0))
    pieces = [{"raw": raw, **draws} for raw, draws in seen]
    return {key: torch.cat([piece[key] for piece in pieces]) for key in pieces[0]}


@pytest.mark.parametrize("coupling", PAIRING, ids=name)
@pytest.mark.parametrize("learner_of", [told_learner, image_learner])
def test_pairs_are_those_of_the_whole_batch_in_whatever_pieces_it_is_taken(seen, learner_of, coupling):
    """Times, noise, dequantisation, labels and who is shown an estimate too."""
    whole = given(seen, learner_of, coupling)
    parts = given(seen, learner_of, coupling, replace(PLAN, micro_batch=5))
    assert parts.keys() == whole.keys()
    assert all(torch.equal(parts[key], whole[key]) for key in whole)


@pytest.mark.parametrize("coupling", PAIRING, ids=name)
def test_noise_is_paired_within_a_class_where_labels_are_told(seen, coupling):
    """Else noise given a label would lie where the class does, and no sample of the class starts there."""
    plan = replace(PLAN, batch=15)
    paired, plain = (given(seen, told_learner, each, plan) for each in (coupling, Independent()))
    assert all(torch.equal(paired[key], plain[key]) for key in paired if key != "eps")
    data = told_learner()[1]
    moved = 0
    for step in range(plan.steps):
        batch = slice(step * plan.batch, (step + 1) * plan.batch)
        labels = data.labels[batch_indices(0, step, len(data.labels), plan.batch)]
        for label in labels.unique():
            x0, eps, drawn = (values[batch][labels == label] for values in (paired["raw"], paired["eps"], plain["eps"]))
            draws = [drawn, *(normal(0, step, f"eps/{j}", (15, 2), x0.device)[labels == label] for j in (1, 2, 3))]
            assert torch.equal(eps, coupling.pair(x0, draws.__getitem__))
            if coupling.permutes:
                assert sorted(eps.tolist()) == sorted(drawn.tolist())
            moved += int((eps != drawn).any())
    assert moved
