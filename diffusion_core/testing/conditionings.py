"""Properties of every conditioning: what a network is told follows from the seed and the label, as its flags say.

They are checked with perceptrons for points in three classes, and with a network that counts its calls.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_core.choices import Choices
from diffusion_core.conditioning import TOLD, Conditioning
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.networks.mlp import Mlp
from diffusion_core.randomness import Values
from diffusion_core.samplers import Ddim
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.problems import diffusion
from diffusion_core.testing.saying import Property, nowhere, require, require_close, require_equal, require_flag

CLASSES = 3
LABELS = torch.arange(-1, CLASSES).repeat(512)
"""The labels of a batch, some of which are −1 for none."""


def told(conditioning: Conditioning, labels: Tensor, seed: int = 0, step: int = 0) -> Values:
    """The conditioning that a step gives the network for a batch with these labels."""
    return conditioning.told({**conditioning.draws(len(labels), seed, step), "label": labels}, CLASSES)


def stirred(conditioning: Conditioning) -> Diffusion:
    """A diffusion of points whose weights have moved from their start."""
    choices = Choices(network=Mlp(width=16, layers=1), horizon=50, conditioning=conditioning)
    made = Diffusion(choices, Continuous(), (2,), CLASSES)
    made.initialise(0)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return made.eval()


def follows_from_the_seed_and_the_label_alone(conditioning: Conditioning) -> None:
    """A continued training equals an unbroken one; each step, and each example, has draws of its own."""
    first, again = told(conditioning, LABELS), told(conditioning, LABELS)
    for key, value in first.items():
        rule = f"{key} must follow from the seed, the step and the label"
        require_equal(conditioning, rule, again[key].long(), value.long(), lambda i: f"in example {i[0]}")
        shape = tuple(value.shape)
        require(conditioning, f"{key} must be told of each example", shape == LABELS.shape, f"it is {list(shape)}")
        require(conditioning, "what is told must be one of TOLD", key in TOLD, f"{key} is not")
    for key, draws in conditioning.draws(len(LABELS), 0, 0).items():
        for seed, step in ((1, 0), (0, 1)):
            other = conditioning.draws(len(LABELS), seed, step)[key]
            rule = "another seed or step must draw anew"
            require(conditioning, rule, not torch.equal(draws, other), f"{key} is the same at seed {seed}, step {step}")


def tells_labels_only_if_it_says_so(conditioning: Conditioning) -> None:
    """`labelled` decides whether data need labels: each its own or none, and none where it has none."""
    values = told(conditioning, LABELS)
    require_flag(conditioning, "labelled", "labels are told", "label" in values, f"it tells {sorted(values)}")
    if not conditioning.labelled:
        return
    label = values["label"]
    wrong = (label != CLASSES) & (label != LABELS)
    require(conditioning, "labels must be int64", label.dtype == torch.int64, f"they are {label.dtype}")
    fact = f"{int(wrong.sum())} of {len(label)} have another, or one where there is none"
    require(conditioning, "a label must be that of its example, or none", not wrong.any(), fact)
    kept = bool((label[LABELS >= 0] != CLASSES).any())
    require(conditioning, "some examples must keep their label", kept, "none does")


def labels_matter_only_if_it_says_so(conditioning: Conditioning) -> None:
    """The network's output depends on the label. No label counts as one more, so there are K + 1 outputs."""
    made, x = stirred(conditioning), torch.ones(1, 2).expand(CLASSES + 1, 2)
    t = torch.full((CLASSES + 1,), 7)
    x0 = made.given(torch.arange(CLASSES + 1)).reverse(x, made.chain(), t).x0
    answers = len(torch.unique(x0, dim=0))
    expected = CLASSES + 1 if conditioning.labelled else 1
    rule = f"the network must have {expected} answers at one x_t"
    require(conditioning, rule, answers == expected, f"it has {answers} for {CLASSES} classes and none")
    nothing = made.reverse(x, made.chain(), t).x0
    rule = "without labels given there must be none"
    require_close(conditioning, rule, nothing, x0[-1:].expand_as(x0), rtol=1e-5, atol=1e-6, place=nowhere)


def passes_is_how_often_the_network_is_asked(conditioning: Conditioning) -> None:
    """The costs of a bound and of a sampler's call are counted in passes."""
    asked: list[int] = []

    def spy(x_t: Tensor, t: Tensor, *label: Tensor) -> Tensor:
        asked.append(len(x_t))
        return 0 * x_t[:, :2]

    made = diffusion(spy, 31, conditioning=conditioning, classes=CLASSES)
    Ddim(steps=4).sample(made, 5, seed=0)
    rule = "passes must be how often the network is asked for one x_0"
    fact = f"4 steps ask it {len(asked)} times, and passes is {conditioning.passes}"
    require(conditioning, rule, len(asked) == 4 * conditioning.passes, fact)


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    follows_from_the_seed_and_the_label_alone,
    tells_labels_only_if_it_says_so,
    labels_matter_only_if_it_says_so,
    passes_is_how_often_the_network_is_asked,
)
