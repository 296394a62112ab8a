"""The two that watch: over calls of torch's functions, which name devices, and over operations, in which they meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from tests.simulated_cuda.card import Card
from tests.simulated_cuda.placement import CPU, cards_of, copied, device_of, mark, moved, tensors_in

VARIABLE = "SIMULATED_CUDA"
SITE = Path(__file__).parent / "site"

FROM_HOST = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
"""Functions that copy what the host has, and wait for that."""
SHARING = {torch.as_tensor, torch.asarray}
"""Those whose result may be what they were given."""
COPYING = {"copy_", "_foreach_copy_"}
"""Operations from a device to another, which make nothing new."""
INDEXING = ("index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put")
WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "_linalg_check_errors",
}
"""Operations that wait: what they return, or its shape, is read by the host."""
SILENT = {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "_unsafe_view"}
"""Operations that launch nothing."""


class Operations(TorchDispatchMode):
    """Every operation, of autograd too: refuses those that mix devices, marks results, and counts."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.card = card
        self.within = CPU
        """The device of the call under way: of tensors that it makes of none."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing here is compiled, and the compiler takes seconds to import.
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tensors_in((*args, *kwargs.values()))
        name = func.overloadpacket.__name__
        device = self._met(func, name, args, given) if given else self.within
        if device.type != "cuda":
            return func(*args, **kwargs)
        viewing = any(result.alias_info and not result.alias_info.is_write for result in func._schema.returns)
        self.card.launches += not viewing and name not in SILENT
        if name in WAITING or (name == "repeat_interleave" and not kwargs.get("output_size")):
            self.card.synchronise()
        graph = self.card.recording
        if graph is not None:
            graph.keep(func, args, kwargs)
        out = func(*args, **kwargs)
        if name not in COPYING:
            for tensor in tensors_in((out,)):
                if tensor.device == CPU:
                    self.card.hold(tensor)
                    mark(tensor, device)
        if graph is not None:
            graph.record(func, args, kwargs, out)
        return out

    def _met(self, func: Any, name: str, args: Any, given: list[Tensor]) -> torch.device:
        """The device of an operation on tensors; RuntimeError where they do not meet."""
        cards = cards_of(given)
        if not cards:
            return CPU
        others = [tensor for tensor in given if device_of(tensor).type == "cpu"]
        if name in COPYING:
            if others:
                self.card.refuse_while_recording()
            if others and not (len(args) > 2 and args[2]):
                self.card.synchronise()
            return cards[0]
        if name in INDEXING:
            others = self._indexed(args, others)
        if torch.Tag.pointwise in func.tags:
            written = [tensor for tensor in others if any(tensor is one for one in written_by(func, args))]
            others = written or [tensor for tensor in others if tensor.ndim]
        if others or len(cards) > 1:
            two = f"{cards[0]} and {'cpu' if others else cards[1]}"
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {two}! "
                f"(in {func.__name__})"
            )
        return cards[0]

    def _indexed(self, args: Any, others: list[Tensor]) -> list[Tensor]:
        """What of an indexing's CPU tensors is not allowed there: its indices are, which the host waits to send."""
        target, indices, values = args[0], tensors_in(args[1]), tensors_in(args[2:])
        if device_of(target) == CPU and cards_of(indices):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        # An index in bytes or bools is counted first; a single value at it is a masked fill, which is not.
        counted = any(index.dtype in (torch.bool, torch.uint8) for index in indices)
        if any(device_of(index) == CPU for index in indices) or (counted and not any(v.numel() == 1 for v in values)):
            self.card.synchronise()
        allowed = {id(index) for index in indices} | {id(value) for value in values if value.ndim == 0}
        return [tensor for tensor in others if id(tensor) not in allowed]


def written_by(func: Any, args: Any) -> list[Tensor]:
    """The arguments that an operation writes to."""
    pairs = zip(func._schema.arguments, args, strict=False)
    return tensors_in(value for told, value in pairs if told.alias_info and told.alias_info.is_write)


class Calls(TorchFunctionMode):
    """Every call of a function of torch: takes the devices out of it, and puts its result on the one that was asked."""

    def __init__(self, card: Card, operations: Operations) -> None:
        super().__init__()
        self.card = card
        self.operations = operations
        self.own: dict[Any, Callable[..., Any]] = {
            Tensor.device.__get__: device_of,
            Tensor.is_cuda.__get__: lambda tensor: device_of(tensor).type == "cuda",
            Tensor.is_cpu.__get__: lambda tensor: device_of(tensor).type == "cpu",
            Tensor.get_device: lambda tensor: -1 if device_of(tensor) == CPU else device_of(tensor).index,
            Tensor.to: self._to,
            Tensor.cuda: self._cuda,
            Tensor.cpu: lambda tensor, **_: self._sent(tensor, CPU),
            Tensor.type_as: lambda tensor, other: self._to(tensor, other),
            Tensor.tolist: lambda tensor: self._sent(tensor, CPU).tolist(),
            Tensor.numpy: self._numpy,
            Tensor.__array__: lambda tensor, dtype=None: self._numpy(tensor).astype(dtype, copy=False),
            Tensor.__deepcopy__: self._deepcopy,
            Tensor.pin_memory: self._pinned,
            Tensor.is_pinned: lambda tensor, *_: getattr(tensor.untyped_storage(), "pinned", False),
        }

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in self.own:
            return self.own[func](*args, **kwargs)
        asked = kwargs.get("device")
        if asked is None and func is Tensor.new_tensor:
            asked = device_of(args[0])
        if asked is not None:
            asked = self.card.resolved(asked)
            kwargs["device"] = CPU if asked.type == "cuda" else asked
        pinned = kwargs.pop("pin_memory", False)
        known = cards_of(tensors_in((*args, *kwargs.values())))
        here = asked or (known[0] if known else CPU)
        self.card.check_generator(kwargs.get("generator"), here)
        before, self.operations.within = self.operations.within, here
        set_back = autocast_of(here)
        try:
            out = func(*args, **kwargs)
        finally:
            self.operations.within = before
            set_back()
        if pinned:
            out.untyped_storage().pinned = True
        return self._placed(func, out, asked) if asked is not None and isinstance(out, Tensor) else out

    def _placed(self, func: Any, out: Tensor, asked: torch.device) -> Tensor:
        """What a function made, on the device that it was asked for."""
        if asked.type == "cuda" and func in FROM_HOST:
            self.card.synchronise()
        if asked.type == "meta" or device_of(out) == asked:
            return out
        self.card.hold(out)
        return moved(out, asked) if func in SHARING else mark(out, asked)

    def _sent(self, tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        """The tensor itself if it is there, else a copy, for which the host waits unless it is told not to."""
        source = device_of(tensor)
        if source == device:
            return tensor
        self.card.refuse_while_recording()
        if not non_blocking and "cpu" in (source.type, device.type):
            self.card.synchronise()
        if device.type == "cuda":
            self.card.hold(tensor)
        return moved(tensor, device)

    def _to(self, tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
        other = args[0] if args else kwargs.get("other")
        if isinstance(other, Tensor):
            args, kwargs = (device_of(other), other.dtype, *args[1:]), {k: v for k, v in kwargs.items() if k != "other"}
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        target = device_of(tensor) if device is None else self.card.resolved(device)
        if target.type not in ("cpu", "cuda"):
            return tensor.to(*args, **kwargs)
        sent = self._sent(tensor, target, non_blocking)
        again = copy and sent is tensor
        told = {} if layout is None else {"memory_format": layout}
        return sent.to(sent.dtype if dtype is None else dtype, copy=again, **told)

    def _cuda(self, tensor: Tensor, device: Any = None, non_blocking: bool = False, **_: Any) -> Tensor:
        return self._sent(tensor, self.card.resolved("cuda" if device is None else device), non_blocking)

    def _numpy(self, tensor: Tensor, *, force: bool = False) -> Any:
        device = device_of(tensor)
        if device.type == "cuda" and not force:
            raise TypeError(
                f"can't convert {device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return self._sent(tensor, CPU).numpy(force=force)

    def _deepcopy(self, tensor: Tensor, memo: dict[int, Any]) -> Tensor:
        with _disable_current_modes():
            out = tensor.__deepcopy__(memo)
        for made, of in ((out, tensor), (out.grad, tensor.grad)):
            if made is not None:
                mark(made, device_of(of))
        return out

    def _pinned(self, tensor: Tensor, *_: Any) -> Tensor:
        if device_of(tensor).type == "cuda":
            raise RuntimeError(f"cannot pin 'torch.cuda.{tensor.type()}' only dense CPU tensors can be pinned")
        out = copied(tensor, CPU)
        out.untyped_storage().pinned = True
        return out


def autocast_of(device: torch.device) -> Callable[[], None]:
    """Let the CPU's operations see the autocast of a device's; a function that sets back what was."""
    before = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    wanted = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    if device.type != "cuda" or not (before[0] or wanted[0]):
        return lambda: None
    _set_autocast(*wanted)
    return lambda: _set_autocast(*before)


def _set_autocast(enabled: bool, dtype: torch.dtype) -> None:
    torch.set_autocast_enabled("cpu", enabled)
    torch.set_autocast_dtype("cpu", dtype)


@contextmanager
def simulated_cuda(devices: int = 1) -> Iterator[Card]:
    """A context in which torch has so many CUDA devices, in this thread."""
    card = Card(devices)
    operations = Operations(card)
    with card.installed(), operations, Calls(card, operations):
        yield card


def environment(devices: int) -> dict[str, str]:
    """The environment of processes that are to have so many devices from their start."""
    paths = [str(SITE), str(SITE.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, VARIABLE: str(devices), "PYTHONPATH": os.pathsep.join(paths)}
