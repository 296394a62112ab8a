"""A metric: a number that generated samples score, and what tables, figures, verdicts, claims and searches know of it;
and the sets of images or points as it sees them, X generated, Y real, with what is worked out of each once.

    features φ(x), logits   by the extractor of the data, in float64 on the CPU; of points, which have none, φ(x) = x

A metric is one class in a file beside this one. Its column in runs.csv is, with the parts that apply,

    name / what it is held against / extractor / n    fid/train/digits-cnn, is/digits-cnn, energy_distance/test

`MEASURED` are the columns that stages measure beside these. None of this needs torch: words are refused early.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from diffusion_core.refusing import choice_name

if TYPE_CHECKING:
    from torch import Tensor

    from ablations.metrics.extractors.architectures import Extractor

CHUNK = 1000
"""Rows of a matrix of distances that are there at once."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Cache:
    """One or two sets that are judged, with the values computed from them."""

    _values: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)

    def cached(self, make: Callable[[Self], T]) -> T:
        """The value that `make` works out of it, for all metrics that ask: statistics of real images, say."""
        if make not in self._values:
            self._values[make] = make(self)
        result: T = self._values[make]
        return result


@dataclass(frozen=True, eq=False)
class FeatureSet(_Cache):
    """A set as metrics see it; `extractor` is None for points, `labels` [N] are the classes, −1 where there is none.

    Labels are None of data, and of samples of a model, that know no classes.
    """

    stored: Tensor
    extractor: Extractor | None = None
    labels: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """Features [N, d] of images, worked out where they lie; points as they are."""
        return self.stored.flatten(1).double().cpu() if self.extractor is None else self._outputs[0]

    @property
    def logits(self) -> Tensor:
        """Logits [N, classes] of images."""
        return self._outputs[1]

    @cached_property
    def _outputs(self) -> tuple[Tensor, Tensor]:
        from ablations.metrics.extractors.architectures import features

        assert self.extractor is not None, "points have no extractor"
        return features(self.extractor, self.stored, self.stored.device)

    def of_class(self, label: int) -> Tensor:
        """The stored values of a class."""
        assert self.labels is not None, "a metric that reads labels is asked where there are some"
        return self.stored[(self.labels == label).to(self.stored.device)]


@dataclass(frozen=True, eq=False)
class Comparison(_Cache):
    """All that a metric may read of one generated set.

    `real` is what it is held against: training images where the test split is judged, else held-out images or points.
    `held_out` are further real ones, beside training images only; `levels` how many grey levels images have, None
    of points.
    """

    generated: FeatureSet
    real: FeatureSet
    held_out: FeatureSet | None = None
    levels: int | None = None

    @property
    def beside(self) -> FeatureSet:
        """The held-out images, of which a metric that reads them is asked only where there are some."""
        assert self.held_out is not None, "a metric that reads held-out images is asked where there are some"
        return self.held_out


def checked(values: Tensor, metric: str, at_least: int) -> Tensor:
    """Samples, one a row, as float64 on the CPU; ValueError where they are too few or hold what is no number."""
    if values.dim() != 2 or len(values) < at_least:
        raise ValueError(f"{metric} needs at least {at_least} samples, one a row, got the shape {list(values.shape)}")
    if bad := int((~values.isfinite()).any(1).sum()):
        raise ValueError(f"{metric}: {bad} of {len(values)} samples hold values that are not finite")
    return values.double().cpu()


Kind = Literal["images", "points"]


@dataclass(frozen=True)
class MetricInfo:
    """The facts about a metric, and about its column in runs.csv, `name`.

    `direction` is where better values lie, none where neither end is better as such; `digits` how many decimals are
    worth printing. `decides` is what the metric is asked for where it gives a verdict: likelihood, samples, or a word
    of an author's. Values are compared on their `scale`: log where errors are shares of a value. `relevant` is the
    smallest difference that matters, in the metric's unit, or a share of the value on a log scale; a grid's file may
    name another. `least` is the least value that there can be. One generated set's value is `counted` where it is a
    share of so many samples. It `pools` sets where it has one value for all n images or points of them together.

    A metric of samples is `of` images, points or both. It `extracts` where it reads features or logits, `compares`
    where it reads the real set, and reads held-out images beside it, or labels, where it says so; `has_floor` where
    what real images score is worth showing. Nothing that reads held-out images is there on validation data.

    `part` is what a cell must have to have it, `asked_by` the field of the evaluation that asks for it where it is not
    always there, or `dropout` of labels. It is `asked` where a run asked for it by name: every table shows it.
    """

    label: str
    direction: Literal["min", "max", "none"]
    unit: str | None = None
    digits: int | None = None
    decides: str | None = None
    scale: Literal["linear", "log"] = "linear"
    relevant: float | None = None
    least: float | None = None
    counted: bool = False
    of: tuple[Kind, ...] = ("images", "points")
    extracts: bool = False
    pools: bool = False
    compares: bool = True
    reads_held_out: bool = False
    reads_labels: bool = False
    has_floor: bool = True
    part: Literal["autoencoder", "diffusion"] | None = None
    asked_by: str | None = None
    asked: bool = False
    name: str = ""

    @property
    def kind(self) -> str:
        """The metric's name: nll of nll/test."""
        return self.name.split("/")[0]

    @property
    def sign(self) -> int:
        """The direction that is better: 1 for more, −1 for less, 0 where neither end is better as such."""
        return {"max": 1, "min": -1, "none": 0}[self.direction]

    @property
    def is_likelihood(self) -> bool:
        """True where it is a likelihood of the data, and not a part of one."""
        return self.kind.startswith("nll") and self.direction != "none"

    def shown(self, counts: int) -> dict[str, Any]:
        """The metric's entry in grid.json, without what there is nothing to say of; a value counts so many samples."""
        entry: dict[str, Any] = {"name": self.name, "label": self.label, "unit": self.unit, "direction": self.direction}
        entry |= {"decimals": self.digits, "decides": self.decides, "part": self.part, "asked": self.asked or None}
        entry |= {"scale": None if self.scale == "linear" else self.scale, "relevant": self.relevant}
        entry |= {"resolution": 1 / counts if self.counted else None, "least": 0.0 if self.counted else self.least}
        return {key: value for key, value in entry.items() if value is not None}


class Metric(ABC):
    """A number that one generated set scores: a frozen class whose fields all have defaults, and its `info`."""

    info: ClassVar[MetricInfo]

    @abstractmethod
    def compute(self, sets: Comparison) -> float:
        """The score of one generated set; ValueError, in one line, where it has none."""

    @classmethod
    def column(cls, against: str, extractor: str | None, n: int = 0) -> MetricInfo:
        """The column of values against a set called so (train, val, test), by this extractor (None for points), on `n`
        generated images or points in all."""
        parts = [against] if cls.info.compares else []
        parts += [extractor] if cls.info.extracts and extractor is not None else []
        parts, label = parts or ["samples"], cls.info.label
        if cls.info.pools:
            parts, label = [*parts, str(n)], f"{label}, n = {n}"
        return replace(cls.info, label=label, name="/".join([choice_name(cls), *parts]))


LOOSENESS = "looseness/test"
"""The bound less the importance-weighted one."""

SCALE = "guidance/scale"

_NLL = MetricInfo("NLL", "min", "bits/dim", 2, name="nll/test", relevant=0.01)
_ALONE = replace(_NLL, part="diffusion", relevant=None)
_TERM = MetricInfo("", "none", "bits/dim", 2)
_CODES = replace(_TERM, part="autoencoder")
_VARIANCE = MetricInfo("Variance of the estimate", "min", "(bits/dim)²", part="diffusion", scale="log")
_COST, _SECONDS = MetricInfo("", "none"), MetricInfo("", "none", "s", 0, part="diffusion")
# What is measured with training or test data alone stands beside `reads_held_out`: a search cannot go by it.
_LOSS = MetricInfo("", "min", digits=1, part="autoencoder", reads_held_out=True)

MEASURED: tuple[MetricInfo, ...] = (
    replace(_NLL, decides="likelihood"),
    replace(_ALONE, name="nll_continuous/test", label="NLL, continuous time", asked_by="continuous"),
    replace(_ALONE, name="nll_ode/test", label="NLL, ODE", asked_by="ode"),
    replace(_NLL, name="nll_iwae/test", label="NLL, weighted", asked_by="iwae"),
    replace(_NLL, name=LOOSENESS, label="Looseness", digits=3, asked_by="iwae"),
    # The bound of a network that was told labels, now that it is told none. All others above are given each label.
    replace(_NLL, name="nll_unlabelled/test", label="NLL, no label", asked_by="dropout", reads_held_out=True),
    replace(_TERM, name="nll/test_L0", label="L₀"),
    replace(_TERM, name="nll/test_Lt", label="L₁ to L_{T−1}"),
    replace(_TERM, name="nll/test_LT", label="L_T", digits=None),
    replace(_CODES, name="nll/test_reconstruction", label="E −log P(x|z)"),
    replace(_CODES, name="nll/test_entropy", label="E log q(z|x)"),
    MetricInfo("Guidance scale", "none", digits=2, part="diffusion", name=SCALE),
    MetricInfo("max β", "none", digits=3, part="diffusion", name="noise/beta_max"),
    replace(_LOSS, name="rfid/train/{extractor}", label="rFID", scale="log", least=0.0),
    replace(_LOSS, name="psnr/test", label="PSNR", direction="max", unit="dB"),
    replace(_COST, name="cost/total_flops", label="Training FLOPs"),
    replace(_COST, name="cost/autoencoder_flops", label="of it autoencoder", part="autoencoder"),
    replace(_COST, name="cost/sample_flops", label="FLOPs per sample"),
    replace(_SECONDS, name="cost/train_seconds", label="Training"),
    replace(_SECONDS, name="cost/autoencoder_seconds", label="Autoencoder", part="autoencoder"),
    replace(_SECONDS, name="cost/rung_seconds", label="Rungs"),
    replace(_VARIANCE, name="bound_variance/test", asked_by="estimates"),
)
"""The columns that they fill, where {extractor} stands for its name. The likelihoods among them, and how loose the
bound is, stand beside each other in tables, in this order, where they are asked for; the others where a grid's file
names them in `columns`."""
