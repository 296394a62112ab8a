"""What a training costs: memory as the system counts it, and operations counted by hand."""

from __future__ import annotations

from dataclasses import replace

import torch

from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.settings.budget import forward_flops, train_flops
from ablations.settings.evaluation import Evaluation
from ablations.stages.restore import build
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.unet import UNet
from diffusion_core.stratified import Stratification

CPU = torch.device("cpu")


def cell_of(*words):
    return make(parse_run(["data=mixture2d", "network=mlp", "horizon=25", *words])).points[0].cell


def test_operations_of_a_forward_pass_are_those_of_its_matrices():
    cell = cell_of()
    diffusion = build(cell, cell.data.load().encoding, cell.data.load(), CPU).diffusion
    matrices = [p for name, p in diffusion.network.named_parameters() if p.ndim == 2 and "weight" in name]
    assert forward_flops(diffusion) == sum(2 * p.numel() for p in matrices)


def test_a_transformer_takes_as_many_operations_of_digits_as_a_u_net():
    """Of 16 patches, by hand: a block's matrices, its two products of attention, what tells it the time."""
    choices = Choices(network=UNet()), Choices(network=Dit())
    unet, dit = (forward_flops(Diffusion(own, Continuous(), (1, 8, 8))) for own in choices)
    width = Dit().width
    block = 16 * 12 * width**2 + 2 * 16 * 16 * width + 6 * width**2
    around = 256 * width + width**2 + 16 * 4 * width + 2 * width**2 + 16 * width * 4
    assert dit == 2 * (Dit().depth * block + around)
    assert abs(dit / unet - 1) < 0.03


def test_a_training_step_counts_three_passes_and_a_learned_schedule_more():
    plain, learned = cell_of(), cell_of("schedule=learned")
    assert train_flops(plain, 10.0, 7) == 3 * 10 * 7
    # One backward pass for the network and one for the schedule.
    assert train_flops(learned, 10.0, 7) == 5 * 10 * 7
    assert train_flops(replace(plain, seed=4), 10.0, 0) == 0


def test_the_core_takes_the_suites_own_terms_of_a_bound_unless_it_is_told_others():
    assert Stratification() == Stratification(Evaluation.exact, Evaluation.strata)
