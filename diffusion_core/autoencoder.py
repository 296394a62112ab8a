"""Autoencoders: the code of an image, and the loss that trains it (Rombach et al. 2022, §3.1).

    kl   q(z | x) = N(μ(x), diag σ²(x)),   loss = E_q[−log P(x | z)] + w KL(q(z | x) ‖ N(0, I))
    vq   z_q = the nearest of K codes to z(x) at each place,
         loss = −log P(x | z_q) + ‖sg z − z_q‖²/d + c ‖z − sg z_q‖²/d     (van den Oord et al. 2017, eq. 3)

with d the dimensions of z. In both, P(x | z) integrates N(x̂(z), s²) over each grey level's bin (`terms.py`), with
one learned s for all pixels (Rybkin et al. 2021), and bits are per dimension of the image. With w = 1 the loss of kl is
the negative evidence bound. As in Rombach et al., the z of a vector-quantised code is diffused, and the decoder
quantises it.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from diffusion_core.encodings import GreyLevels
from diffusion_core.forward import Gaussian
from diffusion_core.networks.unet import Encoder
from diffusion_core.randomness import Values, draw, initialise, normal, send
from diffusion_core.terms import bits_per_nat, kl_normal, mean_dims, normal_nats, sum_dims
from diffusion_core.trainable import Learner

HASTE = 10.0
"""The ratio of log s² to its trained parameter: s must fall from 1 to a grey level's width, farther than weights
move."""

PLACES = 1 << 15
"""The most places of codes whose distances to the whole codebook are in memory at once."""

LOG_VARIANCES = (-30.0, 20.0)
"""Bounds within which log σ² of the encoder is held."""


class Autoencoder(Learner):
    """An encoder, a decoder and log s². The encoder turns an image into `moments`, from which its code z is drawn."""

    def __init__(self, levels: GreyLevels, encoder: nn.Module, decoder: nn.Module, channels: int) -> None:
        """An autoencoder of images of these grey levels, whose code z has `channels` channels."""
        super().__init__()
        self.levels = levels
        self.channels = channels
        self.encoder = encoder
        self.decoder = decoder
        self.decoder_scale = nn.Parameter(torch.zeros(()))

    @property
    def log_variance(self) -> Tensor:
        """log s² of the decoder's Gaussian."""
        return HASTE * self.decoder_scale

    @property
    def device(self) -> torch.device:
        return self.decoder_scale.device

    def initialise(self, seed: int) -> None:
        """Draw the weights (`randomness.initialise`)."""
        initialise(self, seed)

    def moments(self, raw: Tensor) -> Tensor:
        """The parameters [B, …, h, w] of the distribution of z, from stored images [B, C, H, W]."""
        return self.encoder(self.levels.centre(raw, self.decoder_scale.dtype))

    @abstractmethod
    def posterior(self, moments: Tensor) -> Gaussian:
        """q(z | x) [B, c, h, w], whose variance is 0 where z is no random one."""

    def quantise(self, z: Tensor) -> Tensor:
        """The code [B, c, h, w] that is decoded in place of z."""
        return z

    def decode(self, z: Tensor) -> Tensor:
        """x̂ [B, C, H, W] on the scale of x_0."""
        return self.decoder(self.quantise(z))

    def log_density(self, moments: Tensor, z: Tensor) -> Tensor:
        """log q(z | x) in nats [B]; ValueError where it is no density."""
        q = self.posterior(moments)
        return -sum_dims(normal_nats(z, q.mean, q.log_variance))

    def reconstruction_term(self, raw: Tensor, z: Tensor) -> Tensor:
        """−log P(x | z) in nats [B]."""
        return self.levels.level_term(raw, self.decode(z), self.log_variance)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"autoencoder": list(self.parameters())}

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        """The standard deviation s of the decoder's Gaussian."""
        return {"train/decoder_sigma": float(torch.exp(0.5 * self.log_variance))}


class KlAutoencoder(Autoencoder):
    """The autoencoder of kl: its moments are μ and log σ² [B, 2c, h, w], its `weight` is w."""

    def __init__(
        self, levels: GreyLevels, encoder: nn.Module, decoder: nn.Module, channels: int, weight: float
    ) -> None:
        super().__init__(levels, encoder, decoder, channels)
        self.weight = weight

    def posterior(self, moments: Tensor) -> Gaussian:
        mean, log_variance = moments.chunk(2, dim=1)
        return Gaussian(mean, log_variance.clamp(*LOG_VARIANCES))

    def kl(self, moments: Tensor) -> Tensor:
        """KL(q(z | x) ‖ N(0, I)) in nats [B]."""
        q = self.posterior(moments)
        return sum_dims(kl_normal(q.mean**2, q.log_variance, torch.zeros_like(q.mean)))

    def draws(self, shape: tuple[int, ...], seed: int, step: int) -> Values:
        assert isinstance(self.encoder, Encoder), "a published one is not trained"
        halvings = self.encoder.halvings
        sides = (side >> halvings for side in shape[2:])
        return {"z": normal(seed, step, "z", (shape[0], self.channels, *sides), torch.device("cpu"))}

    def example_losses(self, raw: Tensor, draws: Values) -> Values:
        moments = self.moments(raw)
        z = self.posterior(moments).sample(draws["z"])
        nats = self.reconstruction_term(raw, z) + self.weight * self.kl(moments)
        return {"autoencoder": nats * bits_per_nat(math.prod(raw.shape[1:]))}


class VqAutoencoder(Autoencoder):
    """The autoencoder of vq: its moments are z itself [B, c, h, w], its `commitment` is c.

    The K codes of the codebook start as z at places of the first batch.
    """

    def __init__(
        self, levels: GreyLevels, encoder: nn.Module, decoder: nn.Module, codebook: Tensor, commitment: float
    ) -> None:
        super().__init__(levels, encoder, decoder, codebook.shape[1])
        self.codebook = nn.Parameter(codebook)
        self.commitment = commitment

    def posterior(self, moments: Tensor) -> Gaussian:
        return Gaussian(moments, torch.full_like(moments, -math.inf))

    def indices(self, z: Tensor) -> Tensor:
        """The nearest code at each place, int64 [B, h, w]."""
        places = z.movedim(1, -1)
        # A matrix product would use TF32 in training on a GPU, and find other codes than in scoring.
        mode = "donot_use_mm_for_euclid_dist"
        nearest = [
            torch.cdist(part.to(self.device), self.codebook.to(z.dtype), compute_mode=mode).argmin(-1).to(z.device)
            for part in torch.split(places.flatten(0, -2), PLACES)
        ]
        return torch.cat(nearest).view(places.shape[:-1])

    def used(self, z: Tensor) -> int:
        """The number of codes of the codebook that are the nearest at some place."""
        return len(torch.unique(self.indices(z)))

    def quantise(self, z: Tensor) -> Tensor:
        """z_q [B, c, h, w], the nearest code at each place."""
        return self.codebook[self.indices(z)].movedim(-1, 1).to(z.dtype)

    def log_density(self, moments: Tensor, z: Tensor) -> Tensor:
        raise ValueError("a vector-quantised code has no density q(z | x), so no likelihood follows from one of z")

    def draws(self, shape: tuple[int, ...], seed: int, step: int) -> Values:
        return {}

    def example_losses(self, raw: Tensor, draws: Values) -> Values:
        z = self.moments(raw)
        z_q = self.quantise(z)
        # Straight through: the decoder reads z_q, and its gradient goes to z.
        nats = self.levels.level_term(raw, self.decoder(z + (z_q - z).detach()), self.log_variance)
        distances = mean_dims((z.detach() - z_q) ** 2) + self.commitment * mean_dims((z - z_q.detach()) ** 2)
        return {"autoencoder": nats * bits_per_nat(math.prod(raw.shape[1:])) + distances}

    @torch.no_grad()
    def begin(self, raw: Tensor, seed: int) -> None:
        """Set the codes to z at random places of these images."""
        places = self.moments(raw).movedim(1, -1).flatten(0, -2)
        order = torch.randperm(len(places), generator=draw(seed, 0, "codebook"))
        chosen = torch.arange(len(self.codebook)) % len(places)
        self.codebook.copy_(places[send(order[chosen], raw.device)])
