"""The networks that features come from: each says which images it takes, and how wide its features are.

Small ones were trained on the training images of one data set and ship with the package: least cross-entropy of labels
over images that are shifted by part of a pixel and given noise, by the recipe in the record of each (`<name>.json`), so
that features tell what an image is rather than where it stands. Their features come out of a smooth non-linearity: a
ReLU leaves features that are zero on nearly all images, which standardising then blows up.

Inception v3, with which FID was defined (Heusel et al. 2017), is torch-fidelity's port. Its constructor unpickles a
file: here it makes the network without weights, and they are filled in from what was read without running code.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ablations.data.published import PublishedFile
from diffusion_core.precision import exact


class Architecture(nn.Module, ABC):
    """Images of grey levels 0..`levels` − 1 → features φ [B, `width`] and `classes` logits.

    `channels` and `sides` list what an image may have, no sides meaning any; `batch` is how many images are worked on
    at once; `shipped` whether weights come with this package, `source` where others come from, and `published` the
    file that `evaluation.weights=download` fetches; `standardised` whether KID, whose kernel is cubic, takes features
    in units of the real ones' standard deviation, or as they are, by an extractor whose published figures do.
    """

    levels: ClassVar[int] = 256
    channels: ClassVar[tuple[int, ...]] = (1,)
    sides: ClassVar[tuple[int, ...]]
    width: ClassVar[int]
    classes: ClassVar[int]
    batch: ClassVar[int] = 512
    standardised: ClassVar[bool] = True
    shipped: ClassVar[bool] = True
    source: ClassVar[str] = ""
    published: ClassVar[PublishedFile | None] = None

    @property
    def holder(self) -> nn.Module:
        """The module whose names for tensors a file of weights uses."""
        return self

    @abstractmethod
    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits, float32, of images [B, C, H, W]."""

    @classmethod
    def check(cls, name: str, images: Tensor) -> None:
        """ValueError unless these are stored images that it takes; `name` is what it is called."""
        fits = images.dtype == torch.uint8 and images.dim() == 4 and len(images) > 0 and images.shape[1] in cls.channels
        square = not cls.sides or (images.shape[-1] in cls.sides and images.shape[-1] == images.shape[-2])
        if not fits or not square or int(images.max()) >= cls.levels:
            sides = " or ".join(f"{side}, {side}" for side in cls.sides) or "H, W"
            most = f" up to {images.max()}" if images.numel() else ""
            raise ValueError(
                f"extractor {name} takes uint8 images [N, {' or '.join(map(str, cls.channels))}, {sides}] of levels "
                f"0..{cls.levels - 1}, got {images.dtype} {list(images.shape)}{most}"
            )


class _Small(Architecture):
    """Three convolutions, to `between` and 64 channels, the last two of stride 2; then 64 features of all `flat`."""

    width = 64
    classes = 10
    between: ClassVar[tuple[int, int]]
    flat: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        first, second = self.between
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Conv2d(second, 64, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(self.flat, self.width),
            nn.SiLU(),
        )
        self.head = nn.Linear(self.width, self.classes)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.body(levels.float() / (self.levels - 1))
        return feature, self.head(feature)


class DigitsCnn(_Small):
    """For `digits`: 8×8, 17 levels."""

    levels = 17
    sides = (8,)
    between, flat = (16, 32), 256


class FashionCnn(_Small):
    """For `fashion_mnist`: 16×16, and 32×32 after the same rounded means over 2×2 that make its smaller size.

    So one set of weights serves both sizes, and sees nothing finer than a pixel of the smaller one.
    """

    sides = (16, 32)
    between, flat = (24, 48), 1024

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward((avg_pool2d(levels.float(), 2) + 0.5).floor() if levels.shape[-1] == 32 else levels)


class InceptionV3Compat(Architecture):
    """For images of 8 bits and any size, which it resizes to 299×299; grey ones are shown as colour."""

    channels = (1, 3)
    sides = ()
    width = 2048
    classes = 1008
    batch = 32
    standardised = False
    shipped = False
    source = (
        "torch-fidelity's weights-inception-2015-12-05-6726825d.pth, from "
        "https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0"
    )
    published = PublishedFile(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "sha256",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    )

    def __init__(self) -> None:
        super().__init__()
        self.network = _unfilled()

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature, logits = self.network(levels.expand(-1, 3, -1, -1))
        return feature, logits

    @property
    def holder(self) -> nn.Module:
        return self.network


def _unfilled() -> nn.Module:
    """torch-fidelity's network, with whatever weights its layers start from."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unfilled(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
            # Its constructor fills in what it reads: the empty dictionary that it is given below.
            return super().load_state_dict(state, *args, **kwargs) if state else None

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network: nn.Module = Unfilled(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=nothing
    )
    return network


@dataclass(frozen=True, eq=False)
class Extractor:
    """A module with frozen weights, the digest of their file, and the share of held-out images that it gets right.
    `accuracy` is None where nothing is recorded."""

    name: str
    digest: str
    accuracy: float | None
    module: Architecture


def features(extractor: Extractor, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Features [N, width] and logits [N, classes] of stored images, uint8 [N, C, H, W], both float64 on the CPU. Worked
    out in float32 on `device`, where the module stays. ValueError if the images are of another type or shape."""
    extractor.module.check(extractor.name, images)
    module = extractor.module.to(device)
    with torch.inference_mode(), exact(device):
        parts = [module(part.to(device)) for part in torch.split(images, module.batch)]
    feature, logits = (torch.cat(half).double().cpu() for half in zip(*parts, strict=True))
    return feature, logits
