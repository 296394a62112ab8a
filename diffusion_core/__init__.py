"""The mathematics of diffusion models, as one choice of each axis: schedule, target, variance, objective, sampler, …

    import diffusion_core as dc

    model = dc.Diffusion(dc.Choices(network=dc.UNet(), horizon=1000), dc.GreyLevels(256), (1, 8, 8))
    model.initialise(seed=0)
    dc.trained(dc.DiffusionLearner(model), images, dc.Training(steps=1000), seed=0)
    samples = dc.Ddim(steps=50).sample(model, 16, seed=0)

What a first program needs is here; the other choices of an axis are in its file (`schedules`, `variances`, …). Nothing
is imported before it is used: torch takes seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusion_core.batches import Labelled as Labelled
    from diffusion_core.checking import check as check
    from diffusion_core.choices import Choices as Choices
    from diffusion_core.conditioning import Class as Class
    from diffusion_core.diffusion import Diffusion as Diffusion
    from diffusion_core.encodings import Continuous as Continuous
    from diffusion_core.encodings import GreyLevels as GreyLevels
    from diffusion_core.fitting import with_fitted_variance as with_fitted_variance
    from diffusion_core.guidance import guided as guided
    from diffusion_core.learner import DiffusionLearner as DiffusionLearner
    from diffusion_core.likelihood import bound as bound
    from diffusion_core.networks.dit import Dit as Dit
    from diffusion_core.networks.mlp import Mlp as Mlp
    from diffusion_core.networks.unet import UNet as UNet
    from diffusion_core.samplers import Ancestral as Ancestral
    from diffusion_core.samplers import Ddim as Ddim
    from diffusion_core.stratified import Stratification as Stratification
    from diffusion_core.trainer import train as train
    from diffusion_core.trainer import trained as trained
    from diffusion_core.training import Training as Training
    from diffusion_core.variances import AnalyticMse as AnalyticMse
    from diffusion_core.variances import BetaTilde as BetaTilde

PLACES = {
    "Labelled": "batches",
    "check": "checking",
    "Choices": "choices",
    "Class": "conditioning",
    "Diffusion": "diffusion",
    "Continuous": "encodings",
    "GreyLevels": "encodings",
    "with_fitted_variance": "fitting",
    "guided": "guidance",
    "DiffusionLearner": "learner",
    "bound": "likelihood",
    "Dit": "networks.dit",
    "Mlp": "networks.mlp",
    "UNet": "networks.unet",
    "Ancestral": "samplers",
    "Ddim": "samplers",
    "Stratification": "stratified",
    "train": "trainer",
    "trained": "trainer",
    "Training": "training",
    "AnalyticMse": "variances",
    "BetaTilde": "variances",
}
"""The names that are offered here, and the files that hold them."""

__all__ = list(PLACES)


if not TYPE_CHECKING:  # Type checkers must refuse names that do not exist.

    def __getattr__(name: str) -> Any:
        """Import an offered name when it is first asked for."""
        if name not in PLACES:
            raise AttributeError(f"diffusion_core offers no {name!r}: other choices are in the file of their axis")
        value = globals()[name] = getattr(importlib.import_module(f"diffusion_core.{PLACES[name]}"), name)
        return value


def __dir__() -> list[str]:
    """The offered names beside what any module has."""
    return sorted({*globals(), *PLACES})
