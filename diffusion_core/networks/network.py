"""Axis: the network, a choice without tensors that builds a module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from torch import nn

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
MOST_BESIDE = 2**19
"""The values in the widest feature map, of all examples, above which networks gain nothing from others beside them."""


class Network(ABC):
    """A network's architecture."""

    @abstractmethod
    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        """A module (x [B, *shape], time [B]) → [B, channels_out, *shape[1:]]; ValueError where the shape does not fit.

        Its last layer starts at zero and runs in float32, also under autocast.
        """

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        """The same for data of K `classes`, (x, time, label [B]) → output; ValueError where it takes no labels.

        Labels are 0..K − 1, and K for none; without `label`, no example of the batch has one. The module starts with
        the weights of `build`, and further ones for labels.
        """
        name = type(self).__name__.lower()
        raise ValueError(f"network={name} takes no labels: give it a method `labelled`, or take another network")

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        """True where several such networks learn faster side by side than one after the other, on a CPU.

        Small networks gain, large ones do not; and they can where what `build` makes has a fast form.
        """
        return False

    def matrices(self, network: nn.Module) -> list[nn.Parameter]:
        """The weights of a network built here that `optimizer=muon` turns (`muon.py`): those between features.

        By default they are those of all its linear layers and convolutions but the first and the last.
        """
        layers = [layer for layer in network.modules() if isinstance(layer, LAYERS)]
        return between(network, (*layers[:1], *layers[-1:]))


def between(network: nn.Module, ends: Collection[nn.Module]) -> list[nn.Parameter]:
    """The weights of a network's linear layers and convolutions but those at its ends."""
    layers = [layer for layer in network.modules() if isinstance(layer, LAYERS) and layer not in ends]
    return [layer.weight for layer in layers if isinstance(layer.weight, nn.Parameter)]
