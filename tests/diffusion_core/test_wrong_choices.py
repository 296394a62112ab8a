"""The shared checks find what is wrong with a class from outside, and say it in one line; what is right they pass."""

from __future__ import annotations

import re

import pytest

from diffusion_core.testing import (
    CHECKS,
    check_network,
    check_objective,
    check_parameterization,
    check_sampler,
    check_schedule,
    check_timesteps,
    check_variance,
)
from diffusion_core.testing.variants import name, variants
from tests.diffusion_core import wrong
from tests.diffusion_core import wrong_networks as networks

WRONG = [
    (
        check_schedule,
        wrong.Wavy(),
        r"Schedule Wavy: gamma must rise strictly, but falls at t=[3-9] of T=25 \(from -\d.+ to -\d.+\)",
    ),
    (check_schedule, wrong.Unscaled(), r"rate must be dgamma/du with u = \(t - 1\)/\(T - 1\), by autograd, but it is"),
    (check_schedule, wrong.Steep(), r"gamma_T must be at most 160, or infinite, but it is 200 at T=25"),
    (check_schedule, wrong.Choosy(), r"some horizon must be allowed, but it allows none of T=2, .*: choosy does not"),
    (check_schedule, wrong.Broken(), r"starts from clean data.*, but it raises AttributeError: 'Broken' object has no"),
    (check_schedule, wrong.OddFirst(), r"first_step must be beta_tilde_2 or beta_1, but it is 'beta_2'"),
    (check_schedule, wrong.Thawed(), r"must be a frozen dataclass, but its fields can be set: add frozen=True"),
    (
        check_parameterization,
        wrong.SumOfBoth(),
        r"x0 of a perfect output must be x_0, but it is .* instead of .* at t=1",
    ),
    (
        check_parameterization,
        wrong.Scaled(),
        r"kappa must be the squared error .*, but it is 599 instead of 2396 at t=1 of",
    ),
    (
        check_variance,
        wrong.Doubled(),
        r"must lie between beta_tilde and beta, but it is .*, above beta = .* at step 2 of",
    ),
    (check_variance, wrong.Silent(), r"learned must say whether .*, but learned=True, and sigma\^2 does not read the"),
    (check_variance, wrong.Wide(), r"log_variance must be float32 for float32 data, but it is torch.float64"),
    (
        check_objective,
        wrong.Misweighed(),
        r"must be that of eps_weight times its square, but it is .* at t=1 of T=50 with",
    ),
    (
        check_objective,
        wrong.Secretive(),
        r"reads_variance must say .*, but reads_variance=False, and its loss with Beta",
    ),
    (
        check_objective,
        wrong.Stepwise(),
        r"it raises RuntimeError: an objective that reads a term of a chain must say continuous = False",
    ),
    (check_objective, wrong.Averaged(), r"the loss must be one number per example, but it is \[\] for 50 examples"),
    (
        check_timesteps,
        wrong.Squared(),
        r"the share of each t must be density\(\)/T as built, but it is 0.2 instead of 0.04",
    ),
    (check_timesteps, wrong.Squared(honest=True), r"losses must have the mean of uniform times as built, but"),
    (check_timesteps, wrong.Forgetful(), r"what it remembers must be in its buffers"),
    (check_timesteps, wrong.Held(), r"a choice must hold plain values, but table is a tensor"),
    (
        check_network,
        networks.Narrow(),
        r"at channels_out=4 the output for \[3, 2\] must be \[3, 4\], but it is \[3, 2\]",
    ),
    (
        check_network,
        networks.Loud(),
        r"the output must start at zero, but it goes up to .*: let the last layer be zero",
    ),
    (check_network, networks.Dropping(), r"in evaluation.*, but it is .*"),
    (check_network, networks.Moody(), r"initial weights must follow from the seed alone, but noise depends on"),
    (
        check_network,
        networks.Untold(),
        r"restored from its state_dict must give the same output, but .*: is a buffer left out",
    ),
    (
        check_network,
        networks.Shapeless(),
        r"it must take images \[C, H, W\] or points \[D\], but it takes none of \[1, 8, 8\]",
    ),
    (
        check_sampler,
        networks.OwnNoise(),
        r"a sample must be the same however many are drawn, but it is .* in sample 0",
    ),
    (check_sampler, networks.Crowded(), r"a sample must be the same however many are drawn, but"),
    (
        check_sampler,
        networks.Miscounted(),
        r"calls must be .*, but 31 steps call it 62 times, and calls\(31\) is 31",
    ),
]


@pytest.mark.parametrize(("check", "choice", "message"), WRONG, ids=[name(choice) for _, choice, _ in WRONG])
def test_what_is_wrong_is_told_in_one_line(check, choice, message):
    with pytest.raises(AssertionError) as caught:
        check(choice)
    told = str(caught.value)
    assert "\n" not in told
    assert re.search(message, told), told
    axis = next(base for base in CHECKS if isinstance(choice, base))
    assert told.startswith(f"{axis.__name__} {type(choice).__name__}")


def test_classes_from_outside_that_are_right_pass():
    check_network(networks.Fitting())
    check_schedule(wrong.Wavy(depth=0.1))
    check_parameterization(wrong.Scaled(said=4.0))


def test_variants_are_all_values_of_fields_that_take_a_few_words():
    from diffusion_core.objectives import Weighted

    assert [choice.space for choice in variants(Weighted)] == ["epsilon", "x0", "v"]
    assert [choice.space for choice in variants(Weighted, space="v", power=2.0)] == ["v"]
    assert variants(wrong.Wavy) == [wrong.Wavy()]
