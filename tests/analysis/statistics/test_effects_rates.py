"""How often effects are found, there or not, by simulation: where cells share a training, where some are noisier."""

import numpy as np
import pytest

from analysis.statistics.effects import effects
from tests.analysis.statistics.factorials import A, B, D, grid
from tests.sampling import sampled

SIMULATIONS = 300
# 5 % and 3 Monte-Carlo errors.
HIGH = 0.05 + 3 * (0.05 * 0.95 / SIMULATIONS) ** 0.5
IMAGES = 40


def own(frame):
    return frame["a"] + frame["b"]


def shared(frame):
    return frame["a"]


def partly(frame):
    return frame["a"] + frame["b"].replace({"b1": "s", "b2": "s"})


def simulated(frame, sharing, rng, noisy=1.0):
    """Errors of seeds, of trainings that cells share, and of runs, of which those at b1 are noisier; [runs]."""
    training = (sharing(frame) + frame["seed"].astype(str)).to_numpy()
    of_training = dict(zip(np.unique(training), 2 * rng.normal(size=len(np.unique(training))), strict=True))
    rest = np.where(frame["b"] == "b1", noisy, 1.0) * rng.normal(size=len(frame))
    return 5 * rng.normal(size=frame["seed"].max() + 1)[frame["seed"]] + [of_training[t] for t in training] + rest


def rates(frame, draw, images=None):
    """How often each effect is found by itself, and any by the family."""
    rng = np.random.default_rng(0)
    found, any_of_all = {}, 0
    for _ in range(SIMULATIONS):
        each = None if images is None else images(rng)
        y = draw(rng) if each is None else each.mean(1)
        told = effects(frame.assign(y=y), each).effects
        for effect in told:
            found[" ".join(effect.factors)] = found.get(" ".join(effect.factors), 0) + (effect.p <= 0.05)
        any_of_all += any(effect.adjusted <= 0.05 for effect in told)
    return {name: n / SIMULATIONS for name, n in found.items()}, any_of_all / SIMULATIONS


SCENES = [(sharing, noisy) for noisy in (1.0, 10.0) for sharing in (own, shared, partly)]
NAMES = [f"{sharing.__name__}-{'even' if noisy == 1 else 'noisy'}" for sharing, noisy in SCENES]


@pytest.mark.slow
@pytest.mark.parametrize(("sharing", "noisy"), sampled(SCENES, 5, NAMES))
@pytest.mark.parametrize("seeds", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_no_effect_is_found_too_often(seeds, sharing, noisy):
    """The lower bound errs by finding too little; with one degree of freedom there is no bound to take."""
    frame = grid({"a": D, "b": B[:3]}, seeds)
    single, family = rates(frame, lambda rng: simulated(frame, sharing, rng, noisy))
    assert max(*single.values(), family) <= HIGH, single
    assert single["a"] >= 0.05 - 3 * (HIGH - 0.05) / 3


def test_effects_of_the_images_alone_are_not_found():
    """Every image is harder for some cells, at all seeds alike: over seeds alone this would always be an effect."""
    frame = grid({"a": D, "b": B[:3]}, 3)

    def images(rng):
        hard = rng.normal(size=(6, IMAGES))
        return hard[np.tile(range(6), 3)] + 0.05 * rng.normal(size=(18, IMAGES))

    single, family = rates(frame, None, images)
    assert max(*single.values(), family) <= HIGH, single


@pytest.mark.parametrize("factor", sampled(["a", "b"], 2))
def test_a_planted_main_effect_is_found_and_no_other(factor):
    frame = grid({"a": D, "b": B}, 5)
    planted = 20.0 * (frame[factor] == {"a": "d2", "b": "b1"}[factor]).to_numpy()
    single, _ = rates(frame, lambda rng: simulated(frame, own, rng) + planted)
    assert single[factor] > 0.99
    assert all(rate <= HIGH for name, rate in single.items() if name != factor), single


def test_a_planted_interaction_is_found():
    frame = grid({"a": A, "b": B[:3]}, 5)
    planted = 20.0 * ((frame["a"] == "a1") == (frame["b"] == "b1")).to_numpy()
    assert rates(frame, lambda rng: simulated(frame, own, rng) + planted)[0]["a b"] > 0.95
