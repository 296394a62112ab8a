"""Fast forms of networks: a network's own function on a CPU, by other methods, for one of them or for S side by side.

    y_s = f(x_s; θ_s),   s = 1..S

A small network is bound by calls, not by arithmetic: its norms are one kernel each, its blocks' embeddings of time one
product, and S networks of one shape make as many calls as one. Parameters of one network have its own shapes, those of
S networks have S in front; feature maps are [B, S C, H, W] and vectors [S, B, C], with S = 1 for one. On one thread
each network gets the bits that it gets alone. Several threads split a product by its size.

A form's class is the network's own with another `forward`, so that a network becomes its form, and has the same layers
and weights. On other devices, and where torch is to transform or compile it, it computes as it was written.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, embedding, gelu, interpolate, layer_norm, silu
from torch.utils.checkpoint import checkpoint

from diffusion_core.fast.convolution import convolution
from diffusion_core.fast.fused import channels_last, norm_silu
from diffusion_core.fast.products import SMALL, keeps_bits, products, valuewise
from diffusion_core.networks.autoencoder import Decoder, Encoder, OutputBlock
from diffusion_core.networks.dit import Block, DitModule, images, normed, patches
from diffusion_core.networks.layers import Attention, LabelEmbedding, ResidualBlock, TimeEmbedding, angles
from diffusion_core.networks.mlp import MlpModule, ResidualLayer
from diffusion_core.networks.unet import UNetBlock, UNetModule

Module = TypeVar("Module", bound=nn.Module)


class Form(nn.Module):
    """The form of `members` networks side by side; it comes before the network's own class among the bases."""

    members: int = 1

    def forward(self, *given: Any, **named: Any) -> Any:
        """The output [B, …] of inputs [B, …] of one network; for S networks, all with S in front."""
        if self.members > 1:
            return self.beside(*given, **named)
        if not keeps_bits(given[0]):
            return super().forward(*given, **named)
        named = {name: value[None] for name, value in named.items() if value is not None}
        return self.beside(*(value[None] for value in given if value is not None), **named)[0]

    def beside(self, x: Tensor, *rest: Tensor) -> Tensor:
        """The outputs [S, B, …] of inputs [S, B, …]."""
        raise NotImplementedError


class UNetForm(Form, UNetModule):
    """The U-Net, whose blocks' scales and shifts are one product."""

    def beside(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:  # type: ignore[override]
        told = time_embedding(self.time, time, label)
        if len(x) == 1:
            return self.of_maps(x[0], told)[None]
        # The layout is that of one network's, so that later sums are in the same order.
        out = self.of_maps(x.transpose(0, 1).flatten(1, 2), told)
        return out.view(len(out), len(x), -1, *out.shape[2:]).transpose(0, 1).contiguous()

    def of_maps(self, x: Tensor, told: Tensor) -> Tensor:
        """The output [B, S channels_out, H, W] for x [B, S C, H, W] and the embedding of time [S, B, channels]."""
        sides = [[block for resolution in side for block in resolution] for side in (self.down, self.up)]  # type: ignore[attr-defined]
        blocks = [*sides[0], self.middle_in, self.middle_out, *sides[1]]
        modulation = iter(modulations([block.block for block in blocks], told))
        h = channels_last(convolution(self.conv_in, channels_last(x)))
        kept = [h]
        for i, resolution in enumerate(self.down):
            h = avg_pool2d(h, 2) if i else h
            for block in resolution:  # type: ignore[attr-defined]
                h = unet_block(block, h, next(modulation))
                kept.append(h)
        for block in (self.middle_in, self.middle_out):
            h = unet_block(block, h, next(modulation))
        for i, resolution in enumerate(self.up):
            h = interpolate(h, scale_factor=2.0) if i else h
            for block in resolution:  # type: ignore[attr-defined]
                h = unet_block(block, joined(h, kept.pop(), len(told)), next(modulation))
        h = norm_silu(self.norm_out, h)
        with torch.autocast(x.device.type, enabled=False):
            return convolution(self.conv_out, h.to(self.conv_out.weight.dtype)).contiguous()


class MlpForm(Form, MlpModule):
    """The perceptron."""

    def beside(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:  # type: ignore[override]
        told = time_embedding(self.time, time, label)
        h = linear(self.linear_in, x)
        for layer in self.layers:
            assert isinstance(layer, ResidualLayer), "it has no others"
            scale, shift = linear(layer.time, valuewise(silu, told)).chunk(2, dim=-1)
            inner = normed_rows(layer.norm, linear(layer.first, valuewise(silu, h)))
            h = h + linear(layer.second, valuewise(silu, inner * (1 + scale) + shift))
        with torch.autocast(x.device.type, enabled=False):
            return linear(self.linear_out, valuewise(silu, h).to(self.linear_out.weight.dtype))


class DitForm(Form, DitModule):
    """The transformer, whose blocks' modulations are one product."""

    def beside(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:  # type: ignore[override]
        told = time_embedding(self.time, time, label)
        cut = patches(x.flatten(0, 1), self.patch)
        h = tokens(self.linear_in, cut.view(*x.shape[:2], *cut.shape[1:])) + self.places
        layers = [block.modulation for block in self.blocks]
        parts = by_one_product(layers, valuewise(silu, told))  # type: ignore[arg-type]
        for block, modulation in zip(self.blocks, parts, strict=True):
            h = transformer_block(block, h, modulation)  # type: ignore[arg-type]
        with torch.autocast(x.device.type, enabled=False):
            h, told = (value.to(self.linear_out.weight.dtype) for value in (h, told))
            shift, scale = linear(self.modulation, valuewise(silu, told)).unsqueeze(2).chunk(2, dim=-1)
            out = tokens(self.linear_out, normed(h, scale, shift))
        return images(out.flatten(0, 1), self.patch, *x.shape[-2:]).view(*x.shape[:2], -1, *x.shape[-2:])


class EncoderForm(Form, Encoder):
    """The encoder; autoencoders are trained one at a time."""

    def beside(self, x: Tensor) -> Tensor:  # type: ignore[override]
        h = channels_last(convolution(self.conv_in, x[0]))
        for i, level in enumerate(self.levels):
            h = residuals(level, avg_pool2d(h, 2) if i else h)
        return head(self.head, h)[None]


class DecoderForm(Form, Decoder):
    """The decoder."""

    def beside(self, z: Tensor) -> Tensor:  # type: ignore[override]
        h = channels_last(convolution(self.conv_in, z[0]))
        for i, level in enumerate(self.levels):
            h = residuals(level, interpolate(h, scale_factor=2.0) if i else h)
        return head(self.head, h)[None]


FORMS: dict[type[nn.Module], type[Form]] = {
    UNetModule: UNetForm,
    MlpModule: MlpForm,
    DitModule: DitForm,
    Encoder: EncoderForm,
    Decoder: DecoderForm,
}
"""The class of a network → that of its form."""


def accelerated(network: Module) -> Module:
    """The network, which becomes its form if it has one."""
    network.__class__ = FORMS.get(type(network), type(network))  # type: ignore[assignment]
    return network


def stackable(network: nn.Module) -> bool:
    """True where a network has a form that others can lie beside, and draws nothing (dropout)."""
    return (isinstance(network, Form) or type(network) in FORMS) and not any(
        isinstance(layer, nn.Dropout) and layer.p > 0 for layer in network.modules()
    )


def stacked(network: nn.Module, members: int) -> nn.Module:
    """S networks of this one's shape as one, each of them with this one's weights to begin with."""
    stack = accelerated(copy.deepcopy(network))
    assert isinstance(stack, Form), "it has a form"
    stack.members = members
    for module in stack.modules():
        for name, parameter in module.named_parameters(recurse=False):
            values = parameter.detach().expand(members, *parameter.shape).contiguous()
            setattr(module, name, nn.Parameter(values, parameter.requires_grad))
    return stack


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """x [S, B, C] → [S, B, C']."""
    return products(x, layer.weight, layer.bias)


def tokens(layer: nn.Linear, h: Tensor) -> Tensor:
    """The output [S, B, N, C'] of a linear layer for tokens [S, B, N, C]."""
    return linear(layer, h.flatten(1, 2)).view(*h.shape[:3], -1)


def normed_rows(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """The norm over C of x [S, B, C], with a scale and a shift of each network's own."""
    scale, shift = (values.reshape(-1, 1, values.shape[-1]) for values in (layer.weight, layer.bias))
    return layer_norm(x, layer.normalized_shape, eps=layer.eps) * scale + shift


def time_embedding(layer: TimeEmbedding, time: Tensor, label: Tensor | None) -> Tensor:
    """The embedding [S, B, channels] of time and label [S, B]."""
    angle = angles(time, layer.width)
    waves = torch.cat([valuewise(torch.cos, angle), valuewise(torch.sin, angle)], dim=-1)
    out = linear(layer.second, valuewise(silu, linear(layer.first, waves)))
    if layer.label is None:
        assert label is None, "it was built for no labels"
        return out
    return out + label_embedding(layer.label, layer.label.none(time) if label is None else label)


def label_embedding(layer: LabelEmbedding, label: Tensor) -> Tensor:
    """The rows [S, B, channels] of labels [S, B] in S tables."""
    # The gradient of a row is a sum in the order of examples, whatever other networks there are.
    if len(label) > 1:
        label = label + layer.num_embeddings * torch.arange(len(label), device=label.device)[:, None]
    return embedding(label, layer.weight.flatten(0, -2))


def unet_block(block: UNetBlock, x: Tensor, modulation: Tensor) -> Tensor:
    """A U-Net's block, of the scale and shift `modulation` [B, 2 S C]."""

    def within(x: Tensor, modulation: Tensor) -> Tensor:
        h = residual(block.block, x, modulation)
        return attention(block.attention, h) if isinstance(block.attention, Attention) else h

    if not (block.recompute and torch.is_grad_enabled()):
        return within(x, modulation)
    out: Tensor = checkpoint(within, x, modulation, use_reentrant=False, preserve_rng_state=block.random)
    return out


def residual(block: ResidualBlock, x: Tensor, modulation: Tensor | None = None) -> Tensor:
    """A residual block, its norms one kernel each with the scale and shift, and SiLU."""
    h = convolution(block.conv_in, norm_silu(block.norm_in, x))
    h = norm_silu(block.norm_out, h, modulation)
    skip = convolution(block.skip, x) if isinstance(block.skip, nn.Conv2d) else x
    return skip + convolution(block.conv_out, block.dropout(h))


def residuals(level: nn.Module, h: Tensor) -> Tensor:
    """Residual blocks of no time, one after the other."""
    for block in level.children():
        assert isinstance(block, ResidualBlock), "it has no others"
        h = residual(block, h)
    return h


def head(block: OutputBlock, x: Tensor) -> Tensor:
    """An autoencoder's last layers."""
    h = norm_silu(block.norm, x)
    with torch.autocast(x.device.type, enabled=False):
        return convolution(block.conv, h.to(block.conv.weight.dtype))


def modulations(blocks: Sequence[ResidualBlock], told: Tensor) -> tuple[Tensor, ...]:
    """The scale and shift [B, 2 S C] of each block by the embedding of time [S, B, channels]."""
    parts = by_one_product([block.time for block in blocks if block.time is not None], valuewise(silu, told))
    # Each network has a scale, then a shift; the norm takes the scales of all of them, then the shifts.
    shape = *told.shape[:2], 2, -1
    return tuple(part.reshape(shape).permute(1, 2, 0, 3).flatten(1) for part in parts)


def by_one_product(layers: Sequence[nn.Linear], x: Tensor) -> tuple[Tensor, ...]:
    """The outputs of several layers for x [S, B, C], by one product: small ones cost more to call than to compute."""
    weight = torch.cat([layer.weight for layer in layers], dim=-2)
    bias = torch.cat([layer.bias for layer in layers], dim=-1)
    return torch.split(products(x, weight, bias), [layer.out_features for layer in layers], dim=-1)


def joined(h: Tensor, other: Tensor, members: int) -> Tensor:
    """The channels of h [B, S C, H, W] and of another map, grouped by network, [B, S (C + C'), H, W]."""
    if members == 1:
        return torch.cat([h, other], dim=1)
    batch, _, height, width = h.shape
    maps = [each.permute(0, 2, 3, 1).reshape(batch, height, width, members, -1) for each in (h, other)]
    return torch.cat(maps, dim=-1).flatten(3).permute(0, 3, 1, 2)


def attention(layer: Attention, x: Tensor) -> Tensor:
    """x + f(x), f: self-attention over the pixels of x [B, S C, H, W]."""
    batch, channels, height, width = x.shape
    members = layer.qkv.weight.shape[:-4].numel()
    qkv = convolution(layer.qkv, norm_silu(layer.norm, x, act=False)).permute(0, 2, 3, 1)
    h = attended(qkv.reshape(batch, height * width, members, 3, layer.heads, -1))
    return x + convolution(layer.out, h.reshape(batch, height, width, channels).permute(0, 3, 1, 2))


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


def transformer_block(block: Block, h: Tensor, modulation: Tensor) -> Tensor:
    """h [S, B, N, width] after a transformer's block, by β₁, γ₁, α₁, β₂, γ₂, α₂ [S, B, 6 width]."""
    shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = modulation.unsqueeze(2).chunk(6, dim=-1)
    qkv = tokens(block.qkv, normed(h, scale, shift)).view(*h.shape[:3], 3, block.heads, -1)
    h = h + gate * tokens(block.mixed, attended(qkv.permute(1, 2, 0, 3, 4, 5)).permute(2, 0, 1, 3))
    inner = valuewise(partial(gelu, approximate="tanh"), tokens(block.first, normed(h, scale_mlp, shift_mlp)))
    return h + gate_mlp * tokens(block.second, inner)
