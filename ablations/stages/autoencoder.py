"""autoencoder: stored images ─▶ weights, the scale of its codes, and whether its codes can be diffused.
reconstruction: autoencoder ─▶ reconstructed test images and their scores, which show what the code loses.

Cells with one space share them.

A code z is scaled per channel to unit variance over all training images. It cannot be diffused where it is not finite,
says nothing of the image (`INACTIVE`), or does not have unit variance in draws other than those that the scale was
estimated from (`OFF_SCALE`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.metrics.fid import Fid
from ablations.metrics.scoring import reference_of
from ablations.settings.budget import autoencoder_flops, autoencoder_train_flops
from ablations.settings.cell import Cell
from ablations.settings.registry import content_hash, describe
from ablations.stages.artifacts import RECONSTRUCTIONS, SHOWN, WEIGHTS, write_artifact
from ablations.stages.devices import placed
from ablations.stages.restore import autoencoder_of, load_encoding, restore_autoencoder
from ablations.stages.stage import Passes, Stage, result_of
from ablations.stages.training_loop import learn
from diffusion_core.autoencoder import HASTE, Autoencoder, KlAutoencoder, VqAutoencoder
from diffusion_core.latents import LatentCode, Standard, chunked, standard
from diffusion_core.precision import Precision, resolve_precision
from diffusion_core.spaces import Latents
from diffusion_core.terms import bits_per_nat

INACTIVE = 0.01
"""The least share of a channel's variance that must lie between the means of different images."""
OFF_SCALE = 0.05
"""The distance from 1 that the variance of scaled codes may have, in draws that the scale was not estimated from."""
FITTED = 512
"""The training images that fit a published autoencoder's s."""
DRAWN = 200_000
"""The numbers per channel from which that variance is taken, enough for an error far below `OFF_SCALE`."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderStage(Stage):
    """The training of an autoencoder."""

    kind = "autoencoder"
    trains = True
    work = "training its autoencoder"

    def passes(self) -> tuple[Passes, float]:
        assert isinstance(self.cell.space, Latents), "the data themselves need no autoencoder"
        return "autoencoder", float(3 * self.cell.space.steps * self.cell.space.batch)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """Train, and leave the weights and the scale of the codes in weights.safetensors."""
        cell, space = self.cell, self.cell.space
        assert isinstance(space, Latents), "the data themselves need no autoencoder"
        images = placed(data.images["train"], device)
        plan = space.plan(cell.training.precision)
        learned = learn(autoencoder_of(cell, data).to(device), images, plan, cell.seed, bench)
        autoencoder = restore_autoencoder(cell, data, learned.average).to(device)
        scale = standard(autoencoder, images)
        tensors = {"standard/mean": scale.mean, "standard/scale": scale.scale}
        write_artifact(bench.folder, WEIGHTS, learned.weights | tensors, step=str(learned.last["step"]))
        code = LatentCode(autoencoder, scale.mean, scale.scale, data.shape, space.shape_of(data.shape))
        encode, decode = autoencoder_flops(autoencoder, data.shape, code.code_shape)
        seen = learned.last["step"] * plan.batch
        reason = learned.reason or collapse(autoencoder, scale, code, images)
        metrics = {
            **learned.finals(),
            "cost/autoencoder_seconds": learned.last["seconds"],
            "cost/autoencoder_flops": autoencoder_train_flops(encode, decode, seen, len(images)),
            "cost/autoencoder_parameters": float(sum(p.numel() for p in autoencoder.parameters())),
            **({} if reason else held_out_scores(code, data.images["validation"].to(device))),
        }
        metadata = {"precision": resolve_precision(plan.precision, device)}
        return result_of(metrics, reason and f"autoencoder: {reason}", "", learned.curves(), metadata)


@dataclass(frozen=True, kw_only=True)
class AutoencoderImport(AutoencoderStage):
    """An autoencoder that others trained, in the place of a training: it is read where its files lie. They do not tell
    s, which becomes the root mean square of x − x̂ over the first `FITTED` training images."""

    trains = False
    work = "reading a published autoencoder"

    def passes(self) -> tuple[Passes, float]:
        return "scoring", 0.0

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        space, images = self.cell.space, data.images["train"][:FITTED].to(device)
        assert isinstance(space, Latents), "the data themselves need no autoencoder"
        autoencoder = autoencoder_of(self.cell, data).to(device).eval().requires_grad_(False)
        mean, scale = (torch.full((space.channels,), value, dtype=torch.float64) for value in space.scaling)
        code = LatentCode(autoencoder, mean.to(device), scale.to(device), data.shape, space.shape_of(data.shape))
        z = code.unscaled(code.draw(code.store(images), 0, 0, "autoencoder/s"))
        apart = chunked(data.shape, device, autoencoder.decode, z) - autoencoder.levels.centre(images)
        autoencoder.decoder_scale.fill_((apart.double() ** 2).mean().log() / HASTE)
        tensors = {"average/decoder_scale": autoencoder.decoder_scale, "standard/mean": mean, "standard/scale": scale}
        write_artifact(bench.folder, WEIGHTS, tensors)
        parameters = float(sum(p.numel() for p in autoencoder.parameters()))
        scores = held_out_scores(code, data.images["validation"].to(device))
        return result_of({"cost/autoencoder_parameters": parameters, **autoencoder.diagnostics(), **scores})


@dataclass(frozen=True, kw_only=True)
class ReconstructionStage(Stage):
    """The reconstructions of test images by an autoencoder, judged."""

    kind = "reconstruction"
    work = "reconstructions"

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        encoding = load_encoding(self.cell, data, bench.journal, self.needs[0], device)
        assert isinstance(encoding, LatentCode), "the data themselves are not reconstructed"
        images = data.images["test"].to(device)
        made = encoding.reconstruct(images)
        write_artifact(bench.folder, RECONSTRUCTIONS, {"originals": images[:SHOWN], "reconstructions": made[:SHOWN]})
        metrics = {"psnr/test": psnr(made, images, encoding.autoencoder.levels.levels)}
        if "test" in self.cell.evaluation.quality:
            # Of training images, whatever samples are held against.
            cell = replace(self.cell, evaluation=replace(self.cell.evaluation, reference=None))
            values = reference_of(cell, "test", data, device).values([Fid()], [made])
            metrics |= {f"r{name}": value for name, (value,) in values.items()}
        return result_of(metrics)


@torch.no_grad()
def collapse(autoencoder: Autoencoder, scale: Standard, code: LatentCode, images: Tensor) -> str:
    """The reason why codes cannot be diffused, by rules declared beforehand; "" if they can."""
    if not bool(scale.scale.isfinite().all()):
        return "its codes are not finite"
    if not bool((scale.scale > 0).all()):
        return "collapsed: a channel of its codes is the same for every image and place"
    if float(scale.active.max()) < INACTIVE:
        share = 100 * float(scale.active.max())
        return f"collapsed: what its codes say of the image is {share:.2g} % of their variance at most"
    stored = code.store(images)
    if isinstance(autoencoder, VqAutoencoder) and autoencoder.used(stored) < 2:
        return "collapsed: every place of every image has the same code"
    draws = math.ceil(DRAWN * len(scale.scale) / math.prod((len(images), *code.code_shape)))
    squares = [(code.draw(stored, 1, i, "latents/check").double() ** 2).mean((0, 2, 3)) for i in range(draws)]
    variance = torch.stack(squares).mean(0)
    worst = float(variance[(variance - 1).abs().argmax()])
    if not abs(worst - 1) <= OFF_SCALE:
        return f"a channel of its scaled codes has the variance {worst:.3g} instead of 1"
    return ""


@torch.no_grad()
def held_out_scores(code: LatentCode, images: Tensor) -> dict[str, float]:
    """PSNR on validation images, and the evidence bound that KL regularisation is trained by (z ~ N(0, I)), or the
    number of codes in use."""
    autoencoder = code.autoencoder
    scores = {"psnr/val": psnr(code.reconstruct(images), images, autoencoder.levels.levels)}
    stored = code.store(images)
    if isinstance(autoencoder, VqAutoencoder):
        return scores | {"codes_used/val": float(autoencoder.used(stored))}
    assert isinstance(autoencoder, KlAutoencoder)
    coded = code.code(images, 0, "bound/dequantise")
    per_nat = bits_per_nat(math.prod(images.shape[1:]))
    kl = (autoencoder.kl(stored) * per_nat).mean()
    reconstruction = (coded.nats["reconstruction"] * per_nat).mean()
    return scores | {
        "elbo/val": float(reconstruction + kl),
        "elbo/val_reconstruction": float(reconstruction),
        "elbo/val_kl": float(kl),
    }


def autoencoder_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """All that the training of an autoencoder reads."""
    content = {"stage": "autoencoder", "space": describe(cell.space), "threads": cell.threads, "digest": digest}
    return content if cell.space.pretrained else content | {"precision": precision, "seed": cell.seed}


def reconstruction_of(cell: Cell, autoencoder: str, extractor: str | None) -> ReconstructionStage:
    """The stage that judges an autoencoder's reconstructions, with this extractor where samples are judged."""
    judge = extractor if "test" in cell.evaluation.quality else None
    content = {"stage": "reconstruction", "autoencoder": autoencoder, "extractor": judge}
    return ReconstructionStage(content_hash(content), cell, (autoencoder,))


def psnr(images: Tensor, originals: Tensor, levels: int) -> float:
    """Peak signal-to-noise ratio of stored images [N, …] in dB, from the mean error over all images; ∞ without
    error."""
    error = float(((images.double() - originals.double()) ** 2).mean())
    return 10 * math.log10((levels - 1) ** 2 / error) if error else math.inf
