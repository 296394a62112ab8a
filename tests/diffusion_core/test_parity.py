"""Every figure of openai/improved-diffusion (tests/reference), reproduced by a `Diffusion` that gives its outputs.

|ours − reference| ≤ 1e-10 |reference| + 1e-13. Its time index is ours less one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from diffusion_core.chain import strided_times
from diffusion_core.forward import diffuse, posterior
from tests.diffusion_core.problems import diffusion

FILES = sorted((Path(__file__).parents[1] / "reference").glob("improved_diffusion_*.npz"))
SCHEDULES = {"linear": dc.Linear(), "cosine": dc.Cosine()}
TARGETS = {"epsilon": dc.Epsilon(), "start_x": dc.X0(), "previous_x": dc.Mu()}
VARIANCES = {
    "fixed_large": dc.Beta(),
    "fixed_small": dc.BetaTilde(),
    "learned": dc.LearnedDiagonal(),
    "learned_range": dc.LearnedVariance(),
}
TABLES = {
    "betas": "beta",
    "alphas_cumprod": "alpha_bar_t",
    "posterior_variance": "beta_tilde",
    "posterior_log_variance_clipped": "log_beta_tilde",
    "posterior_mean_coef1": "coefficient_x0",
    "posterior_mean_coef2": "coefficient_xt",
}

NOT_APPLICABLE = {
    "(x0|t|noise|step_noise|out_.*)": "an input",
    "previous_x/.*/clip1/(mean|sample|vb_bpd)": "the reference does not clip under previous_x",
}


def not_applicable(key: str) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in NOT_APPLICABLE)


@dataclass(frozen=True)
class Reference:
    """One file, and what the core gives for each of its keys."""

    path: Path

    @cached_property
    def figures(self) -> dict[str, Tensor]:
        with np.load(self.path) as file:
            return {key: torch.from_numpy(file[key]) for key in file.files}

    @cached_property
    def horizon(self) -> int:
        return len(self.figures["betas"])

    @cached_property
    def t(self) -> Tensor:
        return self.figures["t"] + 1

    @cached_property
    def models(self) -> dict[tuple[str, str, dc.Objective | None], dc.Diffusion]:
        """The diffusions that `diffusion` has made, which many figures share."""
        return {}

    def diffusion(self, target: str, variance: str, objective: dc.Objective | None = None) -> dc.Diffusion:
        """Its network puts out the file's outputs; `learned` there is log σ² itself, here its distance to log β_t."""
        choices = (target, variance, objective)
        if choices not in self.models:
            self.models[choices] = self._diffusion(*choices)
        return self.models[choices]

    def _diffusion(self, target: str, variance: str, objective: dc.Objective | None) -> dc.Diffusion:
        output = self.figures[f"out_{target}"]
        if variance == "learned":
            log_beta = self.figures["betas"][self.figures["t"]].log().reshape(-1, 1, 1, 1)
            output = torch.cat([output, self.figures["out_log_variance"] - log_beta], dim=1)
        if variance == "learned_range":
            output = torch.cat([output, self.figures["out_v"]], dim=1)
        return diffusion(
            lambda x_t, t: output,
            self.horizon,
            parameterization=TARGETS[target],
            variance=VARIANCES[variance],
            schedule=SCHEDULES[self.path.name.split("_")[2]],
            objective=objective,
            encoding=dc.GreyLevels(),
            shape=tuple(self.figures["x0"].shape[1:]),
        )

    def scale(self, key: str) -> float:
        """What the bound's term is multiplied by in a figure, and with it its rounding and its decoder's error."""
        loss = re.search("/loss_([a-z_]*)/", key)
        return {"rescaled_kl": self.horizon, "rescaled_mse": self.horizon / 1000}.get(loss[1], 1) if loss else 1

    def ours(self, key: str) -> Tensor:
        match key.split("/"):
            case ["spaced", steps, figure]:
                return self._strided(int(steps), figure)
            case ["ddim", eta, "sample"]:
                return self._ddim(float(eta.removeprefix("eta")))
            case [target, variance, ("clip0" | "clip1") as clip, figure]:
                return self._reverse(target, variance, clip == "clip1", figure)
            case [target, variance, loss, part]:
                return self._loss(target, variance, loss, part)
            case [figure]:
                return self._forward(figure)
        raise KeyError(key)

    def _forward(self, figure: str) -> Tensor:
        model = self.diffusion("epsilon", "fixed_small")
        chain, x0, x_t = model.chain(), self.figures["x0"], self.figures["x_t"]
        if figure in TABLES:
            return getattr(chain.step(torch.arange(1, self.horizon + 1)), TABLES[figure])
        q = posterior(x0, x_t, chain.step(self.t))
        return {
            "x_t": diffuse(x0, self.figures["noise"], model.gamma(self.t)),
            "q_mean": q.mean,
            "q_log_variance": q.log_variance.expand_as(x0),
            "prior_bpd": model.prior(x0) / (math.prod(x0.shape[1:]) * math.log(2)),
        }[figure]

    def _strided(self, steps: int, figure: str) -> Tensor:
        if figure == "timestep_map":
            return strided_times(self.horizon, steps)[1:] - 1
        assert figure == "betas"
        return self.diffusion("epsilon", "fixed_small").chain(steps).step(torch.arange(1, steps + 1)).beta

    def _reverse(self, target: str, variance: str, clip: bool, figure: str) -> Tensor:
        model = self.diffusion(target, variance, dc.Vlb()).with_clip(clip)
        chain, x_t = model.chain(), self.figures["x_t"]
        if figure == "sample":
            return self._step(dc.Ancestral(), model)
        if figure == "vb_bpd":
            nats = model.term(self.figures["x0"], self.figures["noise"], chain, self.t)
            return nats / (math.prod(x_t.shape[1:]) * math.log(2))
        p = model.reverse(x_t, chain, self.t)
        return {"mean": p.mean, "log_variance": p.log_variance.expand_as(x_t), "pred_xstart": p.x0}[figure]

    def _ddim(self, eta: float) -> Tensor:
        return self._step(dc.Ddim(eta=eta), self.diffusion("epsilon", "fixed_large"))

    def _step(self, sampler: dc.Sampler, model: dc.Diffusion) -> Tensor:
        """A step from each example's own t, where a sampler takes one for all: the row of each is its own."""
        x_t, noise = self.figures["x_t"], self.figures["step_noise"]
        rows = [sampler.step(model, x_t, model.chain(), t, lambda: noise)[i] for i, t in enumerate(self.t.tolist())]
        return torch.stack(rows)

    def _loss(self, target: str, variance: str, loss: str, part: str) -> Tensor:
        """Its `mse` losses with a learned variance are mse + vb, which is a hybrid: vb = λ T L_{t−1}."""
        weight = self.scale(f"/{loss}/") / self.horizon
        if part == "vb" or loss in ("loss_kl", "loss_rescaled_kl"):
            return weight * self._losses(target, variance, dc.Vlb())
        if part == "mse" or not VARIANCES[variance].learned:
            return self._losses(target, "fixed_large", dc.Simple())
        return self._losses(target, variance, dc.Hybrid(weight))

    def _losses(self, target: str, variance: str, objective: dc.Objective) -> Tensor:
        model = dc.DiffusionLearner(self.diffusion(target, variance, objective))
        return model.losses(self.figures["x0"], self.t, self.figures["noise"])["network"]


@lru_cache
def reference(path: Path) -> Reference:
    return Reference(path)


def applicable(path: Path) -> list[str]:
    """The keys of a file's figures that the core must reproduce."""
    return [key for key in reference(path).figures if not not_applicable(key)]


EACH_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem.removeprefix("improved_diffusion_"))


def holds_decoder_term(key: str) -> bool:
    """Losses by `kl` are the term itself, those by `mse` hold it where a variance is learned."""
    losses = ".*/loss_(rescaled_)?kl/loss|.*/learned(_range)?/loss_(rescaled_)?mse/loss"
    return key.endswith(("vb_bpd", "/vb")) or re.fullmatch(losses, key) is not None


def assert_agree(key: str, ours: Tensor, theirs: Tensor, rtol: float, atol: float) -> None:
    assert ours.dtype == theirs.dtype, key
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol, msg=lambda text: f"{key}: {text}")


@EACH_FILE
def test_every_applicable_figure_is_reproduced(path):
    """At t = 1 the reference's decoder is approximate: see the next test. `rescaled_kl` is T times `kl`, and so is its
    rounding error: all are compared at one scale."""
    figures = reference(path)
    for key in applicable(path):
        ours, theirs = (value / figures.scale(key) for value in (figures.ours(key), figures.figures[key]))
        if holds_decoder_term(key):
            ours, theirs = ours[figures.t > 1], theirs[figures.t > 1]
        assert_agree(key, ours, theirs, 1e-10, 1e-13)


@EACH_FILE
def test_decoder_term_agrees_with_the_reference_to_its_approximation_of_the_normal_cdf(path):
    figures = reference(path)
    first = figures.t == 1
    keys = [key for key in applicable(path) if holds_decoder_term(key) and key.startswith("epsilon")]
    assert len(keys) == 24
    for key in keys:
        ours, theirs = (value[first] / figures.scale(key) for value in (figures.ours(key), figures.figures[key]))
        assert len(ours) == 2
        assert_agree(key, ours, theirs, 0, 2e-3)
