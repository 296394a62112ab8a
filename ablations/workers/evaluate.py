"""The stages that evaluate: the fit of a variance, likelihoods, samples, reconstructions; and what real images score.

Each function takes the network as it was restored, leaves tensors in its stage's folder, and returns what they say.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.base import Data
from ablations.metrics.fid import Fid
from ablations.metrics.judging import SHORT, extractor_of, yardstick_of
from ablations.metrics.reconstruction import psnr
from ablations.metrics.registry import DEFAULT, metric_of
from ablations.metrics.sets import Examined
from ablations.settings.budget import bound_passes, sample_flops
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HeldOut
from ablations.stages.artifacts import (
    FIT,
    MOMENTS,
    PER_IMAGE,
    RECONSTRUCTIONS,
    SAMPLES,
    TERMS,
    read_artifact,
    write_artifact,
)
from ablations.stages.journal import LARGE_BOUND, Curves, Result, noted
from ablations.stages.kinds import SamplesStage
from ablations.workers.progress import Progress
from ablations.workers.restore import Model
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Encoding
from diffusion_core.fitting import bound_terms, noise_moments
from diffusion_core.latents import LatentCode
from diffusion_core.likelihood import Bound, Terms, bound, continuous_bound, estimate_variance
from diffusion_core.ode import flow_likelihood
from diffusion_core.precision import resolve_precision
from diffusion_core.spaces import Latents
from diffusion_core.timesteps import TimestepSampler
from diffusion_core.vae import Vae
from diffusion_core.variances import Fitted

SHOWN = 12
"""Test images whose reconstructions are kept, and samples of a training on its way."""


def run_fit(cell: Cell, diffusion: Diffusion, data: Data, folder: Path, progress: Progress) -> Result:
    """What is fitted to a trained network over training images, by the training's own seed: its noise is in ± too."""
    plan, began = cell.evaluation, time.monotonic()
    images = data.images["train"].to(diffusion.device)
    shares = 1 + cell.spacing.fitted
    moments = noise_moments(
        diffusion,
        images,
        draws=plan.fit,
        seed=cell.seed,
        clip=plan.clip,
        progress=lambda share: progress(share / shares),
    )
    fitted = {name: getattr(moments, name) for name in MOMENTS}
    if cell.spacing.fitted:
        if isinstance(cell.variance, Fitted):
            diffusion.fit(cell.variance.x0_variance(moments))
        fitted[TERMS] = bound_terms(
            diffusion,
            images,
            draws=plan.fit,
            seed=cell.seed,
            clip=plan.clip,
            progress=lambda share: progress((1 + share) / 2),
        ).cpu()
    finite = not any(bool(values.isnan().any()) for values in fitted.values())
    t = [float(t) for t in range(1, cell.horizon + 1)]
    curves: Curves = {"noise_told": (t, moments.noise.tolist()), "x0_error": (t, moments.error.tolist())}
    write_artifact(folder, FIT, fitted)
    return Result(
        status="finished" if finite else "diverged",
        reason="" if finite else "the predicted noise is not finite",
        metrics={"cost/fit_seconds": time.monotonic() - began},
        curves=curves if finite else {},
        metadata={},
    )


def run_bound(
    cell: Cell,
    split: HeldOut,
    model: Model,
    timesteps: TimestepSampler | None,
    data: Data,
    folder: Path,
    progress: Progress,
) -> Result:
    """The bound on a held-out split and, where asked for, the likelihoods in continuous time; values per image kept.

    `timesteps` is the density that the variance of the bound's estimate is measured with; None where there is none.
    """
    plan, name = cell.evaluation, SHORT[split]
    images = data.images[split].to(model.device)
    discrete, continuous, flow = bound_passes(cell)
    total = discrete + continuous + flow
    began = time.monotonic()
    scored = bound_of(cell, model, images)
    write_artifact(folder, PER_IMAGE["nll/test"], scored.parts)
    metrics = means_of(f"nll/{name}", scored) | {"cost/bound_seconds": time.monotonic() - began}
    if plan.estimates and isinstance(model, Diffusion) and timesteps is not None:
        metrics[f"bound_variance/{name}"] = estimate_variance(
            model, timesteps, images, draws=plan.estimates, batch=cell.training.batch, seed=plan.seed
        )
    nll = metrics[f"nll/{name}"]
    reason = "" if math.isfinite(nll) else "the bound is not finite"
    flag = remarkable(nll, data.encoding.uniform_bits) if split == "test" and bound_was_meant(cell) else ""
    if continuous and not reason and isinstance(model, Diffusion):
        progress(discrete / total)
        began = time.monotonic()
        terms = continuous_bound(model, images, draws=plan.continuous, seed=plan.seed, clip=plan.clip)
        write_artifact(folder, PER_IMAGE["nll_continuous/test"], terms.parts)
        metrics |= means_of(f"nll_continuous/{name}", terms) | {"cost/continuous_seconds": time.monotonic() - began}
    if flow and not reason and isinstance(model, Diffusion):
        before = discrete + continuous

        def advance(share: float) -> None:
            progress((before + share * flow) / total)

        metrics |= _flow(cell, name, model, images, folder, advance)
    k = [float(k) for k in range(1, len(scored.per_step) + 1)]
    return Result(
        status="diverged" if reason else "finished",
        reason=reason,
        metrics={key: value for key, value in metrics.items() if math.isfinite(value)},
        curves={f"bound_per_t/{name}": (k, scored.per_step.tolist())} if k else {},
        metadata=noted(metrics, flag),
    )


def bound_of(cell: Cell, model: Model, images: Tensor) -> Bound:
    """The bound as the cell's evaluation asks for it."""
    plan = cell.evaluation
    if isinstance(model, Vae):
        return model.bound(images, seed=plan.seed)
    with model.network_in("float32", captured=cell.training.captured):
        return bound(
            model,
            images,
            exact=plan.exact,
            strata=plan.strata,
            seed=plan.seed,
            clip=plan.clip,
            steps=plan.horizon,
        )


def _flow(
    cell: Cell, name: str, diffusion: Diffusion, images: Tensor, folder: Path, progress: Progress
) -> dict[str, float]:
    plan = cell.evaluation
    began = time.monotonic()
    scored = flow_likelihood(
        diffusion, images, steps=plan.ode_steps, probes=plan.ode, seed=plan.seed, progress=progress
    )
    write_artifact(folder, PER_IMAGE["nll_ode/test"], {"total": scored.total})
    metrics = {
        f"nll_ode/{name}": float(scored.total.mean()),
        f"nll_ode/{name}_se": scored.standard_error,
        "cost/ode_seconds": time.monotonic() - began,
    }
    # One probe states no error of its own, which is nothing to warn of.
    return metrics | ({} if math.isnan(scored.probe_error) else {f"nll_ode/{name}_probe_se": scored.probe_error})


def means_of(metric: str, terms: Terms) -> dict[str, float]:
    """The bound, its parts and its standard errors, by metric name: from images and draws, and from its draws alone."""
    means = {"": terms.total, **{f"_{part}": values for part, values in terms.parts.items()}}
    errors = {"_se": terms.standard_error} | ({"_draw_se": terms.draw_error} if isinstance(terms, Bound) else {})
    return {f"{metric}{part}": float(values.mean()) for part, values in means.items()} | {
        f"{metric}{error}": value for error, value in errors.items()
    }


def bound_was_meant(cell: Cell) -> bool:
    """Whether a large bound says that training came to little.

    Over fewer steps than a network was trained on it may be as large as it likes: that is a finding about σ². And an
    autoencoder whose KL has a small weight was never asked to make its code cheap.
    """
    all_steps = cell.horizon == 0 or cell.evaluation.horizon in (None, cell.horizon)
    return all_steps and not (isinstance(cell.space, Latents) and cell.space.kl_weight < 1)


def remarkable(nll: float, uniform_bits: float | None) -> str:
    """What is to be remarked of a bound that is finite, and more than twice a code's that knows nothing; "" of others.

    It is a value like any other: samples of such a network may be good, and more steps may mend it.
    """
    if uniform_bits is None or not 2 * uniform_bits < nll < math.inf:
        return ""
    return f"the bound, {nll:.2f} bits/dim, {LARGE_BOUND} {uniform_bits:.2f}"


def run_samples(stage: SamplesStage, model: Model, data: Data, folder: Path, progress: Progress) -> Result:
    """Draw the generated sets, keep them, and score them."""
    began = time.monotonic()
    cell, n = stage.cell, len(data.images[stage.split])
    samples = draw_samples(cell, model, n * stage.sets, progress, first=n * stage.first)
    if samples is None:
        return Result("diverged", "the samples are not finite", {}, {}, {})
    seconds = time.monotonic() - began
    write_artifact(folder, SAMPLES, {"samples": samples})
    metrics = yardstick_of(cell, stage.split, data, samples.device).default_scores(torch.split(samples, n))
    costs = {"cost/sample_seconds": seconds, "cost/sample_flops": sample_flops(cell, model)}
    return finished_with({**costs, **metrics})


def deciding_scores(cell: Cell, model: Model, data: Data, folder: Path, progress: Progress) -> dict[str, float]:
    """What a set of samples scores in the metrics that decide; nothing where they are not finite.

    No test image enters: images are held against those of the training. The first samples are kept, to be looked at.
    """
    samples = draw_samples(cell, model, len(data.images["test"]), progress)
    if samples is None:
        return {}
    write_artifact(folder, SAMPLES, {"samples": samples[:SHOWN]})
    yardstick = yardstick_of(cell, "test", data, samples.device)
    metrics = [metric for metric in DEFAULT if metric.decides is not None and metric.extracts]
    return yardstick.scores(metrics, [samples], spread=lambda _: False)


def draw_samples(cell: Cell, model: Model, n: int, progress: Progress, first: int = 0) -> Tensor | None:
    """Samples `first`..`first + n` as stored values, by the cell's sampler, seed and precision; None where they are not
    finite."""
    if isinstance(model, Vae):
        x = model.sample(n, seed=cell.seed, first=first)
    else:
        precision = resolve_precision(cell.training.precision, model.device)
        with model.network_in(precision, captured=cell.training.captured):
            x = cell.sampler.sample(model, n, seed=cell.seed, clip=cell.evaluation.clip, first=first, progress=progress)
    return model.encoding.decode(x) if bool(x.isfinite().all()) else None


def run_reconstruction(cell: Cell, encoding: Encoding, data: Data, folder: Path, device: torch.device) -> Result:
    """What an autoencoder makes of the test images, and what that scores beside the images themselves."""
    assert isinstance(encoding, LatentCode), "the data themselves are not reconstructed"
    images = data.images["test"].to(device)
    made = encoding.reconstruct(images)
    write_artifact(folder, RECONSTRUCTIONS, {"originals": images[:SHOWN], "reconstructions": made[:SHOWN]})
    metrics = {"psnr/test": psnr(made, images, encoding.autoencoder.levels.levels)}
    if "test" in cell.evaluation.quality:
        scores = yardstick_of(cell, "test", data, device).scores([Fid()], [made])
        metrics |= {f"r{name}": value for name, value in scores.items()}
    return finished_with(metrics)


def run_metric(cell: Cell, split: HeldOut, metric: str, data: Data, samples: Path, device: torch.device) -> Result:
    """What the generated sets that a samples stage left in its folder score by one more metric."""
    tensors, _ = read_artifact(samples, SAMPLES)
    sets = torch.split(tensors["samples"].to(device), len(data.images[split]))
    return finished_with(yardstick_of(cell, split, data, device).scores([metric_of(metric)], sets))


def run_floor(cell: Cell, metric: str | None, data: Data, device: torch.device) -> Result:
    """What held-out data score where generated ones are judged on test data, by what all are judged by, or one more."""
    extractor = extractor_of(cell)
    yardstick = yardstick_of(cell, "test", data, device)
    sets = [data.images["validation"]]
    known: dict[str, str] = {}
    if extractor is not None:
        sets = [images.to(device) for images in (data.images["validation"], data.images["test"])]
        yardstick = replace(yardstick, held_out=Examined(torch.cat(sets), extractor))
        accuracy = {} if extractor.accuracy is None else {"accuracy": str(extractor.accuracy)}
        known = {"extractor": extractor.name, "digest": extractor.digest, **accuracy}
    scores = yardstick.default_scores(sets) if metric is None else yardstick.scores([metric_of(metric)], sets)
    return finished_with(scores, **known)


def finished_with(metrics: dict[str, float], **metadata: str) -> Result:
    """A finished stage's result: what is no number is left out of its metrics, and noted."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return Result("finished", "", finite, {}, metadata | noted(metrics))
