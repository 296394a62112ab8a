"""Optuna's samplers and pruners, by the names that a study calls them.

A new sampler is made for each trial, with a seed of its own, so that it depends only on the trials that were told.
"""

from __future__ import annotations

from collections.abc import Callable

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, GridSampler, QMCSampler, RandomSampler, TPESampler

from ablations.search.space import Study
from diffusion_core.randomness import key

UNJUDGED = 5
"""The number of complete trials below which a median says nothing."""


def sampler_of(study: Study, number: int, objectives: int) -> BaseSampler:
    """The sampler of a study's trial."""
    seed = key(study.file.seed, number, "search") % 2**31
    startup, once = study.file.startup, study.file.seed
    makers: dict[str, Callable[[], BaseSampler]] = {
        # Parameters together, as far as trials have them together; one by one for two objectives, Optuna's way.
        "tpe": lambda: TPESampler(seed=seed, n_startup_trials=startup, group=objectives == 1),
        "gp": lambda: GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False),
        "cmaes": lambda: CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False),
        "qmc": lambda: QMCSampler(
            seed=once, scramble=True, independent_sampler=RandomSampler(seed=seed), warn_independent_sampling=False
        ),
        "random": lambda: RandomSampler(seed=seed),
        "grid": lambda: GridSampler(study.combinations(), seed=once),
    }
    return makers[study.file.sampler]()


def pruner_of(study: Study, rungs: list[int]) -> BasePruner:
    """The study's pruner, which judges trainings at these steps."""
    first, last = (rungs[0], rungs[-1]) if rungs else (1, 1)
    makers: dict[str, Callable[[], BasePruner]] = {
        "median": lambda: MedianPruner(n_startup_trials=min(UNJUDGED, study.file.startup)),
        "halving": lambda: SuccessiveHalvingPruner(min_resource=first, reduction_factor=2),
        "hyperband": lambda: HyperbandPruner(min_resource=first, max_resource=last, reduction_factor=2),
        "wilcoxon": lambda: WilcoxonPruner(p_threshold=0.1),
    }
    return makers[study.file.pruner]()
