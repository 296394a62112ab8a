"""The table of speed: what is timed runs, and ratios are taken within a round. No test looks at a time."""

from __future__ import annotations

import pytest
import torch

from benchmarks import __main__, peers, timing
from benchmarks.cases import SMALL, Workload, scoring_cases, training_cases
from benchmarks.timing import interleaved

CPU = torch.device("cpu")


@pytest.mark.parametrize("cases", [scoring_cases, training_cases])
def test_every_case_runs(cases):
    results = [case() for case in cases(Workload(SMALL, (1, 8, 8), 4, CPU)).values()]
    assert len(results) > 5
    assert None not in results


def test_ratios_are_medians_of_the_rounds_own_ratios(monkeypatch):
    """The machine is slower from round to round; in these b takes 3, 2 and 5 times what a takes."""
    times = iter([1.0, 3.0, 2.0, 4.0, 4.0, 20.0])
    calls: list[str] = []

    def seconds(case, device):
        case()
        return next(times)

    monkeypatch.setattr(timing, "timed", seconds)
    found = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, CPU)
    assert calls == ["a", "b"] * 4
    assert (found["a"].ratio, found["b"].ratio) == (1.0, 3.0)
    assert (found["a"].seconds, found["b"].seconds) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("main", "word", "message"),
    [
        (__main__.main, "size=tin", "no size called 'tin': there are medium, tiny; did you mean 'tiny'?"),
        (__main__.main, "rounds=0", "rounds must be at least 1, got 0"),
        (peers.main, "threads=0", "threads must be at least 1, got 0"),
    ],
)
def test_a_wrong_call_is_one_line(main, word, message, capsys):
    assert main([word]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"error: {message}\n")
