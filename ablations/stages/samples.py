"""samples: weights, fit, guide ─▶ generated sets and their scores.
guidance: the same ─▶ the scale whose samples are nearest to validation images (`guidance.scale=auto`).

Both read a training, the sampler, its fit where the sampler reads σ² or the spacing of its steps is fitted, and what
guides them. Cells that differ only in how the bound is taken share them.

    by=class    the same diffusion without its labels   nothing else is read
    by=rung     its own average at an earlier step      a segment of its training leaves that
    by=cell     another diffusion                       a training of its own, shared by the cells that ask for it

Both networks have one seed, and a guide that is told labels is told those of the samples.

When a scale is chosen, every candidate gets a set from the same noise, which no set that is judged later has. The
distance is FID, or the energy distance for points.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Journal, Result
from ablations.engine.stage import Bench, Progress
from ablations.metrics.metric import SCALE
from ablations.metrics.registry import DEFAULT, metric_of
from ablations.metrics.scoring import reference_of, set_size
from ablations.settings.budget import autoencoder_flops, forward_flops, sample_passes
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT, HeldOut
from ablations.settings.guiding import at_scale, guide_passes, guiding_cell
from ablations.settings.registry import content_hash
from ablations.stages.artifacts import SAMPLES, SHOWN, Pieces, write_artifact
from ablations.stages.contents import samples_content
from ablations.stages.restore import Model, averaged_weights, diverged_before, labels_of, load, restore, with_labels
from ablations.stages.shares import InPieces
from ablations.stages.stage import Parts, Passes, Stage, result_of, scores_of
from analysis.schema import MOST_SETS, RUNG_SECONDS
from diffusion_core.conditioning import sample_labels
from diffusion_core.diffusion import Diffusion
from diffusion_core.latents import LatentCode
from diffusion_core.likelihood import Vae
from diffusion_core.precision import resolve_precision
from diffusion_core.samplers import guided


class Guided(NamedTuple):
    """A diffusion, and the network that guides its samples."""

    model: Diffusion
    guide: Diffusion


@dataclass(frozen=True, kw_only=True)
class SamplesStage(InPieces):
    """Samples of a trained network, judged: `sets` sets of the size that is asked for. A cell and seed have the same
    sets however many are drawn. They are drawn in turn from the training's end and from earlier `checkpoints`, which
    are segments of it. At a rung one set is judged by the metrics that decide."""

    held_out: HeldOut
    sets: int
    checkpoints: tuple[str, ...] = ()
    kind = "samples"
    work = "samples"

    def passes(self) -> tuple[Passes, float]:
        own = 0 if self.shares else self.sets * set_size(self.cell, self.held_out)
        return "sampling", float(own * passes_of_sample(self.cell))

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """Draw, judge and keep the sets."""
        if reason := diverged_before(bench.journal, self.parts):
            return result_of({}, reason)
        cell, n = self.cell, set_size(self.cell, self.held_out)
        loaded = self.loaded(bench, data, device)
        (pieces, seconds), began = self.pieces(bench), time.monotonic()
        samples = self.compute(loaded, bench, data, pieces)
        if samples is None:
            return result_of({}, f"the {self.doing} are not finite")
        seconds += time.monotonic() - began
        reference = reference_of(cell, self.held_out, data, samples.device)
        if self.rung:
            write_artifact(bench.folder, SAMPLES, {"samples": samples[:SHOWN]})
            metrics = [metric for metric in DEFAULT if metric.info.decides is not None and metric.info.extracts]
            values = reference.values(metrics, [samples])
            return scores_of(values, {RUNG_SECONDS: time.monotonic() - began})
        labels = labels_of_samples(cell, data, n * self.sets)
        write_artifact(bench.folder, SAMPLES, {"samples": samples} | ({} if labels is None else {"labels": labels}))
        values = reference.values(reference.default, torch.split(samples, n))
        costs = {"cost/sample_seconds": seconds, "cost/sample_flops": flops_of_sample(cell, loaded[0])}
        return scores_of(values, costs)

    def loaded(self, bench: Bench, data: Data, device: torch.device) -> list[Model | Guided]:
        """The network at the training's end, and at earlier checkpoints."""
        cell = with_chosen_scale(self.cell, bench.journal, self.parts)
        sources = [replace(self.parts, training=training) for training in (self.parts.training, *self.checkpoints)]
        return [load_guided(cell, data, bench.journal, parts, device) for parts in sources]

    def compute(self, loaded: list[Model | Guided], bench: Bench, data: Data, pieces: Pieces) -> Tensor | None:
        """The sets one after the other; None where they are not finite, or others do some of their pieces."""
        cell = with_chosen_scale(self.cell, bench.journal, self.parts)
        n, drawn = set_size(cell, self.held_out), list[Tensor | None]()
        total, together = n * self.sets, n if len(loaded) > 1 else cell.network.at_once
        for place, first in enumerate(range(0, total, together)):
            count, of = min(together, total - first), loaded[place % len(loaded)]

            def progress(share: float, first: int = first, count: int = count) -> None:
                bench.progress((first + share * count) / total)

            drawn.append(pieces(place, partial(draw_samples, cell, of, count, progress, first)))
            if drawn[-1] is None and pieces.count == 1:
                break
        whole = [each.to(bench.device) for each in drawn if each is not None]
        return torch.cat(whole) if len(whole) == len(drawn) else None


@dataclass(frozen=True, kw_only=True)
class GuidanceStage(Stage):
    """A trained network whose samples are guided by each candidate scale in turn, and judged on validation."""

    kind = "guidance"
    work = "tuning its guidance"

    def passes(self) -> tuple[Passes, float]:
        each = sum(passes_of_sample(at_scale(self.cell, scale)) for scale in self.cell.guidance.scales)
        return "sampling", float(set_size(self.cell, "validation") * each)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """The best scale, of equal ones the first."""
        cell, scales = self.cell, self.cell.guidance.scales
        model = load_guided(cell, data, bench.journal, self.parts, device)
        n = set_size(cell, "validation")
        first = noise_after(cell) * max(set_size(cell, split) for split in HELD_OUT)
        reference = reference_of(cell, "validation", data, device)
        name = "energy_distance" if cell.data.extractor is None else "fid"
        scores, began = dict[float, float](), time.monotonic()
        for place, scale in enumerate(scales):
            bench.progress(place / len(scales))
            samples = draw_samples(at_scale(cell, scale), model, n, lambda share: None, first)
            if samples is not None:
                ((scores[scale],),) = reference.values([metric_of(name)], [samples]).values()
        usable = {scale: score for scale, score in scores.items() if math.isfinite(score)}
        if not usable:
            return result_of({}, "the samples are not finite, whatever scale guides them")
        costs = {"cost/guidance_seconds": time.monotonic() - began}
        curve = list(usable), list(usable.values())
        return result_of({SCALE: min(usable, key=usable.__getitem__)} | costs, curves={f"guidance/{name}": curve})


def noise_after(cell: Cell) -> int:
    """The number of the first set of a seed that is never judged."""
    return max(MOST_SETS, cell.evaluation.drawn_sets)


def passes_of_sample(cell: Cell) -> int:
    """The passes that one sample takes, its guide's included."""
    return sample_passes(cell) + guide_passes(cell)


def with_chosen_scale(cell: Cell, journal: Journal, parts: Parts) -> Cell:
    """A cell with the guidance scale that validation has chosen, if one was to be chosen."""
    if parts.tuned is None:
        return cell
    result = journal.result(parts.tuned)
    assert result is not None, "a scale is chosen before samples are drawn"
    return at_scale(cell, result.metrics[SCALE])


def load_guided(cell: Cell, data: Data, journal: Journal, parts: Parts, device: torch.device) -> Model | Guided:
    """The model of a cell, with its guide where that is another network; Damaged as `load`."""
    model = load(cell, data, journal, parts, device)
    if parts.guide is None or isinstance(model, Vae):
        return model
    # By a rung it is the cell's own network at an earlier step.
    guide = guiding_cell(cell) if cell.guidance.by == "cell" else cell
    weights = averaged_weights(guide, journal.folder(parts.guide))
    return Guided(model, restore(guide, model.encoding, data, weights).to(device).diffusion)


def draw_samples(
    cell: Cell, model: Model | Guided, n: int, progress: Progress, first: int = 0, label: int | None = None
) -> Tensor | None:
    """Samples `first`..`first + n` as stored values, by the cell's sampler, seed and precision; None where they are
    not finite. Where the network is told labels, the samples are of all classes by their shares, or of the class
    `label`."""
    model = sampling_model(cell, model, labels_of_samples(cell, cell.data.load(), first + n, label))
    if isinstance(model, Vae):
        x = model.sample(n, seed=cell.seed, first=first)
    else:
        precision = resolve_precision(cell.training.precision, model.device)
        with model.network_in(precision, cell.training.compile):
            asked: dict[str, Any] = {"batch": cell.network.at_once, "progress": progress}
            x = cell.sampler.sample(model, n, seed=cell.seed, first=first, **asked)
    return model.encoding.decode(x) if bool(x.isfinite().all()) else None


def sampling_model(cell: Cell, model: Model | Guided, labels: Tensor | None) -> Model:
    """The model that draws samples with these labels, guided as the cell asks for."""
    own, other = model if isinstance(model, Guided) else (model, None)
    plan, labelled = cell.guidance, with_labels(own, labels)
    if not plan.guides or isinstance(labelled, Vae):
        return labelled
    assert plan.scale != "auto", "a scale is chosen before samples are drawn"
    guide = labelled.with_labels(None) if other is None else with_labels(other, labels)
    high = math.inf if plan.high is None else plan.high
    return guided(labelled, guide, scale=plan.scale, low=plan.low, high=high)


def labels_of_samples(cell: Cell, data: Data, count: int, label: int | None = None) -> Tensor | None:
    """The labels int64 [count] of the first samples of a cell's seed, in the shares of the training data, or `label`
    for all of them; None where the network is told none."""
    taught = labels_of(cell, data, "train")
    if taught is None:
        return None
    shares = torch.bincount(taught[taught >= 0]).double()
    return sample_labels(shares, count, cell.seed) if label is None else torch.full((count,), label)


def flops_of_sample(cell: Cell, model: Model | Guided) -> float:
    """Operations of drawing one sample, its decoder's and its guide's included."""
    own, guide = model if isinstance(model, Guided) else (model, model)
    code, flops = own.encoding, 0
    if isinstance(code, LatentCode):
        flops += autoencoder_flops(code.autoencoder, code.image_shape, code.code_shape)[1]
    if isinstance(own, Diffusion):
        flops += sample_passes(cell) * forward_flops(own)
    return flops + (guide_passes(cell) * forward_flops(guide) if isinstance(guide, Diffusion) else 0)


def guidance_of(cell: Cell, parts: Parts, extractor: str | None, needs: tuple[str, ...]) -> GuidanceStage:
    """The stage that chooses a cell's scale; `parts` are those that its samples read."""
    content = samples_content(cell, parts, "validation", extractor, 1)
    content |= {"stage": "guidance", "first": noise_after(cell)}
    return GuidanceStage(content_hash(content), cell, needs, parts=parts)
