"""An extractor at work: images → features φ(x) that distributions are compared by, and logits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ablations.metrics.extractors.architectures import Architecture
from diffusion_core.precision import exact


@dataclass(frozen=True, eq=False)
class Extractor:
    """A module with frozen weights, the digest of their file, and the share of held-out images that it gets right.

    `accuracy` is None where nothing is recorded.
    """

    name: str
    digest: str
    accuracy: float | None
    module: Architecture


def features(extractor: Extractor, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Features [N, width] and logits [N, classes] of stored images, uint8 [N, C, H, W], both float64 on the CPU.

    Worked out in float32 on `device`, where the module stays. ValueError if the images are of another type or shape.
    """
    extractor.module.check(extractor.name, images)
    module = extractor.module.to(device)
    with torch.inference_mode(), exact(device):
        parts = [module(part.to(device)) for part in torch.split(images, module.batch)]
    feature, logits = (torch.cat(half).double().cpu() for half in zip(*parts, strict=True))
    for what, values, declared in (("features", feature, module.width), ("logits", logits, module.classes)):
        if tuple(values.shape) != (len(images), declared):
            raise ValueError(
                f"extractor {extractor.name} gives {what} {list(values.shape)} of {len(images)} images, and declares "
                f"{declared} each"
            )
    return feature, logits
