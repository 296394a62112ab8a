"""The shared checks find what is wrong with a class from outside, and say it in one line; what is right they pass."""

from __future__ import annotations

import re

import pytest

from diffusion_core.objectives import Weighted
from diffusion_core.schedules import LogSnrLinear
from diffusion_core.testing import (
    CHECKS,
    check_network,
    check_parameterization,
    check_schedule,
)
from diffusion_core.testing.variants import name, variants
from tests.diffusion_core import wrong

WRONG = [
    (wrong.Wavy(), r"Schedule Wavy: gamma must rise strictly, but falls at t=[3-9] of T=25 \(from -\d.+ to -\d.+\)"),
    (wrong.Unscaled(), r"rate must be dgamma/du with u = \(t - 1\)/\(T - 1\), by autograd, but it is"),
    (LogSnrLinear(gamma_max=200.0), r"gamma_T must be at most 160, or infinite, but it is 200 at T=25"),
    (wrong.Choosy(), r"some horizon must be allowed, but it allows none of T=2, .*: choosy does not"),
    (wrong.Broken(), r"starts from clean data.*, but it raises AttributeError: 'Broken' object has no"),
    (wrong.Unmoved(), r"twice the shift must be twice the sigma.*, but it is .* instead of .* at t=1 of T=60"),
    (wrong.OddFirst(), r"first_step must be beta_tilde_2 or beta_1, but it is 'beta_2'"),
    (wrong.Thawed(), r"must be a frozen dataclass, but its fields can be set: add frozen=True"),
    (wrong.SumOfBoth(), r"x0 of a perfect output must be x_0, but it is .* instead of .* at t=1"),
    (wrong.Scaled(), r"kappa must be the squared error .*, but it is 599 instead of 2396 at t=1 of"),
    (wrong.Doubled(), r"must lie between beta_tilde and beta, but it is .*, above beta = .* at step 2 of"),
    (wrong.Silent(), r"learned must say whether .*, but learned=True, and sigma\^2 does not read the"),
    (wrong.Wide(), r"log_variance must be float32 for float32 data, but it is torch.float64"),
    (wrong.Misweighed(), r"must be that of eps_weight times its square, but it is .* at t=1 of T=50 with"),
    (wrong.Secretive(), r"reads_variance must say .*, but reads_variance=False, and its loss with Beta"),
    (
        wrong.Stepwise(),
        r"it raises RuntimeError: an objective that reads a term of a chain must say continuous = False",
    ),
    (wrong.Relative(), r"must not depend on the rest of its batch, but it is .* instead of .* at t=1 of T=50 with"),
    (wrong.Averaged(), r"Averaged.loss must give one loss an example, a tensor \[50\]: got \[\]"),
    (wrong.Squared(), r"the share of each t must be density\(\)/T as built, but it is 0.2 instead of 0.04"),
    (wrong.Squared(honest=True), r"losses must have the mean of uniform times as built, but"),
    (wrong.Forgetful(history=15), r"what it remembers must be in its buffers"),
    (wrong.Unsaid(), r"independent must say whether noise knows nothing of x_0, but independent=True, and .* another"),
    (wrong.Rolled(), r"permutes must say whether .*, but permutes=False, and the noise of 7 examples is draw 0 in"),
    (wrong.Restless(), r"noise must follow from x_0 and the draws alone, but it is"),
    (wrong.Hushed(), r"labelled must say whether labels are told, but labelled=False, and it tells \['label'\]"),
    (wrong.Mixed(), r"a label must be that of its example, or none, but \d+ of 2048 have another"),
    (wrong.Moody(), r"label must follow from the seed, the step and the label, but it is .* in example"),
    (wrong.Cheap(self_conditioning=True), r"passes must be .*, but 4 steps ask it 8 times, and passes is 1"),
    (wrong.Held(), r"a choice must hold plain values, but table is a tensor"),
    (wrong.Narrow(), r"at channels_out=4 the output for \[3, 2\] must be \[3, 4\], but it is \[3, 2\]"),
    (wrong.Fitting(zero=False), r"the output must start at zero, but it goes up to .*: let the last layer be zero"),
    (wrong.Fitting(dropout=0.5), r"in evaluation.*, but it is .*"),
    (
        wrong.Normed(),
        r"in training examples of a batch must not see each other, but it is .* take GroupNorm or LayerNorm",
    ),
    (wrong.Normed(by="training"), r"without dropout the output in training must be that in evaluation, but it is .*"),
    (wrong.Fitting(drawn="by its own generator"), r"must follow from the seed alone, but noise depends on"),
    (
        wrong.Fitting(drawn="and not saved"),
        r"restored from its state_dict must give the same output, but .*: is a buffer left out",
    ),
    (
        wrong.Lonely(),
        r"gains_beside must be false for what cannot lie side by side, but it has no form in diffusion_core.fast",
    ),
    (
        wrong.Shared(width=8),
        r"networks side by side must give what each gives alone, but it is .* in the output of net",
    ),
    (wrong.Labelled(8, 1), r"the output must depend on the label, but it is the same for 0 and 1 after 5 steps"),
    (wrong.Labelled(8, 1, "the first of none"), r"the output must be that for the label K of K classes, but it is"),
    (
        wrong.Labelled(8, 1, "wider layers"),
        r"with labels a network must start as without, but time.first.weight",
    ),
    (wrong.Labelled(8, 1, "an error"), r"a network that takes no labels must say so, but it says: not today"),
    (wrong.SilentlyOnce(), r"a gradient of its gradient must be its slope, or a RuntimeError, but it is .* instead of"),
    (wrong.Shapeless(), r"it must take images \[C, H, W\] or points \[D\], but it takes none of \[1, 8, 8\]"),
    (wrong.OwnNoise(), r"a sample must be the same however many are drawn, but it is .* in sample 0"),
    (wrong.Crowded(), r"a sample must be the same however many are drawn, but"),
    (wrong.Miscounted(), r"calls must be .*, but 31 steps call it 62 times, and calls\(31\) is 31"),
]


@pytest.mark.parametrize(("choice", "message"), WRONG, ids=[name(choice) for choice, _ in WRONG])
def test_what_is_wrong_is_told_in_one_line(choice, message):
    axis, check = next((base, check) for base, check in CHECKS.items() if isinstance(choice, base))
    with pytest.raises(AssertionError) as caught:
        check(choice)
    told = str(caught.value)
    assert "\n" not in told
    assert re.search(message, told), told
    assert told.startswith(f"{axis.__name__} {type(choice).__name__}")


def test_classes_from_outside_that_are_right_pass():
    check_network(wrong.Fitting())
    for share in (0.0, 0.5):
        check_network(wrong.Dropping(share=share))
    check_schedule(wrong.Wavy(depth=0.1))
    check_parameterization(wrong.Scaled(said=4.0))


def test_variants_are_all_values_of_fields_that_take_a_few_words():
    assert [choice.space for choice in variants(Weighted)] == ["epsilon", "x0", "v"]
    assert [choice.space for choice in variants(Weighted, space="v", power=2.0)] == ["v"]
    assert variants(wrong.Wavy) == [wrong.Wavy()]
