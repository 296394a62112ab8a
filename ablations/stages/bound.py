"""fit: weights ─▶ the moments of the network, per t, that a fitted variance reads; the terms for a fitted spacing.
bound: weights, fit ─▶ the bound per image, its parts and its terms per t; how loose it is; likelihoods in continuous
time.

A fit reads a training. Cells of one training share it whatever their fitted variance is, but for the spacing's terms.

A bound reads a training, its fit where σ² or the spacing of the bound's steps is fitted, and the evaluation. Cells that
differ only in the sampler share it. Where the network is told labels, all of these are of x given its label y; beside
them stands the bound of the same network without labels, which can be compared with a cell that has none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.engine.journal import Curves, Result
from ablations.engine.stage import Bench
from ablations.settings.budget import bound_passes
from ablations.settings.cell import Cell
from ablations.settings.evaluation import SHORT, HeldOut
from ablations.stages.artifacts import FIT, MOMENTS, PER_IMAGE, TERMS, Pieces, write_artifact
from ablations.stages.restore import Model, diverged_before, labels_of, load, load_learner, remark_on_fit, with_labels
from ablations.stages.shares import InPieces
from ablations.stages.stage import Passes, Stage, result_of
from analysis.schema import RUNG_SECONDS
from diffusion_core.diffusion import Diffusion
from diffusion_core.fitting import bound_terms, noise_moments
from diffusion_core.flow import flow_likelihood
from diffusion_core.iwae import importance_weighted
from diffusion_core.likelihood import Bound, Terms, Vae, bound, continuous_bound, estimate_variance, own_error
from diffusion_core.stratified import HALVES, Stratification
from diffusion_core.variances import Fitted


@dataclass(frozen=True, kw_only=True)
class FitStage(Stage):
    """A trained network that is measured on training images, for a fitted variance or spacing."""

    kind = "fit"
    work = "fitting its variance"

    def passes(self) -> tuple[Passes, float]:
        return "scoring", float(self.cell.horizon * self.cell.evaluation.fit)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """Measure over training images with the training's own seed, so that the noise of this estimate shows between
        seeds too."""
        whole = load_learner(self.cell, data, bench.journal, self.parts, device).diffusion
        diffusion = with_labels(whole, labels_of(self.cell, data, "train"))
        images, began = data.images["train"].to(diffusion.device), time.monotonic()
        asked: dict[str, Any] = {"draws": self.cell.evaluation.fit, "seed": self.cell.seed, "progress": bench.progress}
        moments = noise_moments(diffusion, images, **asked)
        fitted = {name: getattr(moments, name) for name in MOMENTS}
        if self.cell.spacing.fitted:
            if isinstance(self.cell.variance, Fitted):
                diffusion.fit(self.cell.variance.x0_variance(moments))
            fitted[TERMS] = bound_terms(diffusion, images, **asked).cpu()
        write_artifact(bench.folder, FIT, fitted)
        finite = not any(bool(values.isnan().any()) for values in fitted.values())
        costs = {"cost/fit_seconds": time.monotonic() - began}
        return result_of(costs, "" if finite else "the predicted noise is not finite")


@dataclass(frozen=True, kw_only=True)
class BoundStage(InPieces):
    """The bound of a trained network on a held-out split, and further likelihoods if they are asked for; values per
    image are kept. At a rung it is one number."""

    held_out: HeldOut
    kind = "bound"
    work = "bound"

    def passes(self) -> tuple[Passes, float]:
        bound, *further = bound_passes(self.cell, self.held_out)
        images = self.cell.data.load().images[self.held_out]
        return "scoring", float(len(images) * (sum(further) + bound * (not self.shares)))

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        if reason := diverged_before(bench.journal, self.parts):
            return result_of({}, reason)
        cell, plan, name = self.cell, self.cell.evaluation, SHORT[self.held_out]
        model, images = loaded = self.loaded(bench, data, device)
        (pieces, seconds), began = self.pieces(bench), time.monotonic()
        scored = self.compute(loaded, bench, data, pieces)
        seconds += time.monotonic() - began
        metrics = self._kept("nll", scored, bench.folder) | {"cost/bound_seconds": seconds}
        if not math.isfinite(metrics[f"nll/{name}"]):
            return result_of(metrics, f"the {self.doing} is not finite")
        if self.rung:
            return result_of({f"nll/{name}": metrics[f"nll/{name}"], RUNG_SECONDS: metrics["cost/bound_seconds"]})
        if plan.estimates and isinstance(model, Diffusion):
            times = load_learner(cell, data, bench.journal, self.parts, device).timesteps
            asked = {"draws": plan.estimates, "batch": cell.training.batch, "seed": cell.score_seed}
            metrics[f"bound_variance/{name}"] = estimate_variance(model, times, images, **asked)
        metrics |= self._further(model, images, bench)
        k = [float(k) for k in range(1, len(scored.per_step) + 1)]
        curves: Curves = {"bound_per_t/test": (k, scored.per_step.tolist())} if k and name == "test" else {}
        return result_of(metrics, remark=remark_on_fit(cell, bench.journal, self.parts), curves=curves)

    def loaded(self, bench: Bench, data: Data, device: torch.device) -> tuple[Model, Tensor]:
        """The model, told the labels, and the images."""
        whole = load(self.cell, data, bench.journal, self.parts, device)
        images = data.images[self.held_out].to(whole.device)
        return with_labels(whole, labels_of(self.cell, data, self.held_out)), images

    def compute(self, loaded: tuple[Model, Tensor], bench: Bench, data: Data, pieces: Pieces) -> Bound:
        """The bound; pieces that are done by others count as 0."""
        model, images = loaded

        def piece(number: int, make: Callable[[], Tensor]) -> Tensor:
            made = pieces(number, make)
            return torch.zeros(HALVES, len(images)).double() if made is None else made

        return bound_of(self.cell, model, images, piece=piece)

    def _further(self, model: Model, images: Tensor, bench: Bench) -> dict[str, float]:
        """The metrics of all likelihoods beyond the bound that are asked for."""
        plan, metrics = self.cell.evaluation, dict[str, float]()
        likelihoods = {
            "continuous": (plan.continuous, self._continuous),
            "ode": (plan.ode, self._flow),
            "iwae": (plan.iwae, self._weighted),
            "unlabelled": (bound_passes(self.cell, self.held_out)[-1], self._unlabelled),
        }
        for name, (asked, measure) in likelihoods.items():
            if asked:
                began = time.monotonic()
                metrics |= measure(model, images, bench)
                metrics[f"cost/{name}_seconds"] = time.monotonic() - began
        return metrics

    def _continuous(self, model: Model, images: Tensor, bench: Bench) -> dict[str, float]:
        assert isinstance(model, Diffusion), "only a chain has a bound in continuous time"
        cell = self.cell
        asked = {"draws": cell.evaluation.continuous, "seed": cell.score_seed, "batch": cell.network.at_once}
        terms = continuous_bound(model, images, **asked)
        return self._kept("nll_continuous", terms, bench.folder)

    def _unlabelled(self, model: Model, images: Tensor, bench: Bench) -> dict[str, float]:
        assert isinstance(model, Diffusion), "only a chain is told labels"
        return self._kept("nll_unlabelled", bound_of(self.cell, model.with_labels(None), images), bench.folder)

    def _flow(self, model: Model, images: Tensor, bench: Bench) -> dict[str, float]:
        assert isinstance(model, Diffusion), "only a chain has a probability flow"
        plan = self.cell.evaluation
        asked = {"steps": plan.ode_steps, "probes": plan.ode, "seed": self.cell.score_seed}
        scored = flow_likelihood(model, images, **asked, progress=bench.progress)
        return self._kept("nll_ode", scored.total, bench.folder, probe_se=scored.probe_error)

    def _weighted(self, model: Model, images: Tensor, bench: Bench) -> dict[str, float]:
        """The importance-weighted bound, and how loose the bound is, estimated from the same draws."""
        plan, compile = self.cell.evaluation, self.cell.training.compile
        asked: dict[str, Any] = {"draws": plan.iwae, "seed": self.cell.score_seed, "steps": plan.horizon}
        with model.network_in("float32", compile) if isinstance(model, Diffusion) else nullcontext():
            scored = importance_weighted(model, images, **asked, progress=bench.progress)
        loose = self._kept("looseness", scored.looseness, bench.folder, draw_se=own_error(scored.loose_halves))
        return self._kept("nll_iwae", scored.total, bench.folder, draw_se=own_error(scored.halves)) | loose

    def _kept(self, metric: str, scored: Terms | Tensor, folder: Path, **errors: float) -> dict[str, float]:
        """The mean of a likelihood per image, which is written, of its parts, and their errors: from images and draws
        together, and from draws alone. Between single probes there is none, NaN."""
        parts = scored.parts if isinstance(scored, Terms) else {}
        total = scored.total if isinstance(scored, Terms) else scored
        if isinstance(scored, Bound):
            errors["draw_se"] = scored.draw_error
        write_artifact(folder, PER_IMAGE[f"{metric}/test"], parts or {"total": total})
        name, errors = f"{metric}/{SHORT[self.held_out]}", {"se": float(total.std() / len(total) ** 0.5)} | errors
        means = {name: total} | {f"{name}_{part}": values for part, values in parts.items()}
        finite_errors = {f"{name}_{error}": value for error, value in errors.items() if not math.isnan(value)}
        return {name: float(values.mean()) for name, values in means.items()} | finite_errors


def bound_of(cell: Cell, model: Model, images: Tensor, **more: Any) -> Bound:
    """The bound as the cell's evaluation asks for it."""
    plan = cell.evaluation
    if isinstance(model, Vae):
        return model.bound(images, seed=cell.score_seed)
    with model.network_in("float32", cell.training.compile):
        times = Stratification(plan.exact, plan.strata)
        return bound(model, images, times, seed=cell.score_seed, steps=plan.horizon, batch=cell.network.at_once, **more)
