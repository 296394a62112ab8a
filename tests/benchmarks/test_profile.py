"""A step's time by kind of operation: every operation has one, and together with what is between them they are all."""

import pytest
import torch

from benchmarks import profile
from benchmarks.cases import BASE, SMALL, Workload
from benchmarks.changes import NOTHING, training_step

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


def test_every_operation_has_a_part():
    parts = profile.profiled(training_step(WORKLOAD, NOTHING, BASE.objective), 2)
    assert set(parts) <= {*profile.KINDS, profile.REST}
    assert all(ms >= 0 for ms in parts.values())
    assert parts["convolutions, backward"] > 0


def test_the_page_states_the_share_of_the_peak(monkeypatch):
    monkeypatch.setattr(profile, "SIZES", {"8×8": WORKLOAD})
    monkeypatch.setattr(profile, "peak", lambda mode, device: 1e12)
    text = profile.page(1, 1)
    assert "## 8×8" in text
    assert "at the machine's peak" in text
    assert profile.OUTSIDE in text
