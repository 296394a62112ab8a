"""Axis: the network, a choice without tensors that builds a module."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

__all__ = ["Network"]


class Network(ABC):
    """A network's architecture."""

    @abstractmethod
    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        """A module (x [B, *shape], time [B]) → [B, channels_out, *shape[1:]]; ValueError where the shape does not fit.

        Its last layer starts at zero and runs in float32, also under autocast.
        """
