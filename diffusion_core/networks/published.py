"""Networks and autoencoders that others trained: folders of diffusers, `.pt` files of improved- and guided-diffusion.

    our time 1000 t/T ─▶ their index t − 1, or 1000 (t − 1)/T for a `.pt` file ─▶ their network ─▶ its output, ours

Weights are read in forms that cannot run code: safetensors, and tensors alone out of a `.pt` file. What a folder says
of the chain that its network was trained for is read by `ablations/settings/published.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from diffusion_core.networks.files import Files, files_at
from diffusion_core.networks.network import TIME_SCALE, Network
from diffusion_core.networks.openai import Heads, OpenAIUNet

TRANSFORMER = "DiTTransformer2DModel"
"""The network that has places, for maps of one size alone."""
TEXTLESS = "UNet2DConditionModel"
"""The network that wants to be told that there is no text."""
LABEL_TABLES = ("class_embedding", "label_emb", "embedding_table")
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
        files, where = files_at(self.path, digest=self.digest), f"network.path={self.path}"
        network: Any
        if files.config is None:
            heads = Heads(self.heads, self.head_channels, self.split_heads)
            network = with_tensors(lambda state: OpenAIUNet(state, heads), files, where)
        else:
            side = files.config.get("sample_size")
            if files.config["_class_name"] == TRANSFORMER and shape[1:] != (side, side):
                raise ValueError(f"{where} takes maps of {side}×{side}, and these data have {shape[-2]}×{shape[-1]}")
            network = of_diffusers(files, where)
        first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
        if shape[0] != first.in_channels:
            raise ValueError(f"{where} takes {first.in_channels} channels, and these data have {shape[0]}")
        rows = label_rows(network)
        if rows not in ((classes, classes + 1) if classes else (0,)):
            says = f"network.path={self.path} knows {rows} classes, and is to be told {classes}"
            raise ValueError(f"{says}: take data and conditioning that fit (conditioning=class for its labels)")
        widen(network, channels_out)
        # A `.pt` file's index of time is spread over 0 to 1000, whatever its T.
        scale = TIME_SCALE / self.horizon if files.config is None else 1.0
        return Adapted(network.eval(), self.horizon, scale, channels_out, rows, self.whole_times)


class Adapted(nn.Module):
    """A network of others under our calls: its index of time from ours, and the channels that are asked for. Of the
    `rows` of its table of labels the last may be for none. It may know `whole` indices alone, the rows of a table."""

    def __init__(
        self, network: nn.Module, horizon: int, scale: float, channels_out: int, rows: int, whole: bool
    ) -> None:
        super().__init__()
        self.network = network
        self.horizon, self.scale, self.channels_out = horizon, scale, channels_out
        self.rows, self.whole = rows, whole
        self.told = {"encoder_hidden_states": None} if type(network).__name__ == TEXTLESS else {}

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
            out = self.network(x, index, label)
        else:
            out = self.network(x, index, class_labels=label, **self.told, return_dict=False)[0]
        return out[:, : self.channels_out]


def of_diffusers(files: Files, where: str) -> Any:
    """The network or the autoencoder of a folder of diffusers."""
    try:
        import diffusers
    except ImportError as error:
        advice = "pip install 'diffusion-ablations[published]'"
        raise ValueError(f"{where} is read by diffusers: {advice}") from error

    config = files.config or {}

    def of_state(state: dict[str, Tensor]) -> Any:
        # A config that asks for more than its tensors takes no time and no memory.
        layers = re.findall(r"\d+", json.dumps([value for key, value in config.items() if "layers" in key]))
        if any(int(count) > len(state) for count in layers):
            raise ValueError(f"{len(state)} tensors are not of {max(map(int, layers))} layers")
        for device in ("meta", "cpu"):
            with torch.device(device):
                network = getattr(diffusers, config["_class_name"]).from_config(config)
            # Early folders name the layers of attention otherwise.
            network._fix_state_dict_keys_on_load(state)
            network.load_state_dict(state, assign=True)
        for layer in network.modules():
            # Which labels are left out is drawn by our training.
            if isinstance(getattr(layer, "embedding_table", None), nn.Embedding):
                layer.dropout_prob = 0.0
        return network

    return with_tensors(of_state, files, where)


def autoencoder_at(path: str, digest: str) -> tuple[nn.Sequential, nn.Sequential, Tensor]:
    """The encoder (images to μ and log σ², or to z) and decoder of the autoencoder at a path, and its codes, none
    unless it is vector-quantised."""
    files, where = files_at(path, "space", digest), f"space.path={path}"
    whole = of_diffusers(files, where)
    if getattr(whole.config, "norm_type", "group") != "group":
        raise ValueError(f"{where} holds a VQModel with norm_type={whole.config.norm_type}: it must be group")
    encoder = [layer for layer in (whole.encoder, whole.quant_conv) if layer is not None]
    decoder = [layer for layer in (whole.post_quant_conv, whole.decoder) if layer is not None]
    codes = whole.quantize.embedding.weight.detach() if hasattr(whole, "quantize") else torch.empty(0, 0)
    return nn.Sequential(*encoder), nn.Sequential(*decoder), codes


def with_tensors(build: Callable[[dict[str, Tensor]], N], files: Files, where: str) -> N:
    """The network that `build` makes of the tensors in files, in float32; ValueError where they are not its own."""
    state = tensors(files.weights)
    try:
        return build(state).float()
    except Exception as error:  # Of a hostile config any may be raised.
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"{where}: the weights are not those of its architecture ({why})") from error


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
    tables = [layer for name, layer in network.named_modules() if name.rpartition(".")[2] in LABEL_TABLES]
    return next((table.num_embeddings for table in tables if isinstance(table, nn.Embedding)), 0)


def widen(network: nn.Module, channels_out: int) -> None:
    """Give the last layer further channels, which are zero: those of a variance that is still to be learned. That of a
    transformer has them for each place of a patch."""
    last = getattr(network, "proj_out_2", [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)][-1])
    owner: Any = network if isinstance(last, nn.Linear) else last
    if (now := owner.out_channels) >= channels_out:
        return
    for name, value in list(last.named_parameters()):
        places = value.detach().unflatten(0, (-1, now))
        more = places.new_zeros(len(places), channels_out - now, *value.shape[1:])
        setattr(last, name, nn.Parameter(torch.cat([places, more], 1).flatten(0, 1)))
    owner.out_channels = channels_out
