"""A perceptron for points (2-D data): residual layers, each scaled and shifted by time."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from diffusion_core.networks.layers import TimeEmbedding, in_float32, zeroed
from diffusion_core.networks.network import MOST_BESIDE, Network, between
from diffusion_core.refusing import require


@dataclass(frozen=True)
class Mlp(Network):
    """A perceptron of `layers` residual layers of `width` units."""

    width: int = 128
    layers: int = 3

    def __post_init__(self) -> None:
        some = self.width >= 2 and self.width % 2 == 0 and self.layers >= 1
        require(some, f"mlp needs an even width and at least one layer, got {self}")

    def gains_beside(self, shape: tuple[int, ...], batch: int) -> bool:
        return batch * self.width <= MOST_BESIDE

    def matrices(self, network: nn.Module) -> list[nn.Parameter]:
        assert isinstance(network, MlpModule), "it was built here"
        return between(network, (network.time.first, network.linear_in, network.linear_out))

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return self.labelled(shape, channels_out, 0)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        require(len(shape) == 1, f"mlp takes points [D], got {list(shape)}; for images take network=unet")
        return MlpModule(self, shape[0], channels_out, classes)


class ResidualLayer(nn.Module):
    """x + second(silu(norm(first(silu(x))) scaled and shifted by time))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.first = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.time = nn.Linear(width, 2 * width)
        self.second = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.time(self.act(embedding)).chunk(2, dim=-1)
        h = self.norm(self.first(self.act(x)))
        out: Tensor = x + self.second(self.act(h * (1 + scale) + shift))
        return out


class MlpModule(nn.Module):
    """The perceptron, (x [B, D], time [B]) → [B, channels_out]; with classes it takes labels [B], too."""

    def __init__(self, config: Mlp, dimensions: int, channels_out: int, classes: int) -> None:
        super().__init__()
        self.act = nn.SiLU()
        self.time = TimeEmbedding(config.width, config.width, classes)
        self.linear_in = nn.Linear(dimensions, config.width)
        self.layers = nn.ModuleList(ResidualLayer(config.width) for _ in range(config.layers))
        self.linear_out = zeroed(nn.Linear(config.width, channels_out))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        embedding = self.time(time, label)
        h = self.linear_in(x)
        for layer in self.layers:
            h = layer(h, embedding)
        return in_float32(self.linear_out, self.act(h))
