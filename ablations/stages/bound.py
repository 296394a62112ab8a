"""bound: weights, fit ─▶ the bound per image, its parts and its terms per t; how loose it is; likelihoods in continuous
time.

It reads a training, its fit where σ² or the spacing of the bound's steps is fitted, and the evaluation. Cells that
differ only in the sampler share it. Where the network is told labels, all of these are of x given its label y; beside
them stands the bound of the same network without labels, which can be compared with a cell that has none.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Result, noted
from ablations.engine.stage import Bench, Progress
from ablations.settings.budget import bound_passes
from ablations.settings.cell import Cell
from ablations.settings.evaluation import SHORT, HeldOut
from ablations.settings.identity import described
from ablations.stages.artifacts import PER_IMAGE, write_artifact
from ablations.stages.fit import chain_content, spaced_by_fit
from ablations.stages.restore import Model, Parts, given, labels_of, load, load_learner, remark_on_fit
from ablations.stages.stage import Stage
from diffusion_core.diffusion import Diffusion
from diffusion_core.iwae import importance_weighted
from diffusion_core.likelihood import Bound, Terms, bound, continuous_bound, estimate_variance, own_error
from diffusion_core.ode import flow_likelihood
from diffusion_core.spaces import Latents
from diffusion_core.stratified import Stratification
from diffusion_core.vae import Vae

IMAGE_BYTES = 3 * 8
"""Bytes of the terms that are kept for each image."""


@dataclass(frozen=True)
class BoundStage(Stage):
    """The bound of a trained network on a held-out split, and further likelihoods if they are asked for; values per
    image are kept."""

    id: str
    cell: Cell
    parts: Parts
    split: HeldOut
    needs: tuple[str, ...]
    kind = "bound"

    @property
    def held_out(self) -> HeldOut:
        return self.split

    @property
    def doing(self) -> str:
        return f"bound on {self.split} data"

    def work(self, data: Data) -> float:
        return float(len(data.images[self.split]) * sum(bound_passes(self.cell, self.split)))

    def bytes_left(self, data: Data, parameters: int) -> int:
        return len(data.images[self.split]) * IMAGE_BYTES

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        learner = load_learner(self.cell, data, bench.journal, self.parts, device) if self.cell.horizon else None
        whole = learner.diffusion if learner else load(self.cell, data, bench.journal, self.parts, device)
        cell, plan, name = self.cell, self.cell.evaluation, SHORT[self.split]
        images, model = data.images[self.split].to(whole.device), given(whole, labels_of(cell, data, self.split))
        began = time.monotonic()
        scored = bound_of(cell, model, images)
        write_artifact(bench.folder, PER_IMAGE["nll/test"], scored.parts)
        metrics = means_of(f"nll/{name}", scored) | {"cost/bound_seconds": time.monotonic() - began}
        if plan.estimates and isinstance(model, Diffusion) and learner is not None:
            metrics[f"bound_variance/{name}"] = estimate_variance(
                model,
                learner.timesteps,
                images,
                draws=plan.estimates,
                batch=cell.training.batch,
                seed=plan.seed,
            )
        nll = metrics[f"nll/{name}"]
        reason = "" if math.isfinite(nll) else "the bound is not finite"
        flag = remarkable(nll, data.encoding.uniform_bits) if self.split == "test" and bound_was_meant(cell) else ""
        remarks = filter(None, (flag, remark_on_fit(cell, bench.journal, self.parts)))
        if not reason:
            metrics |= self._further(model, whole, images, bench)
        k = [float(k) for k in range(1, len(scored.per_step) + 1)]
        return Result(
            status="diverged" if reason else "finished",
            reason=reason,
            metrics={key: value for key, value in metrics.items() if math.isfinite(value)},
            curves={f"bound_per_t/{name}": (k, scored.per_step.tolist())} if k else {},
            metadata=noted(metrics, "\n".join(remarks)),
        )

    def _further(self, model: Model, whole: Model, images: Tensor, bench: Bench) -> dict[str, float]:
        """The metrics of all likelihoods beyond the bound that are asked for; `whole` is the model without labels."""
        plan, name = self.cell.evaluation, SHORT[self.split]
        done, *passes = bound_passes(self.cell, self.split)
        total = max(1, done + sum(passes))
        likelihoods = (
            (plan.continuous, _continuous, model),
            (plan.ode, _flow, model),
            (plan.iwae, _weighted, model),
            (passes[-1], _unlabelled, whole),
        )
        metrics: dict[str, float] = {}
        for (asked, measure, of), its in zip(likelihoods, passes, strict=True):
            if asked:
                progress = _part(bench.progress, done / total, its / total)
                metrics |= measure(self.cell, name, of, images, bench.folder, progress)
            done += its
        return metrics


def _part(progress: Progress, before: float, own: float) -> Progress:
    """A report on a part of a stage, as a share of the whole, of which a share is done before."""
    progress(before)
    return lambda share: progress(before + share * own)


def bound_of(cell: Cell, model: Model, images: Tensor) -> Bound:
    """The bound as the cell's evaluation asks for it."""
    plan = cell.evaluation
    if isinstance(model, Vae):
        return model.bound(images, seed=plan.seed)
    with model.network_in("float32", captured=cell.training.captured):
        times = Stratification(plan.exact, plan.strata)
        return bound(model, images, times, seed=plan.seed, steps=plan.horizon)


def _continuous(
    cell: Cell, name: str, model: Model, images: Tensor, folder: Path, progress: Progress
) -> dict[str, float]:
    assert isinstance(model, Diffusion), "only a chain has a bound in continuous time"
    plan, began = cell.evaluation, time.monotonic()
    terms = continuous_bound(model, images, draws=plan.continuous, seed=plan.seed)
    write_artifact(folder, PER_IMAGE["nll_continuous/test"], terms.parts)
    return means_of(f"nll_continuous/{name}", terms) | {"cost/continuous_seconds": time.monotonic() - began}


def _flow(cell: Cell, name: str, model: Model, images: Tensor, folder: Path, progress: Progress) -> dict[str, float]:
    assert isinstance(model, Diffusion), "only a chain has a probability flow"
    plan, began = cell.evaluation, time.monotonic()
    scored = flow_likelihood(model, images, steps=plan.ode_steps, probes=plan.ode, seed=plan.seed, progress=progress)
    write_artifact(folder, PER_IMAGE["nll_ode/test"], {"total": scored.total})
    metrics = {
        f"nll_ode/{name}": float(scored.total.mean()),
        f"nll_ode/{name}_se": scored.standard_error,
        "cost/ode_seconds": time.monotonic() - began,
    }
    # With a single probe there is no error between probes (NaN): it is left out, without a warning.
    return metrics | ({} if math.isnan(scored.probe_error) else {f"nll_ode/{name}_probe_se": scored.probe_error})


def _weighted(
    cell: Cell, name: str, model: Model, images: Tensor, folder: Path, progress: Progress
) -> dict[str, float]:
    """The importance-weighted bound, and how loose the bound is, estimated from the same draws."""
    plan, began = cell.evaluation, time.monotonic()
    inside = (
        model.network_in("float32", captured=cell.training.captured) if isinstance(model, Diffusion) else nullcontext()
    )
    with inside:
        scored = importance_weighted(
            model, images, draws=plan.iwae, seed=plan.seed, steps=plan.horizon, progress=progress
        )
    metrics = {"cost/iwae_seconds": time.monotonic() - began}
    weighted, loose = (scored.total, scored.halves), (scored.looseness, scored.loose_halves)
    for metric, (each, halves) in {"nll_iwae": weighted, "looseness": loose}.items():
        write_artifact(folder, PER_IMAGE[f"{metric}/test"], {"total": each})
        metrics[f"{metric}/{name}"] = float(each.mean())
        metrics[f"{metric}/{name}_se"] = float(each.std() / len(each) ** 0.5)
        metrics[f"{metric}/{name}_draw_se"] = own_error(halves)
    return metrics


def _unlabelled(
    cell: Cell, name: str, model: Model, images: Tensor, folder: Path, progress: Progress
) -> dict[str, float]:
    began = time.monotonic()
    scored = bound_of(cell, model, images)
    write_artifact(folder, PER_IMAGE["nll_unlabelled/test"], scored.parts)
    return means_of(f"nll_unlabelled/{name}", scored) | {"cost/unlabelled_seconds": time.monotonic() - began}


def means_of(metric: str, terms: Terms) -> dict[str, float]:
    """The bound, its parts and its standard errors, by metric name: from images and draws together, and from draws
    alone."""
    means = {"": terms.total, **{f"_{part}": values for part, values in terms.parts.items()}}
    errors = {"_se": terms.standard_error} | ({"_draw_se": terms.draw_error} if isinstance(terms, Bound) else {})
    return {f"{metric}{part}": float(values.mean()) for part, values in means.items()} | {
        f"{metric}{error}": value for error, value in errors.items()
    }


def bound_was_meant(cell: Cell) -> bool:
    """True where a large bound means that training achieved little.

    With fewer steps than the network was trained on, the bound may be large: that is a finding about σ². And an
    autoencoder with a small weight of KL was never asked to make its code cheap.
    """
    all_steps = cell.horizon == 0 or cell.evaluation.horizon in (None, cell.horizon)
    return all_steps and not (isinstance(cell.space, Latents) and cell.space.kl_weight < 1)


def remarkable(nll: float, uniform_bits: float | None) -> str:
    """The remark on a finite bound that is more than twice that of a code that knows nothing of the data; "" for
    others. It is a value like any other: samples of such a network may be good, and more steps may mend it."""
    if uniform_bits is None or not 2 * uniform_bits < nll < math.inf:
        return ""
    return f"the bound, {nll:.2f} bits/dim, is above twice the uniform code's {uniform_bits:.2f}"


def parts_of_bound(cell: Cell, parts: Parts) -> Parts:
    """The parts of a cell that the bound reads: its fit may be for the spacing of another chain."""
    return parts if cell.variance.fitted or spaced_by_fit(cell, cell.evaluation.horizon) else replace(parts, fit=None)


def bound_content(cell: Cell, parts: Parts, split: HeldOut) -> dict[str, Any]:
    """Everything that a bound reads; `parts` are those of `parts_of_bound`."""
    description = described(cell)
    unread = ("quality", "sets", "n", "reference", "fit", *([] if cell.evaluation.ode else ["ode_steps"]))
    read = {key: value for key, value in description["evaluation"].items() if key not in unread}
    content: dict[str, Any] = {"stage": "bound", "training": parts.training, "split": split, "evaluation": read}
    if cell.horizon == 0:
        return content | {"evaluation": {name: read[name] for name in ("seed", "iwae") if name in read}}
    return content | chain_content(cell, parts, cell.evaluation.horizon, reads_variance=True)
