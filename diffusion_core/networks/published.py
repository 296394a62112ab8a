"""Networks that others trained: the folders of diffusers, and the `.pt` files of improved- and guided-diffusion.

    our time 1000 t/T ─▶ their index t − 1, or 1000 (t − 1)/T for a `.pt` file ─▶ their network ─▶ its output, ours

Weights are read in forms that cannot run code: safetensors, and tensors alone out of a `.pt` file. What a folder says
of the chain that its network was trained for is read by `ablations/settings/published.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from diffusion_core.networks.files import Files, files_at
from diffusion_core.networks.network import TIME_SCALE, Network
from diffusion_core.networks.openai import Heads, OpenAIUNet

ARCHITECTURE = "UNet2DModel"
"""That of diffusers which is told x_t, the time and perhaps a class, and works on pixels."""
NEARLY_WHOLE = 0.02
"""The most by which float32 moves a whole index of time."""
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Published(Network):
    """The network in the folder or the `.pt` file at `path`, trained for `horizon` steps, whose files have this
    `digest`, if one is given. `heads`, `head_channels` and `split_heads` are those of a `.pt` file's attention, which
    its tensors do not tell: the number of heads, or the channels of each; whether queries, keys and values lie one
    after the other."""

    path: str = ""
    digest: str = ""
    horizon: int = 1000
    heads: int = 4
    head_channels: int = 0
    split_heads: bool = False

    where: ClassVar[tuple[str, ...]] = ("path",)
    pretrained = True
    at_once = 64

    @property
    def whole_times(self) -> bool:
        return (files_at(self.path).config or {}).get("time_embedding_type") == "learned"

    def build(self, shape: tuple[int, ...], channels_out: int) -> nn.Module:
        return self.labelled(shape, channels_out, 0)

    def labelled(self, shape: tuple[int, ...], channels_out: int, classes: int) -> nn.Module:
        files = files_at(self.path)
        if self.digest and files.digest != self.digest:
            says = f"network.path={self.path} holds other weights than network.digest={self.digest}"
            raise ValueError(f"{says} ({files.digest}): take the digest away, or give the path of those weights")
        network: nn.Module
        if files.config is None:
            heads = Heads(self.heads, self.head_channels, self.split_heads)
            network = with_tensors(lambda state: OpenAIUNet(state, heads), files, self.path)
        else:
            network = of_diffusers(files.config, files, self.path)
        first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
        if shape[0] != first.in_channels:
            says = f"network.path={self.path} takes {first.in_channels} channels"
            raise ValueError(f"{says}, and these data have {shape[0]}")
        rows = label_rows(network)
        if rows not in ((classes, classes + 1) if classes else (0,)):
            says = f"network.path={self.path} knows {rows} classes, and is to be told {classes}"
            raise ValueError(f"{says}: take data and conditioning that fit (conditioning=class for its labels)")
        widen(network, channels_out)
        # A `.pt` file's index of time is spread over 0 to 1000, whatever its T.
        scale = TIME_SCALE / self.horizon if files.config is None else 1.0
        return Adapted(network.eval(), self.horizon, scale, channels_out, rows, self.whole_times)


class Adapted(nn.Module):
    """A network of others under our calls: its index of time from ours, and the channels that are asked for. It knows
    `rows` labels, of which the last may be none. It may know `whole` indices alone, the rows of a table."""

    def __init__(
        self, network: nn.Module, horizon: int, scale: float, channels_out: int, rows: int, whole: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.horizon, self.scale, self.channels_out, self.rows = horizon, scale, channels_out, rows
        self.whole = whole

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        if label is not None and (label >= self.rows).any():
            says = "this published network has no row for no label"
            raise ValueError(f"{says}: take data that are all labelled, conditioning.dropout=0, and no guidance")
        index = (time * (self.horizon / TIME_SCALE) - 1) * self.scale
        if self.whole:
            near, index = index, index.round().long()
            if ((near - index).abs() > NEARLY_WHOLE).any():
                says = "this published network has a table of whole times, and is asked between two of them"
                raise ValueError(f"{says}: take a sampler, an objective and likelihoods of the steps of its chain")
        if isinstance(self.network, OpenAIUNet):
            out: Tensor = self.network(x, index, label)
        else:
            out = self.network(x, index, class_labels=label, return_dict=False)[0]
        return out[:, : self.channels_out]


def of_diffusers(config: Mapping[str, Any], files: Files, path: str) -> nn.Module:
    """The network of a folder of diffusers; ValueError for another architecture."""
    try:
        import diffusers
    except ImportError as error:
        advice = "pip install 'diffusion-ablations[published]'"
        raise ValueError(f"network.path={path} is read by diffusers: {advice}") from error
    if (name := config.get("_class_name")) != ARCHITECTURE:
        raise ValueError(f"network.path={path} holds a {name}: it must be a {ARCHITECTURE}")

    def of_state(state: Mapping[str, Tensor]) -> nn.Module:
        network: nn.Module = diffusers.UNet2DModel.from_config(config)  # type: ignore[no-untyped-call]
        network.load_state_dict(state, assign=True)
        return network

    return with_tensors(of_state, files, path)


def with_tensors(build: Callable[[Mapping[str, Tensor]], N], files: Files, path: str) -> N:
    """The network that `build` makes of the tensors in files, in float32; ValueError where they are not its own."""
    state = tensors(files.weights)
    try:
        return build(state).float()
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"network.path={path}: the weights are not those of its architecture ({why})") from error


def tensors(paths: tuple[Path, ...]) -> dict[str, Tensor]:
    """All tensors of these files; those of safetensors stay on the disk until they are read."""
    state: dict[str, Tensor] = {}
    for path in paths:
        try:
            more = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        except Exception as error:  # Of a hostile file any may be raised.
            raise ValueError(f"{path} holds more than tensors, or is damaged") from error
        if not (isinstance(more, dict) and all(isinstance(value, Tensor) for value in more.values())):
            raise ValueError(f"{path} holds no state dict of tensors")
        state |= more
    return state


def label_rows(network: nn.Module) -> int:
    """The rows of a network's table of classes, of which one may be for none; 0 where it is told no class."""
    tables = [getattr(network, name, None) for name in ("class_embedding", "label_emb")]
    return next((table.num_embeddings for table in tables if isinstance(table, nn.Embedding)), 0)


def widen(network: nn.Module, channels_out: int) -> None:
    """Give the last convolution further channels, which are zero: those of a variance that is still to be learned."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1]
    if last.out_channels >= channels_out:
        return
    for name, value in list(last.named_parameters()):
        more = value.new_zeros(channels_out - last.out_channels, *value.shape[1:])
        setattr(last, name, nn.Parameter(torch.cat([value.detach(), more])))
    last.out_channels = channels_out
