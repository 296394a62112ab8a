"""A function of tensors on a GPU that is recorded once, as a CUDA graph, and replayed with other values.

A small network's step is hundreds of kernels, each of which takes longer to launch than to run; a graph launches all of
them at once. A replay repeats what was recorded, so a number that Python computed stays the same. All that changes
between calls must therefore be a tensor, and a recording is tested before it is used: on the call after the recorded
one, it must give the function's own result. If it does not, or if something cannot be recorded (a value that the host
waits for, say), the function itself is called from then on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Values = dict[str, Tensor]
"""Tensors by name."""

WARM_UP = 2
"""The calls before the recorded one, in which libraries choose their kernels and make their workspaces."""
APART = 1e-2
"""The most by which a recording's changes may differ from the function's own, as a share of these."""


def nothing() -> None:
    """Do nothing."""


class Recorded:
    """A function of tensors by name, recorded for each shape that it is called with; it may change `state` in place."""

    def __init__(self, function: Callable[[Values], Values], state: Callable[[], list[Tensor]] = list) -> None:
        self.function = function
        self.state = state
        self.recordings: dict[tuple[object, ...], Recording] = {}

    def __call__(self, values: Values, start: Callable[[], None] = nothing) -> Values:
        """The function of these values; `start` is called before each computation of it."""
        shapes = tuple((name, value.shape, value.dtype) for name, value in values.items())
        if shapes not in self.recordings:
            self.recordings[shapes] = Recording(self.function, self.state)
        return self.recordings[shapes](values, start)

    @property
    def refused(self) -> list[str]:
        """The reasons for which shapes are not recorded."""
        return [recording.refused for recording in self.recordings.values() if recording.refused]


class Recording:
    """A function of tensors by name, recorded for one shape of them."""

    def __init__(self, function: Callable[[Values], Values], state: Callable[[], list[Tensor]]) -> None:
        self.function = function
        self.state = state
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.given: Values = {}
        self.made: Values = {}
        self.refused = ""
        """The reason for which it is not recorded; "" if it is, or may still be."""

    def __call__(self, values: Values, start: Callable[[], None]) -> Values:
        """The function of these values."""
        start()
        call, self.calls = self.calls, self.calls + 1
        if self.refused or call < WARM_UP:
            return self.function(values)
        if call == WARM_UP:
            made = self.function(values)
            self._record(values)
            return made
        return self._tried(values, start) if call == WARM_UP + 1 else self._replayed(values)

    def _record(self, values: Values) -> None:
        graph = torch.cuda.CUDAGraph()
        self.given = {name: value.clone() for name, value in values.items()}
        try:
            # Another thread may copy a checkpoint meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self.made = self.function(self.given)
        except RuntimeError as error:
            self._refuse(str(error).splitlines()[0])
            return
        self.graph = graph

    def _replayed(self, values: Values) -> Values:
        assert self.graph is not None, "it is replayed once it was recorded"
        for name, value in values.items():
            self.given[name].copy_(value, non_blocking=True)
        self.graph.replay()
        return {name: value.clone() for name, value in self.made.items()}

    def _tried(self, values: Values, start: Callable[[], None]) -> Values:
        """The function's own result, by which a replay from the same state is tested, and dropped if it differs."""
        before = [value.clone() for value in self.state()]
        expected = self.function(values)
        after = [value.clone() for value in self.state()]
        _restore(self.state(), before)
        start()
        replayed = self._replayed(values)
        changes = zip(before, after, self.state(), strict=True)
        same = all(near(now - was, then - was) for was, then, now in changes)
        if same and all(near(replayed[name], expected[name]) for name in expected):
            return replayed
        _restore(self.state(), after)
        self._refuse("a replay came to other values")
        return expected

    def _refuse(self, reason: str) -> None:
        self.refused, self.graph, self.given, self.made = reason, None, {}, {}


def near(values: Tensor, expected: Tensor) -> bool:
    """True where values are those expected, but for rounding; the host waits for them."""
    if not expected.is_floating_point():
        return torch.equal(values, expected)
    if not expected.isfinite().all():
        return bool((values.isfinite() == expected.isfinite()).all())
    return bool((values - expected).double().norm() <= APART * expected.double().norm())


@torch.no_grad()
def _restore(state: list[Tensor], values: list[Tensor]) -> None:
    for mine, value in zip(state, values, strict=True):
        mine.copy_(value)
