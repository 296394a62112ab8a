"""fit: weights ─▶ the moments of the network, per t, that a fitted variance reads; and the terms for a fitted spacing.

It reads a training. Cells of one training share it whatever their fitted variance is, except for the spacing's terms.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from ablations.data.base import Data
from ablations.engine.journal import Curves, Result
from ablations.engine.stage import Bench
from ablations.settings.cell import Cell
from ablations.settings.identity import average_read, content_hash, described
from ablations.settings.registry import describe
from ablations.stages.artifacts import FIT, MOMENTS, TERMS, write_artifact
from ablations.stages.restore import Parts, given, labels_of, load_learner
from ablations.stages.stage import Stage
from diffusion_core.fitting import bound_terms, noise_moments
from diffusion_core.variances import Fitted


@dataclass(frozen=True)
class FitStage(Stage):
    """A trained network that is measured on training images, for a fitted variance or spacing."""

    id: str
    cell: Cell
    parts: Parts
    needs: tuple[str, ...]
    kind = "fit"
    validates = True
    doing = "fitting its variance"

    def work(self, data: Data) -> float:
        return float(self.cell.horizon * self.cell.evaluation.fit)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """Measure over training images with the training's own seed, so that the noise of this estimate shows between
        seeds too."""
        whole = load_learner(self.cell, data, bench.journal, self.parts, device).diffusion
        diffusion = given(whole, labels_of(self.cell, data, "train"))
        plan, began = self.cell.evaluation, time.monotonic()
        images = data.images["train"].to(diffusion.device)
        shares = 1 + self.cell.spacing.fitted
        moments = noise_moments(
            diffusion,
            images,
            draws=plan.fit,
            seed=self.cell.seed,
            progress=lambda share: bench.progress(share / shares),
        )
        fitted = {name: getattr(moments, name) for name in MOMENTS}
        if self.cell.spacing.fitted:
            if isinstance(self.cell.variance, Fitted):
                diffusion.fit(self.cell.variance.x0_variance(moments))
            fitted[TERMS] = bound_terms(
                diffusion,
                images,
                draws=plan.fit,
                seed=self.cell.seed,
                progress=lambda share: bench.progress((1 + share) / 2),
            ).cpu()
        finite = not any(bool(values.isnan().any()) for values in fitted.values())
        t = [float(t) for t in range(1, self.cell.horizon + 1)]
        curves: Curves = {"noise_told": (t, moments.noise.tolist()), "x0_error": (t, moments.error.tolist())}
        write_artifact(bench.folder, FIT, fitted)
        return Result(
            status="finished" if finite else "diverged",
            reason="" if finite else "the predicted noise is not finite",
            metrics={"cost/fit_seconds": time.monotonic() - began},
            curves=curves if finite else {},
            metadata={},
        )


def fit_of(cell: Cell, training: str) -> str | None:
    """The id of the stage that fits the cell's variance, or the spacing of its steps; None where neither is fitted."""
    spaced = any(spaced_by_fit(cell, steps) for steps in (cell.sampler.steps, cell.evaluation.horizon))
    if not (cell.variance.fitted or spaced):
        return None
    plan = cell.evaluation
    content: dict[str, Any] = {"stage": "fit", "training": training, "draws": plan.fit, "clip": plan.clip}
    return content_hash(content | average_read(cell) | ({"terms": describe(cell.variance)} if spaced else {}))


def _is_strided(cell: Cell, steps: int | None) -> bool:
    """True where a chain of `steps` steps (None: all) leaves out times; its spacing then chooses the times that
    stay."""
    return steps is not None and steps != cell.horizon


def spaced_by_fit(cell: Cell, steps: int | None) -> bool:
    return cell.spacing.fitted and _is_strided(cell, steps)


def chain_content(cell: Cell, parts: Parts, steps: int | None, *, reads_variance: bool) -> dict[str, Any]:
    """The content that a chain of `steps` steps reads beside the training; `parts` are the stages that it reads."""
    description = described(cell)
    read = average_read(cell) | ({"variance": description["variance"]} if reads_variance else {})
    read |= {"spacing": description["spacing"]} if _is_strided(cell, steps) else {}
    return read | ({"fit": parts.fit} if parts.fit is not None else {})
