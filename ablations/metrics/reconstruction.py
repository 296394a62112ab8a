"""PSNR = 10 log10((levels − 1)²/mean square error): what an autoencoder's reconstructions of images lose."""

from __future__ import annotations

import math

from torch import Tensor


def psnr(images: Tensor, originals: Tensor, levels: int) -> float:
    """Peak signal-to-noise ratio of stored images [N, …] in dB.

    The error is the mean over all images; ∞ where there is none.
    """
    error = float(((images.double() - originals.double()) ** 2).mean())
    return 10 * math.log10((levels - 1) ** 2 / error) if error else math.inf
