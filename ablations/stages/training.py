"""training: stored images, or their codes ─▶ weights (learner and average), curves, and the training's cost.

It reads its autoencoder and all of a cell except how it is scored. Cells that differ in σ² share it wherever training
does not read σ²; a fitted σ² is trained as β̃. Labels are read where the network is told them.

A training is a chain of segments, cut where it is scored on its way, at rungs: initial weights ─▶ segment ─▶ segment ─▶
end. Each begins where the one before it ended, so that the whole is the same bit by bit however it is cut.

Of `training.rate=wsd`, whose first (1 − c) N steps do not depend on N (`diffusion_core/training.py`), a rung at r steps
is the training of r steps: it leaves a trunk that trainings of all lengths share, where the last report before its
cooldown is.

    ─▶ trunk ─┬─▶ trunk ─┬─▶ trunk
              └▶ end     └▶ end of a longer training
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import STATE, Result
from ablations.engine.stage import Bench
from ablations.settings.budget import fork_of, forward_flops, train_flops, training_passes
from ablations.settings.cell import Cell
from ablations.settings.registry import content_hash, describe, labels_read, read_by_id
from ablations.stages.artifacts import WEIGHTS, write_artifact
from ablations.stages.devices import placed
from ablations.stages.restore import build, labels_of, load_encoding, restore
from ablations.stages.stage import Passes, Stage, result_of
from ablations.stages.training_loop import Segment, Trained, finite, learn, write_checkpoint
from diffusion_core.choices import Choices
from diffusion_core.conditioning import Labelled
from diffusion_core.encodings import Encoding
from diffusion_core.learner import DiffusionLearner
from diffusion_core.precision import Precision, resolve_precision


@dataclass(frozen=True, kw_only=True)
class TrainingStage(Stage):
    """A segment of the training of a network, `until` a step, after the `begins` steps of the segment `before` it. All
    segments of a training are of one `line`; the last one has the id of the whole, and its weights. One that another
    one continues leaves its state; where that is gone, the next one begins at the first step."""

    until: int
    line: str
    autoencoder: str | None = None
    before: str | None = None
    begins: int = 0
    kind = "training"
    trains = True
    work = "training"

    @property
    def on_the_way(self) -> bool:
        """True where another one may continue it."""
        return self.until < self.cell.training.steps

    @property
    def follows(self) -> int:
        """The last step up to which it is like any other of its line."""
        plan = self.cell.training
        return self.until if self.on_the_way or plan.rate != "wsd" else fork_of(plan, plan.steps)

    def shape_key(self, device: str) -> str:
        """The mark of trainings that are faster side by side: of one shape, and of batches of one size."""
        cell, plan, shape = self.cell, self.cell.training, self.cell.data.load().shape
        # Several threads cut the sums of a product by its size: they would round otherwise beside others.
        if device != "cpu" or cell.threads > 1 or not cell.network.gains_beside(shape, plan.micro_batch or plan.batch):
            return ""
        asked = cell.told_labels, cell.conditioning.self_conditioning
        network = cell.network, shape, self.autoencoder, cell.variance.learned, *asked
        return repr((*network, plan.batch, plan.micro_batch, plan.precision, plan.optimizer))

    def passes(self) -> tuple[Passes, float]:
        return "training", float(training_passes(self.cell) * (self.until - self.begins) * self.cell.training.batch)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        cell, journal = self.cell, bench.journal
        encoding = load_encoding(cell, data, journal, self.autoencoder, device)
        stored, labels = stored_of(encoding, data, device), labels_of(cell, data, "train")
        taught = stored if labels is None else Labelled(stored, labels)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        segment = Segment(self.until, self.begins, None if self.before is None else journal.folder(self.before))
        learned = learn(build(cell, encoding, data, device), taught, cell.training, cell.seed, bench, segment)
        write_artifact(bench.folder, WEIGHTS, learned.weights, step=str(learned.last["step"]))
        if self.on_the_way:
            write_checkpoint(bench.folder, learned.history, learned.state, STATE)
        averaged = restore(cell, encoding, data, learned.average).to(device)
        t = [float(t) for t in range(1, cell.horizon + 1)]
        shape = {name: finite(t, values.tolist()) for name, values in averaged.curves().items()}
        metadata = {"precision": resolve_precision(cell.training.precision, device)}
        if self.before is not None and cell.training.rate != "wsd":
            # A trunk's is left for trainings of other lengths.
            journal.discard(self.before, STATE)
        metrics, curves = training_metrics(cell, averaged, learned), shape | learned.curves()
        result = result_of(metrics, learned.reason, "\n".join(remarks_on(cell, learned)), curves, metadata)
        # Where it has diverged, the last segment ends so.
        return replace(result, status="finished") if self.on_the_way else result


@dataclass(frozen=True, kw_only=True)
class ImportStage(TrainingStage):
    """A network that others trained, in the place of a training: it is read where its files lie, and nothing is copied.
    Cells and seeds share it."""

    trains = False
    work = "reading a published network"

    def shape_key(self, device: str) -> str:
        return ""

    def passes(self) -> tuple[Passes, float]:
        return "scoring", 0.0

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        encoding = load_encoding(self.cell, data, bench.journal, self.autoencoder, device)
        learner = build(self.cell, encoding, data, device)
        network = learner.diffusion.network
        metrics = {
            "cost/flops_per_image": float(forward_flops(learner.diffusion)),
            "cost/parameters": float(sum(p.numel() for p in network.parameters())),
            "noise/beta_max": float(learner.curves()["beta"].max()),
        }
        return result_of(metrics, metadata={"precision": resolve_precision(self.cell.training.precision, device)})


@dataclass(frozen=True, kw_only=True)
class GuideStage(TrainingStage):
    """The training of a cell that guides another one."""

    kind = "guide"
    work = "training its guide"


def segment_of(
    cell: Cell, digest: str, precision: Precision, autoencoder: str | None = None, until: int | None = None
) -> TrainingStage:
    """The segment of a cell's training `until` a step, or the whole in one piece; `digest` is the data's. Its line is
    its own, or a trunk: where the rate is `wsd`, and no snapshots are taken at shares of all its steps."""
    plan, content = cell.training, training_content(cell, digest, precision)
    needs = () if autoencoder is None else (autoencoder,)
    if cell.imported:
        read = ("stage", "network", "schedule", "horizon", "digest", "precision", *["space"] * cell.space.encoded)
        own = content_hash({key: content[key] for key in read} | {"learned": cell.variance.learned})
        return ImportStage(own, cell, needs, until=plan.steps, line=own, autoencoder=autoencoder)
    trunk = content
    if plan.rate == "wsd":
        shared = {name: value for name, value in content["training"].items() if name not in ("steps", "cooldown")}
        trunk = content | {"stage": "trunk", "training": shared}
    own = content_hash(content if until is None else trunk | {"until": until})
    line = content_hash(content if plan.snapshots else trunk)
    rung, end = until or 0, plan.steps if until is None else until
    return TrainingStage(own, cell, needs, until=end, line=line, autoencoder=autoencoder, rung=rung)


def segments_of(
    cell: Cell, digest: str, precision: Precision, autoencoder: str | None, steps: Iterable[int]
) -> list[TrainingStage]:
    """The segments of a cell's training that is scored at these steps, the whole last; of `rate=wsd` also the trainings
    that end there, which leave its trunk before."""
    here, segments = (digest, precision, autoencoder), list[TrainingStage]()
    for step in sorted(steps):
        if cell.training.rate == "wsd":
            # No snapshots are kept for a rung.
            end = segment_of(replace(cell, training=replace(cell.training, steps=step, snapshots=0)), *here)
            segments += [segment_of(end.cell, *here, until=end.follows), replace(end, rung=step)]
        else:
            segments.append(segment_of(cell, *here, until=step))
    segments.append(segment_of(cell, *here))
    return linked({segment.id: segment for segment in segments}.values())


def linked(segments: Iterable[TrainingStage]) -> list[TrainingStage]:
    """The same segments, each after the longest one of its line that it continues."""
    segments = list(segments)

    def after(segment: TrainingStage) -> TrainingStage:
        line = (other for other in segments if other.line == segment.line and other.on_the_way)
        earlier = [other for other in line if other.until <= segment.follows and other.until < segment.until]
        last = max(earlier, key=lambda other: other.until, default=None)
        before, begins = (None, 0) if last is None else (last.id, last.until)
        needs = tuple(need for need in (segment.autoencoder, before) if need is not None)
        return replace(segment, needs=needs, before=before, begins=begins)

    return [after(segment) for segment in segments]


def stored_of(encoding: Encoding, data: Data, device: torch.device) -> Tensor:
    """The training images, or their codes, on the device if it has room for them."""
    return placed(encoding.store(placed(data.images["train"], device)), device)


def training_metrics(cell: Cell, averaged: DiffusionLearner, learned: Trained) -> dict[str, float]:
    """The metrics of a training; `averaged` has its averaged weights."""
    last, device = learned.last, averaged.diffusion.device
    images, flops = last["step"] * cell.training.batch, float(forward_flops(averaged.diffusion))
    peak = {"cost/peak_memory_bytes": float(torch.cuda.max_memory_allocated(device))} if device.type == "cuda" else {}
    return {
        **learned.finals(),
        "cost/train_seconds": last["seconds"],
        "cost/images_per_second": images / max(last["seconds"], 1e-9),
        "cost/flops_per_image": flops,
        "cost/train_flops": train_flops(cell, flops, images),
        "cost/parameters": float(sum(p.numel() for p in averaged.diffusion.network.parameters())),
        "noise/beta_max": float(averaged.curves()["beta"].max()),
        **peak,
    }


def remarks_on(cell: Cell, learned: Trained) -> Iterator[str]:
    """Remarks on a training without which its numbers would be misread, each a line."""
    if not cell.coupling.independent:
        yield "sample without noise (sampler=ddim): trained on noise paired with x_0; its bound is of independent noise"
    if (warm := learned.last.get("timesteps/warm", 1.0)) < 1:
        yield f"importance sampler still warming up: {math.floor(100 * warm)} % of t have all losses of their history"


def training_content(cell: Cell, digest: str, precision: Precision) -> dict[str, Any]:
    """Everything that a training reads, the content of its autoencoder included."""
    unread = ("sampler", "spacing", "average", "guidance", "evaluation", "variance", "budget")
    read = {axis: value for axis, value in read_by_id(cell).items() if axis not in unread}
    learns_from_bound = cell.schedule.learned and not Choices.of(cell).in_continuous_time
    if cell.objective.reads_variance or cell.variance.learned or learns_from_bound:
        read["variance"] = describe(cell.variance.trained_as)
    content = {"stage": "training", **read, **labels_read(cell), "digest": digest}
    return content | {"precision": precision, "seed": cell.seed}
