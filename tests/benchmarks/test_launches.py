"""What is counted as a launch, and that a page says what was counted."""

from __future__ import annotations

import pytest
import torch

from benchmarks import launches
from benchmarks.launches import Count
from tests.simulated_cuda import simulated_cuda

CPU = torch.device("cpu")
X, Y = torch.ones(4, 4), torch.ones(2, requires_grad=True)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (lambda: X[1:].T.reshape(-1), 1),  # The transposed copy.
        (lambda: X.view(2, 8).unbind(), 0),
        (lambda: torch.empty(3), 0),
        (lambda: (X + 1).mul_(2).sum(), 3),
        # Forward a product and an exponential; backward a gradient of ones and two products.
        (lambda: torch.autograd.grad((Y * 2).exp().sum(), Y), 6),
    ],
)
def test_a_launch_is_an_operation_that_is_no_view(case, expected):
    assert launches.count(case, CPU) == Count(expected, None)


def test_on_a_card_what_the_host_waits_for_is_counted():
    with simulated_cuda():
        there = X.to("cuda")
        assert launches.waits(lambda: (there + 1).sum().item() + float(X.sum())) == 1
        assert launches.waits(lambda: (there + 1).sum()) == 0


def test_on_a_card_what_is_done_on_the_host_is_no_launch():
    assert launches.count(lambda: torch.ones(3, device="meta") + X.sum() * 2, torch.device("meta")) == Count(2, None)


def test_a_page_has_what_was_counted_before_beside_it():
    found = {"a training step": {"simple": Count(3, None), "vlb": Count(5, None)}}
    before = {"a training step": {"simple": Count(7, None)}}
    assert launches.page(found, before, CPU)[-4:] == [
        "| a training step | before | launches |",
        "|---|---|---|",
        "| simple | 7 | 3 |",
        "| vlb | – | 5 |",
    ]
    with_waits = launches.table("scoring", {"ddim": Count(4, 2)}, None)
    assert with_waits == ["| scoring | launches | host waits |", "|---|---|---|", "| ddim | 4 | 2 |"]


@pytest.mark.slow
def test_a_checkout_counts_its_own_code_and_one_that_cannot_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launches, "counts", lambda device: {})
    assert launches.main([f"before={tmp_path / 'nowhere'}"]) == 2
    assert f"before={tmp_path / 'nowhere'} holds no benchmarks" in capsys.readouterr().err
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    (benchmarks / "__init__.py").touch()
    (benchmarks / "cases.py").write_text(CASES)
    assert launches.counts_in(tmp_path, CPU) == {
        "a training step": {"one": Count(1, None)},
        "scoring": {"two": Count(2, None)},
    }
    (benchmarks / "cases.py").write_text("raise RuntimeError('it is broken')")
    assert launches.main([f"before={tmp_path}"]) == 2
    assert "it is broken" in capsys.readouterr().err


CASES = """
import torch
SMALL = None
Workload = lambda *_: None
training_cases = lambda workload: {"one": lambda: torch.ones(2)}
scoring_cases = lambda workload: {"two": lambda: torch.ones(2) + 1, "fit": None}
"""
