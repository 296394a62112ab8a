"""Axis: the space of the diffusion, the data as they are stored or the code of an autoencoder.

pixels    x_0 is the image
latents   x_0 = E(x) of h × w × c with f = H/h = W/w = 2^m, x̂ = D(x_0)        (Rombach et al. 2022)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from diffusion_core.autoencoder import Autoencoder, KlAutoencoder, VqAutoencoder
from diffusion_core.encodings import GreyLevels
from diffusion_core.fast.forms import accelerated
from diffusion_core.networks.files import code_of, files_at
from diffusion_core.networks.published import autoencoder_at
from diffusion_core.networks.unet import Decoder, Encoder
from diffusion_core.refusing import require
from diffusion_core.training import Training

FACTORS = (1, 2, 4, 8)
"""The f there are."""
OF_TRAINING = ("kl_weight", "codes", "commitment", "width", "blocks", "groups", "steps", "batch", "learning_rate")
"""The fields that a published autoencoder leaves unread."""


class Space(ABC):
    """The space in which the diffusion happens; `encoded` tells whether an autoencoder stands before it."""

    encoded: ClassVar[bool]

    @property
    def pretrained(self) -> bool:
        """True where others trained its autoencoder."""
        return False

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the fields that have no effect at the values of the others."""
        return ()

    @property
    def likelihood(self) -> bool:
        """True where a bound on the likelihood of x_0 makes one on that of the data."""
        return True

    @abstractmethod
    def shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of x_0 for data of this shape; ValueError where there is none."""


@dataclass(frozen=True)
class Pixels(Space):
    """The data as they are stored: pixels, or the coordinates of points."""

    encoded = False

    def shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@dataclass(frozen=True)
class Latents(Space):
    """A code of `channels` channels and 1/`f` of the image's sides, by an autoencoder trained beforehand.

    (Rombach et al. 2022, arXiv:2112.10752.) Of its `regularization` `kl_weight` belongs to kl (1 is the evidence
    bound), `codes` (K) and `commitment` to vq. The networks have `width` channels at the image's resolution, `blocks`
    blocks at each and `groups` in their norms, and are trained for `steps` steps of `batch` at `learning_rate`. Where a
    `path` is given, others trained the autoencoder in that folder, whose files have this `digest`, if one is given.
    """

    f: Literal[1, 2, 4, 8] = 2
    channels: int = 4
    regularization: Literal["kl", "vq"] = "kl"
    kl_weight: float = 0.3
    codes: int = 128
    commitment: float = 0.25
    width: int = 16
    blocks: int = 1
    groups: int = 8
    steps: int = 500
    batch: int = 128
    learning_rate: float = 2e-3
    path: str = ""
    digest: str = ""

    encoded = True
    where: ClassVar[tuple[str, ...]] = ("path",)
    younger: ClassVar[tuple[str, ...]] = ("path", "digest")

    def __post_init__(self) -> None:
        require(self.f in FACTORS, f"space.f must be 1, 2, 4 or 8, got {self.f}")
        for name in ("channels", "width", "blocks", "groups", "steps", "batch"):
            require(getattr(self, name) >= 1, f"space.{name} must be at least 1, got {getattr(self, name)}")
        whole = self.width % self.groups == 0
        require(whole, f"space.width must be a multiple of space.groups={self.groups}, got {self.width}")
        require(
            self.kl_weight >= 0 and self.commitment >= 0 and self.learning_rate > 0,
            "latents need kl_weight >= 0, commitment >= 0 and learning_rate > 0, got "
            f"{self.kl_weight}, {self.commitment} and {self.learning_rate}",
        )
        require(self.codes >= 2, f"space.codes must be at least 2, got {self.codes}")

    @property
    def likelihood(self) -> bool:
        return self.regularization == "kl"

    @property
    def pretrained(self) -> bool:
        return bool(self.path)

    @property
    def unread(self) -> tuple[str, ...]:
        if self.pretrained:
            return OF_TRAINING
        return ("codes", "commitment") if self.regularization == "kl" else ("kl_weight",)

    @property
    def halvings(self) -> int:
        """m = log2 f."""
        return self.f.bit_length() - 1

    def shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        require(len(shape) == 3, f"space=latents is a code of images [C, H, W], got {list(shape)}: take space=pixels")
        _, height, width = shape
        fitting = [f for f in FACTORS if height % f == width % f == 0]
        says = f"space.f={self.f} does not divide images of {height}×{width}: take space.f="
        require(self.f in fitting, says + " or ".join(map(str, fitting)))
        if self.path:
            config = files_at(self.path, "space", self.digest).config or {}
            own, ours = code_of(config), {key: getattr(self, key) for key in ("f", "channels", "regularization")}
            require(own == ours, f"space.path={self.path} has {own}, and the cell {ours}: leave space out")
            says = f"space.path={self.path} takes images of {config.get('in_channels')} channels, and these data have"
            require(config.get("in_channels") == shape[0], f"{says} {shape[0]}")
        return (self.channels, height // self.f, width // self.f)

    @property
    def scaling(self) -> tuple[float, float]:
        """The mean and the scale by which the autoencoder at `path` gives x_0 from z."""
        config = files_at(self.path, "space", self.digest).config or {}
        return float(config.get("shift_factor") or 0), 1 / float(config.get("scaling_factor", 0.18215))

    def build(self, levels: GreyLevels, shape: tuple[int, ...]) -> Autoencoder:
        """The autoencoder of images of this shape."""
        self.shape_of(shape)
        encoder: nn.Module
        decoder: nn.Module
        if self.path:
            encoder, decoder, codes = autoencoder_at(self.path, self.digest)
        else:
            sizes, codes = (self.halvings, self.width, self.blocks, self.groups), torch.zeros(self.codes, self.channels)
            moments = self.channels * (2 if self.regularization == "kl" else 1)
            decoder = accelerated(Decoder(self.channels, shape[0], *sizes))
            encoder = accelerated(Encoder(shape[0], moments, *sizes))
        if self.regularization == "kl":
            return KlAutoencoder(levels, encoder, decoder, self.channels, self.kl_weight)
        return VqAutoencoder(levels, encoder, decoder, codes, self.commitment)

    def plan(self, precision: Literal["auto", "float32", "bf16"]) -> Training:
        """The plan by which the autoencoder is trained."""
        return Training(self.steps, self.batch, self.learning_rate, precision=precision)
