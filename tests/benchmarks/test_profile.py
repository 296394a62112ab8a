"""A step's time by kind of operation: every operation has one, and together with what is between them they are all."""

import pytest
import torch

from benchmarks import profile
from benchmarks.cases import BASE, SMALL, Workload
from benchmarks.changes import NOTHING, training_step
from tests.simulated_cuda import simulated_cuda

WORKLOAD = Workload(SMALL, (1, 8, 8), 8, torch.device("cpu"))


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::convolution_backward", "convolutions, backward"),
        ("aten::mkldnn_convolution", "convolutions, forward"),
        ("KernelBackward", "norm, scale, shift and SiLU, by our kernel"),
        ("aten::bmm", "products of matrices"),
        ("aten::copy_", "copies and casts"),
        ("aten::add_", "work by element"),
        ("aten::view", profile.REST),
    ],
)
def test_kinds(operation, kind):
    assert profile.kind_of(operation) == kind


@pytest.mark.slow
def test_every_operation_has_a_part():
    parts = profile.profiled(training_step(WORKLOAD, NOTHING, BASE.objective), 2)
    assert set(parts) <= {*profile.KINDS, profile.REST}
    assert all(ms >= 0 for ms in parts.values())
    assert parts["convolutions, backward"] > 0


def test_the_page_states_the_share_of_the_peak(monkeypatch):
    monkeypatch.setattr(profile, "SIZES", {"8×8": WORKLOAD})
    monkeypatch.setattr(profile, "peak", lambda mode, device: 1e12)
    monkeypatch.setattr(profile, "BESIDE", WORKLOAD)
    monkeypatch.setattr(profile, "COMPANIES", (1, 2))
    text = profile.page(1, 1)
    assert "## 8×8" in text
    assert "at the machine's peak" in text
    assert profile.OUTSIDE in text
    assert "## 8×8, batch 8, side by side" in text
    assert "| kind | alone | 2 side by side |" in text
    alone, beside = zip(*([float(x) for x in line.split("|")[2:4]] for line in text.splitlines()[-7:]), strict=True)
    assert min(alone + beside) >= 0
    assert max(alone) > 0, "what no operation takes may be nothing where the clock was unkind: parts are not"
    assert beside[0] == max(beside) > 0


def test_a_card_is_told_its_share_of_the_peak_and_no_parts(monkeypatch):
    """16 ms a step, of which the peak would take as long as it takes to do all multiply-adds, thrice, twice each."""
    monkeypatch.setattr(profile, "SIZES", {"8×8": WORKLOAD})
    monkeypatch.setattr(profile, "timed", lambda step, device: 0.016)
    monkeypatch.setattr(profile, "multiply_adds", lambda network, shape: 10**9)
    monkeypatch.setattr(profile, "peak", lambda mode, device: 100e12)
    with simulated_cuda():
        text = profile.page(1, 1, torch.device("cuda"))
    assert text.splitlines()[-1] == (
        "A step takes 16.00 ms in bf16. Its multiply-adds would take 0.4800 ms at the card's peak, 100 TFLOP/s: "
        "an MFU of 3.00%."
    )
