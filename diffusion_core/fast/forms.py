"""Fast forms of networks: a network's own function on a CPU, by other methods, for one of them or for S side by side.

    y_s = f(x_s; θ_s),   s = 1..S

A small network is bound by calls, not by arithmetic: its norms are one kernel each, its blocks' embeddings of time one
product, and S networks of one shape make as many calls as one. Parameters of one network have its own shapes, those of
S networks have S in front; feature maps are [B, S C, H, W], and vectors [B, C] of one network and [S, B, C] of several.
On one thread each network gets the bits that it gets alone. Several threads split a product by its size.

A network becomes its form as each of its layers takes the class here that computes the same. On other devices, and
where torch is to transform or compile it, such a layer computes as it was written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, layer_norm, silu

from diffusion_core.fast.convolution import convolution
from diffusion_core.fast.fused import channels_last, norm_silu, works
from diffusion_core.fast.products import SMALL, keeps_bits, products, valuewise
from diffusion_core.networks import dit
from diffusion_core.networks import network as layers
from diffusion_core.networks.network import MlpModule
from diffusion_core.networks.unet import Decoder, Encoder, UNetModule

Network = TypeVar("Network", bound=nn.Module)


class Beside:
    """A layer of `members` networks side by side."""

    members: int = 1

    def apart(self, x: Tensor) -> Tensor:
        """Vectors [B, C] or [S, B, C] as [S, B, C], of whatever dimensions between B and C."""
        return x if self.members > 1 else x[None]

    def valuewise(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A function of each value of vectors, which has the bits that it has for one network."""
        return valuewise(function, x) if self.members > 1 else function(x)


class Form(Beside, nn.Module):
    """A layer that is computed by other methods; it comes before its own class among the bases."""

    def forward(self, x: Tensor, *more: Any) -> Any:
        return self.fast(x, *more) if keeps_bits(x) else super().forward(x, *more)

    def fast(self, x: Tensor, *more: Any) -> Any:
        """The layer's output."""
        raise NotImplementedError


class Convolution(Form, nn.Conv2d):
    """A convolution of maps, in the layout that the layers after it keep."""

    def fast(self, x: Tensor) -> Tensor:
        return channels_last(convolution(self, x))


class Linear(Form, nn.Linear):
    """A linear map of vectors."""

    def fast(self, x: Tensor) -> Tensor:
        rows = products(x.reshape(self.members, -1, x.shape[-1]), self.weight, self.bias)
        return rows.view(*x.shape[:-1], -1)


class DitLinear(Linear, dit.Layer):
    """The same, of a transformer."""


class LayerNorm(Form, nn.LayerNorm):
    """A layer norm of vectors, with a scale and a shift of each network's own."""

    def fast(self, x: Tensor) -> Tensor:
        scale, shift = (values.reshape(-1, 1, values.shape[-1]) for values in (self.weight, self.bias))
        out = layer_norm(self.apart(x), self.normalized_shape, eps=self.eps) * scale + shift
        return out.view(x.shape)


class SiLU(Form, nn.SiLU):
    """SiLU of vectors."""

    def fast(self, x: Tensor) -> Tensor:
        return self.valuewise(silu, x)


class GELU(Form, nn.GELU):
    """GELU of tokens."""

    def fast(self, x: Tensor) -> Tensor:
        return self.valuewise(partial(gelu, approximate=self.approximate), x)


class TimeEmbedding(Beside, layers.TimeEmbedding):
    """Embeddings of times [B] or [S, B]."""

    def waves(self, time: Tensor) -> Tensor:
        if not keeps_bits(time):
            return super().waves(time)
        angle = layers.angles(time, self.width)
        return torch.cat([self.valuewise(torch.cos, angle), self.valuewise(torch.sin, angle)], dim=-1)


class LabelEmbedding(Form, layers.LabelEmbedding):
    """Embeddings of labels [B] or [S, B], in S tables that lie one after another."""

    def fast(self, label: Tensor) -> Tensor:
        # The gradient of a row is a sum in the order of examples, whatever other networks there are.
        if self.members > 1:
            label = label + self.num_embeddings * torch.arange(self.members, device=label.device)[:, None]
        return embedding(label, self.weight.flatten(0, -2))


class Modulations(Form, layers.Modulations):
    """The modulations of all layers by one product: small ones cost more to call than to compute."""

    def fast(self, embedding: Tensor, layers: Sequence[nn.Linear]) -> Sequence[Tensor]:
        active = self.apart(self.valuewise(silu, embedding))
        weight = torch.cat([layer.weight for layer in layers], dim=-2)
        bias = torch.cat([layer.bias for layer in layers], dim=-1)
        parts = torch.split(products(active, weight, bias), [layer.out_features for layer in layers], dim=-1)
        return parts if self.members > 1 else [part[0] for part in parts]


class NormSilu(Form, layers.NormSilu):
    """By one kernel, of maps and of the scale and shift, vectors of 2 C."""

    def fast(self, x: Tensor, modulation: Tensor | None = None) -> Tensor:
        if modulation is not None and self.members > 1:
            # Each network has a scale, then a shift; the kernel takes the scales of all of them, then the shifts.
            modulation = modulation.reshape(*modulation.shape[:2], 2, -1).permute(1, 2, 0, 3).flatten(1)
        return norm_silu(self, x, modulation)


class Attention(Form, layers.Attention):
    """Among the pixels of maps, its norm by the kernel."""

    def fast(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(norm_silu(self.norm, x, act=False)).permute(0, 2, 3, 1)
        h = attended(qkv.reshape(batch, height * width, self.members, 3, self.heads, -1))
        return x + self.out(h.reshape(batch, height, width, channels).permute(0, 3, 1, 2))


class DitBlock(Beside, dit.Block):
    """A block of tokens [B, N, C] or [S, B, N, C]."""

    def attention(self, h: Tensor) -> Tensor:
        if not keeps_bits(h):
            return super().attention(h)
        qkv = self.apart(self.qkv(h))
        each = qkv.view(*qkv.shape[:3], 3, self.heads, -1).permute(1, 2, 0, 3, 4, 5)
        return self.mixed(attended(each).permute(2, 0, 1, 3).reshape(h.shape))


class UNet(Form, UNetModule):
    """A U-Net of images [B, C, H, W], or [S, B, C, H, W], which lie side by side within it."""

    def fast(self, x: Tensor, *told: Any) -> Tensor:
        if self.members == 1:
            return super(Form, self).forward(channels_last(x), *told).contiguous()
        # The layout is that of one network's, so that later sums are in the same order.
        out = super(Form, self).forward(channels_last(x.transpose(0, 1).flatten(1, 2)), *told).contiguous()
        return out.view(len(out), self.members, -1, *out.shape[2:]).transpose(0, 1).contiguous()

    def joined(self, h: Tensor, kept: Tensor) -> Tensor:
        if self.members == 1:
            return super().joined(h, kept)
        shape = *h.shape[2:], self.members, -1
        maps = [each.permute(0, 2, 3, 1).reshape(len(h), *shape) for each in (h, kept)]
        return torch.cat(maps, dim=-1).flatten(3).permute(0, 3, 1, 2)


FORMS = (
    *(Convolution, Linear, DitLinear, LayerNorm, SiLU, GELU, TimeEmbedding, LabelEmbedding, Modulations, NormSilu),
    *(Attention, DitBlock, UNet),
)
OF = {form.__bases__[-1]: form for form in FORMS}
"""The class of a layer → that of its form."""
WHOLE = (UNetModule, UNet, MlpModule, dit.DitModule, Encoder, Decoder)
"""The networks that are made of such layers alone."""


def accelerated(network: Network) -> Network:
    """The network, which becomes its form if it has one."""
    if type(network) in WHOLE:
        for layer in network.modules():
            layer.__class__ = OF.get(type(layer), type(layer))
    return network


def stackable(network: nn.Module) -> bool:
    """True where a network has a form that others can lie beside, and draws nothing (dropout).

    Norms lie side by side in the kernel alone.
    """
    drawn = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in network.modules())
    norms = any(isinstance(layer, nn.GroupNorm) for layer in network.modules())
    return type(network) in WHOLE and not drawn and (works() or not norms)


def stacked(network: nn.Module, members: int) -> nn.Module:
    """S networks of this one's shape as one, each of them with this one's weights to begin with."""
    stack = accelerated(copy.deepcopy(network))
    for module in stack.modules():
        if isinstance(module, Beside):
            module.members = members
        for name, parameter in module.named_parameters(recurse=False):
            values = parameter.detach().expand(members, *parameter.shape).contiguous()
            setattr(module, name, nn.Parameter(values, parameter.requires_grad))
    return stack


def attended(qkv: Tensor) -> Tensor:
    """Attention [B, N, S, C] among N places, by queries, keys and values of several heads [B, N, S, 3, heads, d]."""
    # One copy here, since each product would copy its own input.
    q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(2, 3).contiguous()
    # Small products in bf16 are each network's own, as in `products.product`.
    members = qkv.shape[2]
    small = q.dtype == torch.bfloat16 and q.numel() * q.shape[-2] <= members * SMALL
    parts = zip(*(each.chunk(members if small else 1, dim=1) for each in (q, k, v)), strict=True)
    h = torch.cat([attend(*part) for part in parts], dim=1)
    return h.transpose(1, 2).reshape(*qkv.shape[:3], -1)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ/√d) v [B, heads, N, d] by products: torch's kernel is slow for few places N."""
    if q.shape[-2] == 1:
        # One place attends to itself.
        return v
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = torch.softmax(scores.to(torch.promote_types(scores.dtype, torch.float32)), dim=-1)
    return weights.to(v.dtype) @ v
