"""A network made of any torch modules starts, trains and goes on as those of the core do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import diffusion_core as dc
from diffusion_core.randomness import state
from diffusion_core.trainer import part, training_reports

SHAPE = (1, 4, 4)
PLAN = dc.Training(steps=3, batch=16, warmup=2, weight_decay=0.1)
IMAGES = torch.randn(40, *SHAPE, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Patchwork(dc.Network):
    """Pixels as tokens, with all that a network may be made of: see `Pieces`."""

    width: int = 8

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return Pieces(self.width, channels_out)


class Own(nn.Module):
    """A parameter that its own rule draws."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.shift, 0.3, 0.02)


class Pieces(nn.Module):
    """Raw parameters drawn, fixed and zero, buffers drawn and counted, a tied weight, and modules of several kinds."""

    def __init__(self, width: int, channels_out: int) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        self.frozen = nn.Parameter(torch.linspace(0, 1, width), requires_grad=False)
        self.gate = nn.Parameter(torch.zeros(width))
        self.register_buffer("frequency", torch.randn(width))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.own = Own(width)
        self.embed = nn.Conv2d(1, width, 1)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True, dropout=0.1)
        self.first, self.again = nn.Linear(width, width), nn.Linear(width, width)
        self.again.weight = self.first.weight
        self.out = nn.Linear(width, channels_out)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.calls += self.training
        h = self.embed(x).flatten(2).transpose(1, 2) + self.position + self.own.shift
        h = h + (time[:, None] * self.frequency.exp() / 100).cos()[:, None] * self.frozen
        h = h + self.gate * self.attention(h, h, h, need_weights=False)[0]
        h = self.again(torch.relu(self.first(h)))
        return self.out(h).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])


def learner(seed: int = 0) -> dc.Diffusion:
    """A diffusion with the initial weights of a seed."""
    made = dc.Diffusion(dc.Choices(network=Patchwork(), horizon=50), dc.Continuous(), SHAPE)
    made.initialise(seed)
    return made


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


def test_seeds_draw_all_that_is_drawn_anew_and_leave_what_is_fixed():
    first, second = (learner(seed).network.state_dict() for seed in (0, 1))
    assert first.keys() - differing(first, second) == {
        *("frozen", "gate", "calls", "attention.in_proj_bias", "attention.out_proj.bias", "out.weight"),
    }


def test_each_layer_is_drawn_from_its_first_name_by_its_own_rule():
    """As torch draws a layer of its own, its generator standing where (seed, name) says; a tied weight stays tied."""
    network = learner(3).network
    for name, layer in {
        "first": lambda: nn.Linear(8, 8),
        "embed": lambda: nn.Conv2d(1, 8, 1),
        "own": lambda: Own(8),
    }.items():
        torch.default_generator.set_state(state(f"3/0/init/{name}"))
        for expected, parameter in zip(layer().parameters(), network.get_submodule(name).parameters(), strict=True):
            assert torch.equal(parameter, expected), name
    assert network.again.weight is network.first.weight


NETWORK = "diffusion.denoiser.network"
"""Where a learner's state holds the network's."""


def test_a_training_moves_all_but_what_is_frozen_and_its_average_keeps_ties_and_counts():
    made = dc.DiffusionLearner(learner())
    before = {name: value.clone() for name, value in made.state_dict().items()}
    *_, report = training_reports(made, IMAGES, PLAN, 0)
    names = {f"{NETWORK}.{name}" for name, _ in made.diffusion.network.named_parameters()}
    assert names - differing(before, part(report.state(), "learner")) == {f"{NETWORK}.frozen"}
    average = part(report.state(), "average")
    assert torch.equal(average[f"{NETWORK}.again.weight"], average[f"{NETWORK}.first.weight"])
    assert average[f"{NETWORK}.calls"].item() == PLAN.steps
