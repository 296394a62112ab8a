"""Speed beside others' libraries: every case runs, and columns are what they say. No test looks at a time.

`denoising_diffusion_pytorch` is no part of the tests' environment.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmarks import peer_bound, peers, together
from benchmarks.cases import SMALL, Workload
from benchmarks.peer_cases import all_cases, diffusers, multiply_adds
from benchmarks.timing import Timing
from diffusion_core.networks.network import Attention

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


@pytest.mark.parametrize("bf16", [False, True])
def test_a_step_and_samples_of_diffusers_are_in_the_precision_that_is_asked_for(bf16):
    peer, seen = diffusers(TINY), []
    peer.network.conv_out.register_forward_hook(lambda layer, inputs, out: seen.append(out.dtype))
    assert math.isfinite(peer.step(bf16))
    assert peer.sample(bf16).shape == (2, *TINY.shape)
    assert set(seen) == {torch.bfloat16 if bf16 else torch.float32}


def test_every_case_runs():
    pytest.importorskip("denoising_diffusion_pytorch")
    cases = all_cases(TINY)
    for case in cases.values():
        case.step()
    shapes = {tuple(case.sample().shape) for case in cases.values()}
    assert shapes == {(2, *TINY.shape)}


def test_trainings_side_by_side_take_their_steps_in_turns_with_diffusers():
    assert {"alone": "1.00"}.items() <= {name: own[1] for name, own in together.times(TINY, rounds=1).items()}.items()


def test_columns_are_of_one_network_call():
    """10 calls in 2 seconds, three times ours, with twice the multiply-adds."""
    assert peers.columns(Timing(2.0, 3.0), calls=10, more=2.0) == ("200.00", "3.00", "1.50")


def test_an_own_error_is_that_of_the_mean_over_images():
    estimates = list(torch.randn(400, 25, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert peer_bound.own_error(estimates) == pytest.approx(1 / 5, rel=0.05)


def test_a_missing_peer_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(peers, "PEERS", ("no-such-peer",))
    assert peers.main([]) == 2
    error = "error: no-such-peer is not installed: pip install -e '.[peers]'\n"
    assert tuple(capsys.readouterr()) == ("", error)
