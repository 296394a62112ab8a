"""CUDA graphs of the simulated device: a tape of operations, which a replay works out again in the same memory.

While a card records, nothing is computed: what is to be changed in place keeps its values, and what is made holds none
(here: not a number) until the first replay. Copies between host and card, and all that the host waits for, are refused
meanwhile, as a card refuses them. A number that Python worked out is on the tape as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map_only

from tests.simulated_cuda.placement import device_of, tensors_in

REFUSED = "CUDA error: operation not permitted when stream is capturing"


class Graph:
    """What was recorded: operations with their arguments, and what they made; `launched` is told of each replay."""

    def __init__(self, launched: Callable[[], None]) -> None:
        self.launched = launched
        self.tape: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.replays = 0

    def keep(self, func: Any, args: Any, kwargs: Any) -> None:
        """Remember the values of what an operation is about to change."""
        for tensor in written(func, args, kwargs):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.before:
                whole = torch.empty(0, dtype=torch.uint8).set_(storage)
                self.before[storage.data_ptr()] = (whole, whole.clone())

    def record(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Put an operation on the tape."""
        args, kwargs = tree_map_only(Tensor, read_now, (args, kwargs))
        self.tape.append((func, args, kwargs, out))

    def end(self) -> None:
        """Undo what recording it computed."""
        made = {
            id(tensor): tensor for func, _, _, out in self.tape if not aliasing(func) for tensor in tensors_in((out,))
        }
        for tensor in made.values():
            if tensor.is_floating_point():
                tensor.detach().fill_(torch.nan)
        for whole, values in self.before.values():
            whole.copy_(values)

    @torch.no_grad()
    def replay(self) -> None:
        """Work it all out again."""
        self.replays += 1
        self.launched()
        with _disable_current_modes():
            for func, args, kwargs, out in self.tape:
                if viewing(func):
                    continue
                again = func(*args, **kwargs)
                if not aliasing(func):
                    for old, new in zip(tensors_in((out,)), tensors_in((again,)), strict=True):
                        old.detach().copy_(new)


def read_now(tensor: Tensor) -> Tensor:
    """A number on the host is read as it is recorded; what lies on a card, as it is replayed."""
    return tensor.clone() if device_of(tensor).type == "cpu" else tensor


def aliasing(func: Any) -> bool:
    """Whether an operation's results are what it was given."""
    return any(result.alias_info for result in func._schema.returns) or not func._schema.returns


def viewing(func: Any) -> bool:
    """Whether they are views of that, in which nothing is written."""
    return any(result.alias_info and not result.alias_info.is_write for result in func._schema.returns)


def written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operation changes in place."""
    given = [args[i] if i < len(args) else kwargs.get(one.name) for i, one in enumerate(func._schema.arguments)]
    pairs = zip(func._schema.arguments, given, strict=True)
    return tensors_in([value for one, value in pairs if one.alias_info and one.alias_info.is_write])
