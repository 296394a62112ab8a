"""A cell: one point of a grid, every choice that can change a number.

Its identity is a hash of the built choices (defaults included), of the data's digest and of what the device makes of
`precision=auto`, so that equal cells are one cell whatever text they came from. `cell_id` leaves the seed out: seeds
are repetitions of one cell. A field that is younger than results which are kept enters it only where it differs from
what was done before it (`LATER`), and a file enters by what it holds, never by where it lies.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from ablations.data import DataSet
from ablations.settings.grammar import NUMBERS
from ablations.settings.registry import describe
from diffusion_core.choices import Choices, FirstStepRule, TimeInput, chain_refusal, level_refusal, refusal
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.networks.network import Network
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Objective
from diffusion_core.parameterizations import Parameterization
from diffusion_core.precision import Precision
from diffusion_core.samplers import Sampler
from diffusion_core.schedules import Schedule
from diffusion_core.spaces import Space
from diffusion_core.timesteps import Timesteps
from diffusion_core.training import Training
from diffusion_core.variances import Variance

NUMERICS = 1
"""Raised whenever a change alters numbers at equal seed, so that old results are never taken for new ones."""

LATER: dict[str, Any] = {
    "time_input": "t",
    "first_step": "schedule",
    "budget": "steps",
    "space.name": "pixels",
    "objective.power": 0.0,
    "sampler.skip": 0.0,
    "evaluation.continuous": 0,
    "evaluation.ode": 0,
    "evaluation.ode_steps": 32,
    "evaluation.fit": 128,
    "evaluation.estimates": 0,
}
"""Fields that came after results which are kept, and the value that stands for what was done before them."""

LIKELIHOODS = ("continuous", "ode", "estimates")
"""Fields of `Evaluation` that ask for more likelihoods than the bound, or for more of it."""

Budget = Literal["steps", "flops"]
CHOICES = (
    "data",
    "space",
    "parameterization",
    "variance",
    "schedule",
    "objective",
    "timesteps",
    "network",
    "sampler",
    "training",
    "evaluation",
)
"""The fields of a cell that are choices with fields of their own."""

HeldOut = Literal["validation", "test"]
HELD_OUT: tuple[HeldOut, ...] = get_args(HeldOut)


@dataclass(frozen=True)
class Evaluation:
    """How a cell is scored, alike for every cell.

    The bound takes t = 1..`exact` and one t from each of `strata` runs of the rest, over the full chain or one of
    `horizon` steps; `sets` disjoint sets of generated images are judged at the splits in `quality`. `clip` holds x̂_0
    in [−1, 1] in both. A fitted variance rests on `fit` training images at every t.

    Where asked for (not 0), the bound in continuous time takes `continuous` draws of γ per image, and the likelihood
    of the probability flow `ode` probes per image over `ode_steps` steps, and the variance of the bound's estimate by
    one t an image `estimates` repetitions. `weights` is the file of the extractor's
    weights where it is not one that ships.
    """

    clip: bool = True
    horizon: int | None = None
    exact: int = 10
    strata: int = 20
    sets: int = 2
    quality: tuple[HeldOut, ...] = ("test",)
    seed: int = 0
    continuous: int = 0
    ode: int = 0
    ode_steps: int = 32
    fit: int = 128
    estimates: int = 0
    weights: str | None = None

    where: ClassVar[tuple[str, ...]] = ("weights",)

    def __post_init__(self) -> None:
        for name in ("exact", "strata", "sets", "ode_steps", "fit"):
            if getattr(self, name) < 1:
                raise ValueError(f"evaluation.{name} must be at least 1, got {getattr(self, name)}")
        if self.estimates < 0 or self.estimates == 1:
            raise ValueError(f"evaluation.estimates must be at least 2, or 0 for none, got {self.estimates}")
        for name in ("continuous", "ode"):
            if getattr(self, name) < 0:
                raise ValueError(f"evaluation.{name} must be at least 1, or 0 for none, got {getattr(self, name)}")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"evaluation.horizon must be at least 1 or null for all steps, got {self.horizon}")


@dataclass(frozen=True)
class Cell:
    """One point of a grid, and its seed."""

    data: DataSet
    space: Space
    parameterization: Parameterization
    variance: Variance
    schedule: Schedule
    objective: Objective
    timesteps: Timesteps
    network: Network
    sampler: Sampler
    training: Training
    evaluation: Evaluation
    horizon: int
    time_input: TimeInput
    first_step: FirstStepRule
    budget: Budget
    threads: int
    seed: int

    @property
    def choices(self) -> Choices:
        """What a `Diffusion` is built from."""
        return Choices(
            self.parameterization,
            self.variance,
            self.schedule,
            self.objective,
            self.timesteps,
            self.network,
            self.horizon,
            self.time_input,
            self.first_step,
        )

    def refusal(self) -> str | None:
        """Why this cell makes no sense; None if it does.

        A chain of no steps reads nothing of the other choices, which must go together all the same.
        """
        if self.horizon == 0:
            return self._chainless_refusal() or replace(self, horizon=NUMBERS["horizon"]).refusal()
        reason = (
            refusal(self.choices)
            or chain_refusal(self.choices, self.sampler.steps, reads_variance=self.sampler.reads_variance)
            or chain_refusal(self.choices, self.evaluation.horizon)
            or self.continuous_refusal()
        )
        if reason is not None:
            return reason
        data = self.data.load()
        try:
            shape = self.space.shape_of(data.shape)
        except ValueError as error:
            return str(error)
        try:
            Diffusion(self.choices, Continuous() if self.space.encoded else data.encoding, shape)
        except (ValueError, RuntimeError) as error:
            smaller = ", or a smaller space.f" if self.space.encoded and isinstance(self.network, UNet) else ""
            return str(error).splitlines()[0] + smaller
        return None

    def _chainless_refusal(self) -> str | None:
        """Why a chain of no steps makes no sense: it is the autoencoder alone, with N(0, I) as its prior."""
        if not self.space.encoded:
            return "horizon=0 is the autoencoder alone, which space=pixels has not: take space=latents, or horizon=1000"
        if not self.space.likelihood:
            return (
                "horizon=0 draws codes from N(0, I), which teaches nothing of a vector-quantised one: take "
                "space.regularization=kl, or horizon=1000"
            )
        return self.continuous_refusal()

    def continuous_refusal(self) -> str | None:
        """Why a likelihood that goes beyond the bound cannot be asked of this cell."""
        given = {name: getattr(self.evaluation, name) for name in LIKELIHOODS}
        asked = [f"evaluation.{name}={value}" for name, value in given.items() if value]
        if not asked:
            return None
        if self.horizon == 0:
            return f"{asked[0]} speaks of a chain, and horizon=0 has none: leave it out, or take horizon=1000"
        if not self.space.likelihood:
            return (
                f"{asked[0]} asks for a likelihood, which a vector-quantised code has not: take "
                "space.regularization=kl, or leave it out"
            )
        reason = level_refusal(self.choices)
        in_time = [score for score in asked if not score.startswith("evaluation.estimates")]
        return f"{in_time[0]} scores the cell in continuous time, and {reason}" if in_time and reason else None

    def describe(self, *, places: bool = False) -> dict[str, Any]:
        """Every choice but the seed, as plain values; with `places`, also where their files lie."""
        return {
            **{axis: describe(getattr(self, axis), places=places) for axis in CHOICES},
            "horizon": self.horizon,
            "time_input": self.time_input,
            "first_step": self.first_step,
            "budget": self.budget,
            "threads": self.threads,
        }

    def identity(self) -> dict[str, Any]:
        """`describe` as identities read it: without the fields of `LATER` at their value of before."""
        kept: dict[str, Any] = {}
        for axis, value in self.describe().items():
            if isinstance(value, dict):
                fields = {key: entry for key, entry in value.items() if not _as_before(f"{axis}.{key}", entry)}
                kept |= {axis: fields} if fields else {}
            elif not _as_before(axis, value):
                kept[axis] = value
        return kept

    def parameters(self) -> dict[str, str]:
        """Every choice but the seed, flat and as text: `schedule` → linear, `schedule.beta_1` → 0.0001."""
        flat: dict[str, str] = {}
        for axis, value in self.describe(places=True).items():
            if not isinstance(value, dict):
                flat[axis] = str(value)
                continue
            name = value.pop("name")
            if axis not in ("training", "evaluation"):
                flat[axis] = name
            flat |= {f"{axis}.{key}": _text(entry) for key, entry in value.items()}
        return flat

    def cell_id(self, digest: str, precision: Precision, extractor: str | None = None) -> str:
        """12 hex digits that name the cell on data of this digest, whatever its seed.

        `extractor` is its features' identity, which counts where the cell brings their weights.
        """
        content: dict[str, Any] = {"cell": self.identity(), "digest": digest, "precision": precision}
        return content_hash(content | ({"extractor": extractor} if self.evaluation.weights else {}))


def _as_before(field: str, value: Any) -> bool:
    return field in LATER and bool(LATER[field] == value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def content_hash(content: dict[str, Any]) -> str:
    """12 hex digits of a canonical JSON text, NUMERICS included."""
    text = json.dumps({"numerics": NUMERICS, **content}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
