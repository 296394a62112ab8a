"""A cell: one point of a grid, with every choice that can change a number.

Its annotations name the axes, here and nowhere else: a field of a cell is

    an axis     annotated by the base class of its choices, each named by a file of `configs/<axis>/`, with its default
    a number    with its default, and its type, which has its least and its greatest value
    a word      one of a few, each with a line that explains it; the first is the default

and its seed. Only the text of the annotations is read, so that command lines are understood without torch.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge, Le

if TYPE_CHECKING:
    import ablations.data.base
    import ablations.settings.evaluation
    import diffusion_core.averages
    import diffusion_core.chain
    import diffusion_core.choices
    import diffusion_core.conditioning
    import diffusion_core.couplings
    import diffusion_core.networks.network
    import diffusion_core.objectives
    import diffusion_core.parameterizations
    import diffusion_core.samplers
    import diffusion_core.schedules
    import diffusion_core.spaces
    import diffusion_core.timesteps
    import diffusion_core.training
    import diffusion_core.variances

TIME_INPUT = {
    "t": "the network is told 1000 t/T (default)",
    "log_snr": "it is told the noise level, so that equal input is equal noise under every schedule",
}
TIME = {
    "auto": "training draws t from 1..T, or real t where the objective needs it (default)",
    "continuous": "training draws real t between 1 and T, whatever the objective",
}
FIRST_STEP = {
    "schedule": "sigma_1² by the schedule's own rule: beta_tilde_2, or beta_1 of a log-SNR schedule (default)",
    "beta_1": "sigma_1² = beta_1",
}
BUDGET = {
    "steps": "training.steps is what the diffusion is trained for (default)",
    "flops": "as many steps as cost, autoencoder included, what training.steps steps cost in pixels",
}

Horizon = Annotated[int, Ge(0), Le(100_000)]
"""T; 0 is the autoencoder of space=latents alone, and a longer chain is as good as continuous in time."""
Threads = Annotated[int, Ge(1), Le(1024)]
"""No machine has more to give one cell."""


@dataclass(frozen=True)
class Cell:
    """A point of a grid, and its seed."""

    data: ablations.data.base.DataSet = field(metadata={"axis": "digits"})
    space: diffusion_core.spaces.Space = field(metadata={"axis": "pixels"})
    parameterization: diffusion_core.parameterizations.Parameterization = field(metadata={"axis": "epsilon"})
    variance: diffusion_core.variances.Variance = field(metadata={"axis": "beta"})
    schedule: diffusion_core.schedules.Schedule = field(metadata={"axis": "linear"})
    objective: diffusion_core.objectives.Objective = field(metadata={"axis": "simple"})
    timesteps: diffusion_core.timesteps.Timesteps = field(metadata={"axis": "uniform"})
    network: diffusion_core.networks.network.Network = field(metadata={"axis": "unet"})
    sampler: diffusion_core.samplers.Sampler = field(metadata={"axis": "ancestral"})
    spacing: diffusion_core.chain.Spacing = field(metadata={"axis": "uniform"})
    coupling: diffusion_core.couplings.Coupling = field(metadata={"axis": "independent"})
    training: diffusion_core.training.Training = field(metadata={"axis": "default"})
    average: diffusion_core.averages.Average = field(metadata={"axis": "tracked"})
    conditioning: diffusion_core.conditioning.Conditioning = field(metadata={"axis": "unconditional"})
    guidance: ablations.settings.evaluation.Guidance = field(metadata={"axis": "default"})
    evaluation: ablations.settings.evaluation.Evaluation = field(metadata={"axis": "default"})
    horizon: Horizon = field(metadata={"number": 1000, "type": Horizon})
    time_input: diffusion_core.choices.TimeInput = field(metadata={"words": TIME_INPUT})
    first_step: diffusion_core.choices.FirstStepRule = field(metadata={"words": FIRST_STEP})
    time: diffusion_core.choices.Time = field(metadata={"words": TIME})
    budget: ablations.settings.evaluation.Budget = field(metadata={"words": BUDGET})
    threads: Threads = field(metadata={"number": 1, "type": Threads})
    seed: int

    younger: ClassVar[tuple[str, ...]] = ("coupling", "average", "conditioning", "guidance")
    """Axes that are left out of identities at their default, with no field set: their default does what was done before
    they existed."""

    @property
    def imported(self) -> bool:
        """True where its network is taken as others trained it."""
        return self.network.pretrained and self.training.start == "seed"

    @property
    def score_seed(self) -> int:
        """The seed of what is drawn to score it: the evaluation's for all trainings, so that only these differ. Where
        nothing is trained here each seed has its own, or all would be one score."""
        return self.evaluation.seed + self.seed * self.untrained

    @property
    def untrained(self) -> bool:
        """True where nothing of it is trained here."""
        return self.imported or (self.horizon == 0 and self.space.pretrained)

    @property
    def told_labels(self) -> bool:
        """True where its network is told labels; a chain of no steps has no network."""
        return self.conditioning.labelled and self.horizon > 0

    @property
    def classes(self) -> int:
        """The number of classes of the data that its network is told; 0 where it is told no labels."""
        return self.data.described().classes if self.told_labels else 0

    @property
    def scored_unlabelled(self) -> bool:
        """True where its network is told labels and also has a bound without them: it has learned to do without labels,
        and σ² is not fitted to its errors with labels, which are smaller."""
        return self.told_labels and getattr(self.conditioning, "dropout", 0) > 0 and not self.variance.fitted


def _fields(kind: str) -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(Cell) if kind in item.metadata}


AXES: dict[str, str] = {name: item.metadata["axis"] for name, item in _fields("axis").items()}
"""The axes of a cell, and the default choice of each."""

BASES: dict[str, str] = {name: str(Cell.__annotations__[name]) for name in AXES}
"""The base class of each axis, by its dotted name."""

NUMBERS: dict[str, int] = {name: item.metadata["number"] for name, item in _fields("number").items()}
"""The fields of a cell that are plain numbers, and their defaults."""

TYPES: dict[str, Any] = {name: item.metadata["type"] for name, item in _fields("number").items()}

WORDS: dict[str, dict[str, str]] = {name: item.metadata["words"] for name, item in _fields("words").items()}
"""The fields of a cell that are one word of a few, each with a line that explains it."""

PLAIN: dict[str, Any] = NUMBERS | {name: next(iter(words)) for name, words in WORDS.items()}
"""The fields of a cell that are no choices, and their defaults."""


AT_ONCE = ("training", "guidance", "evaluation")
"""Axes of one class that is imported without torch: an unknown field is refused before torch is imported."""


def default_name(axis: str) -> str:
    """The name of an axis's default choice; for an axis of one class, that of the axis."""
    return axis if axis in AT_ONCE else AXES[axis]
