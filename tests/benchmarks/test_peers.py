"""Speed beside others' libraries: equal structures are equal, every case runs, and columns are what they say.

No test looks at a time. `denoising_diffusion_pytorch` is no part of the tests' environment.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmarks import peer_bound, peer_cases, peers
from benchmarks.cases import SMALL, Workload
from benchmarks.peak import MODES, multiply_adds, parameters, peak, running
from benchmarks.peer_networks import alike, diffusers_defaults, diffusers_of_our_structure
from benchmarks.timing import Timing
from diffusion_core.networks.layers import Attention
from diffusion_core.units import bits_per_nat

CPU = torch.device("cpu")
TINY = Workload(SMALL, (1, 8, 8), 2, CPU)


class Timeless(nn.Module):
    """A layer that is told the time and does not look."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, time):
        return self.layer(x)


def test_multiply_adds_are_those_counted_by_hand():
    convolution = Timeless(nn.Conv2d(3, 5, 3, padding=1))
    assert multiply_adds(convolution, (3, 8, 8)) == 8 * 8 * 3 * 5 * 9
    # Four layers of 16 × 16 weights at each of 64 pixels, and two products of 64 × 64 by 16 channels.
    attention = Timeless(Attention(16, groups=8, heads=2))
    assert multiply_adds(attention, (16, 8, 8)) == 64 * 4 * 16 * 16 + 2 * 64 * 64 * 16


def test_attention_is_counted_in_both_libraries_networks():
    """diffusers' query, key and value lie so that torch takes a fused kernel, which its counter does not know."""
    count = [multiply_adds(diffusers_defaults(SMALL, TINY.shape, add_attention=has), TINY.shape) for has in (0, 1)]
    assert count[1] - count[0] == 16 * 4 * 32 * 32 + 2 * 16 * 16 * 32


@pytest.mark.parametrize("size", ["tiny", "medium"])
def test_the_peer_of_our_structure_is_as_large_and_does_as_much(size):
    """That of the largest size takes seconds to make; the benchmark itself holds it to ours."""
    config, shape, _ = peer_cases.SIZES[size]
    ours, theirs = config.build(shape, shape[0]), diffusers_of_our_structure(config, shape)
    assert parameters(ours) == parameters(theirs)
    assert multiply_adds(ours, shape) == multiply_adds(theirs, shape)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_peak_is_positive(mode):
    assert peak(mode, CPU, repeats=1) > 0


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_what_its_name_says(mode):
    with running(mode, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is (torch.bfloat16 if mode == "bf16" else torch.float32)


@pytest.mark.parametrize("training", [True, False])
def test_every_case_of_diffusers_runs(training):
    for peer in peer_cases.diffusers_peers(TINY, training).values():
        for mode in peer_cases.PEER_MODES:
            found = peer.step(mode) if training else peer.sample(mode)
            assert math.isfinite(found) if training else found.shape == (2, *TINY.shape)


@pytest.mark.parametrize("cases", [peer_cases.training_cases, peer_cases.sampling_cases])
def test_every_case_runs(cases):
    pytest.importorskip("denoising_diffusion_pytorch")
    for case in cases(TINY):
        case.call()


def test_structures_that_differ_are_not_taken_for_one():
    ours = SMALL.build(TINY.shape, 1)
    with pytest.raises(AssertionError, match="the structures differ"):
        alike(ours, diffusers_defaults(SMALL, TINY.shape), TINY.shape)


def test_columns_are_of_one_network_call_on_a_batch():
    """4 images, 10 calls in 2 seconds, 3 passes of 5 million multiply-adds: 6 · 5e6 · 4 · 10/2 of 1.2e9 a second."""
    found = peers.figures(Timing(2.0, 3.0), 5_000_000, 2.0, peers.Work(batch=4, passes=3, calls=10), 1.2e9)
    assert found == ("5.0", "200.00", "20", "3.00", "1.50", "50.0%")


@pytest.mark.slow
def test_the_full_loop_and_our_bound_estimate_the_same():
    model, images = TINY.diffusion(horizon=25).eval(), Workload(SMALL, TINY.shape, 32, CPU).images
    mine = [peer_bound.ours(model, images, seed) for seed in range(3)]
    loops = [peer_bound.full_loop(model, images, seed, range(1, 26)) for seed in range(3)]
    x0 = model.encoding.draw(images, 0, 0, "any")
    last = model.prior(x0).double() * bits_per_nat(64)
    errors = [peer_bound.own_error(found) / math.sqrt(3) for found in (mine, loops)]
    difference = torch.stack(mine).mean() - torch.stack(loops).mean() - last.mean()
    assert abs(difference) < 5 * math.hypot(*errors)


def test_an_own_error_is_that_of_the_mean_over_images():
    estimates = list(torch.randn(400, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert peer_bound.own_error(estimates) == pytest.approx(1 / 5, rel=0.05)


def test_twice_the_error_takes_four_times_the_time_to_make_up_for():
    assert peer_bound.Cost(passes=1, seconds=3.0, error=0.2).at(0.1) == pytest.approx(12.0)


def test_a_missing_peer_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert peers.main([]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "",
        "error: diffusers and denoising-diffusion-pytorch not found: pip install -e '.[peers]'\n",
    )
