"""Inception v3 as FID was defined with it (Heusel et al. 2017), in torch-fidelity's port, with weights from a path
or, where that is asked for, from their official address.

torch-fidelity's constructor unpickles a file. Here it makes the network without weights, and they are filled in from
what was read without running code.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn

from ablations.data.download import PublishedFile
from ablations.metrics.extractors.architectures import Architecture

FEATURES, LOGITS = "2048", "logits_unbiased"


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
    network: nn.Module = Unfilled("inception-v3-compat", [FEATURES, LOGITS], feature_extractor_weights_path=nothing)
    return network
