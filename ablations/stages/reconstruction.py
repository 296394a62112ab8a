"""reconstruction: autoencoder ─▶ reconstructed test images and their scores, which show what the code loses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.metrics.fid import Fid
from ablations.metrics.judging import yardstick_of
from ablations.settings.cell import Cell
from ablations.settings.identity import content_hash
from ablations.stages.artifacts import RECONSTRUCTIONS, SHOWN, write_artifact
from ablations.stages.restore import load_encoding
from ablations.stages.stage import Stage, finished_with
from diffusion_core.latents import LatentCode


@dataclass(frozen=True)
class ReconstructionStage(Stage):
    """The reconstructions of test images by an autoencoder, judged."""

    id: str
    cell: Cell
    autoencoder: str
    needs: tuple[str, ...]
    kind = "reconstruction"
    judged = 1.0
    doing = "reconstructions"

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        encoding = load_encoding(self.cell, data, bench.journal, self.autoencoder, device)
        assert isinstance(encoding, LatentCode), "the data themselves are not reconstructed"
        images = data.images["test"].to(device)
        made = encoding.reconstruct(images)
        write_artifact(bench.folder, RECONSTRUCTIONS, {"originals": images[:SHOWN], "reconstructions": made[:SHOWN]})
        metrics = {"psnr/test": psnr(made, images, encoding.autoencoder.levels.levels)}
        if "test" in self.cell.evaluation.quality:
            # Of training images, whatever samples are held against.
            cell = replace(self.cell, evaluation=replace(self.cell.evaluation, reference=None))
            scores = yardstick_of(cell, "test", data, device).scores([Fid()], [made])
            metrics |= {f"r{name}": value for name, value in scores.items()}
        return finished_with(metrics)


def reconstruction_of(cell: Cell, autoencoder: str, extractor: str | None) -> ReconstructionStage:
    """The stage that judges an autoencoder's reconstructions, with this extractor where samples are judged."""
    judge = extractor if "test" in cell.evaluation.quality else None
    content = {"stage": "reconstruction", "autoencoder": autoencoder, "extractor": judge}
    return ReconstructionStage(content_hash(content), cell, autoencoder, (autoencoder,))


def psnr(images: Tensor, originals: Tensor, levels: int) -> float:
    """Peak signal-to-noise ratio of stored images [N, …] in dB, from the mean error over all images; ∞ without
    error."""
    error = float(((images.double() - originals.double()) ** 2).mean())
    return 10 * math.log10((levels - 1) ** 2 / error) if error else math.inf
