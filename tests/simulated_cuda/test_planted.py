"""Mistakes with devices that were made on purpose, each of which a test of the GPU path finds on the simulated one."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest
import torch

from diffusion_core import batches, gamma, likelihood, precision, randomness, samplers, trainable
from diffusion_core.chain import Chain
from diffusion_core.diffusion import Diffusion
from diffusion_core.objectives import Simple
from diffusion_core.parameterizations import Epsilon
from diffusion_core.samplers import Ancestral
from diffusion_core.schedules import Linear
from diffusion_core.solvers import Heun
from diffusion_core.spacings import QuadraticSpacing, UniformSpacing
from diffusion_core.timesteps import ImportanceSampler
from tests.diffusion_core import test_gpu, test_waiting
from tests.simulated_cuda import simulated_cuda


@pytest.fixture(autouse=True)
def card():
    with simulated_cuda() as devices:
        yield devices


def times_stay_on_the_host(patch):
    def chain(self, steps=None, real=False):
        times = self.all_times
        if steps is not None and steps != self.choices.horizon:
            times = self.choices.spacing.times(self.gamma, steps, self.terms)
        return Chain(self.gamma, times, "beta_1")

    patch.setattr(Diffusion, "chain", chain)


def noise_is_not_sent(patch):
    for module in (randomness, trainable):
        patch.setattr(module, "send", lambda value, device: value)


def indices_are_not_sent(patch):
    patch.setattr(batches, "send", lambda value, device: value)


def draws_are_sent_from_pageable_memory(patch):
    patch.setattr(trainable, "send", lambda value, device: value.to(device))


def a_history_is_no_buffer(patch):
    def register_buffer(self, name, tensor, persistent=True):
        setattr(self, name, tensor)

    patch.setattr(ImportanceSampler, "register_buffer", register_buffer)


def results_stay_on_the_device(patch):
    patch.setattr(likelihood, "bound_of_halves", on_the_device(likelihood.bound_of_halves))


def on_the_device(bound_of_halves):
    def moved(terms, *rest):
        return bound_of_halves([{name: term.cuda() for name, term in half.items()} for half in terms], *rest)

    return moved


def steps_are_counted_on_the_host(patch):
    def reverse_at(diffusion, x_t, chain, k):
        return diffusion.reverse(x_t, chain, torch.full((len(x_t),), k))

    patch.setattr(samplers, "reverse_at", reverse_at)


def a_loss_is_read_at_each_step(patch):
    loss = Simple.loss

    def watched(self, example):
        values = loss(self, example)
        assert values.mean().isfinite()
        return values

    patch.setattr(Simple, "loss", watched)


def levels_are_read_at_each_step(patch):
    patch.setattr(Chain, "levels", property(lambda self: self.gamma(self.times).tolist()))


def exact_leaves_autocast_of_the_cpu(patch):
    @contextlib.contextmanager
    def exact(device):
        with torch.autocast("cpu", enabled=False):
            yield

    patch.setattr(precision, "exact", exact)


def edges_are_made_on_the_host(patch):
    patch.setattr(gamma.Gamma, "device", torch.device("cpu"))


def rows_are_chosen_by_a_mask(patch):
    patch.setattr(Diffusion, "term_of", rows_by_mask)


def rows_by_mask(self, x0, p):
    first = p.pair.ends_clean.expand(len(x0))
    terms = likelihood.sum_dims((p.mean - x0) ** 2)
    terms[first] = self.encoding.decoder_term(x0[first], p.mean[first], p.log_variance[first])
    return terms


strided = partial(test_gpu.test_samples_are_those_of_the_cpu, Ancestral(steps=6), QuadraticSpacing())
a_bound = partial(test_gpu.test_the_bound_is_that_of_the_cpu, Epsilon(), Linear(), UniformSpacing(), None, clip=False)
a_training_waits = test_waiting.test_a_training_waits_at_its_reports_alone
a_sampler_waits = test_waiting.test_a_sampler_waits_at_no_step
MORE = r"assert \d+ == \d+"
"""More waits where there is more to do."""

PLANTED = [
    (times_stay_on_the_host, strided, "on the same device"),
    (noise_is_not_sent, partial(a_training_waits, "simple"), "on the same device"),
    (noise_is_not_sent, strided, "on the same device"),
    (indices_are_not_sent, partial(a_training_waits, "simple"), MORE),
    (draws_are_sent_from_pageable_memory, partial(a_training_waits, "simple"), MORE),
    (a_history_is_no_buffer, test_gpu.test_importance_remembers_on_the_gpu_what_it_does_on_the_cpu, "same device"),
    (results_stay_on_the_device, a_bound, "device"),
    (steps_are_counted_on_the_host, partial(a_sampler_waits, Ancestral()), MORE),
    (a_loss_is_read_at_each_step, partial(a_training_waits, "simple"), MORE),
    (levels_are_read_at_each_step, partial(a_sampler_waits, Heun()), MORE),
    (exact_leaves_autocast_of_the_cpu, test_gpu.test_the_bound_does_not_see_what_training_allows, "not close"),
    (edges_are_made_on_the_host, partial(a_training_waits, "edm"), "on the same device"),
    (rows_are_chosen_by_a_mask, partial(a_training_waits, "vlb"), MORE),
]


@pytest.mark.parametrize(
    ("plant", "test", "complaint"), PLANTED, ids=[f"{i}-{plant.__name__}" for i, (plant, *_) in enumerate(PLANTED)]
)
def test_a_planted_mistake_is_found(plant, test, complaint, monkeypatch):
    plant(monkeypatch)
    with pytest.raises((RuntimeError, AssertionError), match=complaint):
        test()
