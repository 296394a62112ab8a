"""What `torch.cuda` says and does, and what a run did on it: the state of the simulated devices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from tests.simulated_cuda.graphs import REFUSED, Graph
from tests.simulated_cuda.placement import CPU, device_of

NAME = "Simulated CUDA device"
CAPABILITY = (9, 0)
TOTAL = 2**30
"""Bytes of all devices together."""
DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}
NOTHING = (
    "init",
    "_lazy_init",
    "synchronize",
    "empty_cache",
    "reset_peak_memory_stats",
    "manual_seed",
    "manual_seed_all",
    "set_rng_state",
)
"""What `torch.cuda` is told, and these devices need not be."""
MEMORY = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")


class Generator(torch.Generator):
    """A generator that says which device it is of."""

    def __new__(cls, device: torch.device | str = "cpu") -> Generator:
        made = super().__new__(cls)
        made.of = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.of


class Card:
    """So many devices: the current one, and counts of launches, of what the host waited for, and of bytes."""

    def __init__(self, devices: int) -> None:
        self.devices = devices
        self.current = 0
        self.launches = 0
        self.synchronisations = 0
        self.bytes = 0
        self.debug_mode = 0
        self.recording: Graph | None = None

    def resolved(self, device: torch.device | str | int) -> torch.device:
        """A device with its number; RuntimeError where there is none of it."""
        device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if device.type != "cuda":
            return device
        index = self.current if device.index is None else device.index
        if not 0 <= index < self.devices:
            raise RuntimeError("CUDA error: invalid device ordinal")
        return torch.device("cuda", index)

    def synchronise(self) -> None:
        """The host waits for the device, which the debug mode may refuse."""
        self.refuse_while_recording()
        self.synchronisations += 1
        if self.debug_mode == DEBUG_MODES["error"]:
            raise RuntimeError("called a synchronizing CUDA operation")
        if self.debug_mode == DEBUG_MODES["warn"]:
            warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=2)

    def launch(self) -> None:
        """Something is launched."""
        self.launches += 1

    def refuse_while_recording(self) -> None:
        """A RuntimeError where a graph is being recorded."""
        if self.recording is not None:
            raise RuntimeError(REFUSED)

    @contextmanager
    def graph(self, graph: Graph, capture_error_mode: str = "global") -> Iterator[None]:
        """A context whose operations are recorded, and not computed."""
        self.refuse_while_recording()
        self.recording = graph
        try:
            yield
        finally:
            self.recording = None
            graph.end()

    def hold(self, tensor: torch.Tensor) -> None:
        """A tensor of the CPU comes to the devices, or a result that is to be marked as theirs."""
        if device_of(tensor).type == "cpu":
            self.bytes += tensor.untyped_storage().nbytes()

    def set_device(self, device: torch.device | str | int) -> None:
        self.current = self.resolved(device).index

    def exchange(self, index: int) -> int:
        """Make another device the current one, as `with torch.cuda.device(i)` does; the one that was."""
        before = self.current
        if index >= 0:
            self.set_device(index)
        return before

    def set_debug_mode(self, mode: int | str) -> None:
        self.debug_mode = DEBUG_MODES[mode] if isinstance(mode, str) else mode

    def properties(self, device: object = None) -> SimpleNamespace:
        major, minor = CAPABILITY
        return SimpleNamespace(name=NAME, major=major, minor=minor, multi_processor_count=1, total_memory=TOTAL)

    def stand_ins(self) -> dict[str, Callable[..., Any]]:
        """The functions of `torch.cuda` by name."""
        # A function of its own for each name: torch's compiler tells them apart as objects.
        nothing = {name: lambda *_, **__: None for name in NOTHING}
        no_memory = {name: lambda *_: 0 for name in MEMORY}
        return {
            **nothing,
            **no_memory,
            "mem_get_info": lambda *_: (max(0, TOTAL - self.bytes), TOTAL),
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "device_count": lambda: self.devices,
            "current_device": lambda: self.current,
            "set_device": self.set_device,
            "_exchange_device": self.exchange,
            "_maybe_exchange_device": self.exchange,
            "get_device_name": lambda *_: NAME,
            "get_device_capability": lambda *_: CAPABILITY,
            "get_device_properties": self.properties,
            "is_bf16_supported": lambda including_emulation=True: True,
            "get_rng_state": lambda *_: torch.get_rng_state(),
            "CUDAGraph": lambda: Graph(self.launch),
            "graph": self.graph,
            "set_sync_debug_mode": self.set_debug_mode,
            "get_sync_debug_mode": lambda: self.debug_mode,
        }

    def installed(self) -> ExitStack:
        """A context in which `torch.cuda`, generators and `torch.load` know these devices."""
        with ExitStack() as stack:
            for name, stand_in in self.stand_ins().items():
                stack.enter_context(mock.patch.object(torch.cuda, name, stand_in))
            one_for_all = (torch.default_generator,) * self.devices
            stack.enter_context(mock.patch.object(torch.cuda, "default_generators", one_for_all))
            stack.enter_context(mock.patch.object(torch, "Generator", Generator))
            # A build for CUDA would ask its driver for the stream.
            stack.enter_context(mock.patch.object(torch.accelerator, "current_accelerator", return_value=None))
            packages = torch.serialization._package_registry
            # Before the CPU's own entry, to which every storage is one of its.
            entry = (0, self._location, self._restored)
            packages.insert(0, entry)
            stack.callback(packages.remove, entry)
            return stack.pop_all()

    def _location(self, storage: torch.UntypedStorage) -> str | None:
        device = getattr(storage, "simulated", CPU)
        return None if device == CPU else str(device)

    def _restored(self, storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage | None:
        if not location.startswith("cuda"):
            return None
        storage.simulated = self.resolved(location)
        return storage

    def check_generator(self, generator: torch.Generator | None, device: torch.device) -> None:
        """Refuse a generator of another kind of device, by a RuntimeError."""
        if generator is not None and generator.device.type != device.type:
            raise RuntimeError(
                f"Expected a '{device.type}' device type for generator but found '{generator.device.type}'"
            )
