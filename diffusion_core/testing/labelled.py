"""Properties of every network that takes labels: it learns from them, and an example without one has the label K.

A network that takes no labels must refuse them; nothing else is checked of it here.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from diffusion_core.networks.network import Network
from diffusion_core.randomness import built, initialise
from diffusion_core.testing.modules import TIME, inputs, moved, require_as_alone
from diffusion_core.testing.saying import Property, require, require_equal

CLASSES = 3
LABEL = torch.tensor([0, 2, 3])
"""The labels of three examples, the last of which has none."""
STEPS, RATE = 5, 1e-2


def told(network: Network, shape: tuple[int, ...], seed: int = 0) -> nn.Module | None:
    """The module of three classes with the initial weights of a seed; none where the network takes no labels."""
    try:
        module = built(lambda: network.labelled(shape, shape[0], CLASSES), seed)
    except ValueError as error:
        rule = "a network that takes no labels must say so"
        require(network, rule, "labels" in str(error), f"it says: {error}")
        return None
    initialise(module, seed)
    return module.eval()


def with_labels_it_starts_as_without(network: Network, shape: tuple[int, ...]) -> None:
    """All weights that are not for labels are those of the same seed without labels."""
    module = told(network, shape)
    if module is None:
        return
    plain = built(lambda: network.build(shape, shape[0]), 0)
    initialise(plain, 0)
    own = module.state_dict()
    differing = [key for key, value in plain.state_dict().items() if key not in own or not torch.equal(value, own[key])]
    rule = "with labels a network must start as without"
    require(network, rule, not differing, lambda: f"{differing[0]} differs")


def labels_matter_after_a_few_steps(network: Network, shape: tuple[int, ...]) -> None:
    """After steps that teach it each label's number, any two labels give different outputs at the same x_t and time."""
    module = told(network, shape)
    if module is None:
        return
    count = CLASSES + 1
    asked = inputs(shape, 1).expand(count, *shape), TIME[:1].expand(count), torch.arange(count)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for _ in range(STEPS):
        loss = (module(*asked).flatten(1) - asked[2][:, None]).square().mean()
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= RATE * slope.sign()
    out = module(*asked)
    near = [(i, j) for i in range(count) for j in range(i) if torch.isclose(out[i], out[j]).all()]
    rule = "the output must depend on the label"
    require(network, rule, not near, lambda: f"it is the same for {near[0][1]} and {near[0][0]} after {STEPS} steps")


def no_label_is_the_one_after_the_last(network: Network, shape: tuple[int, ...]) -> None:
    """A network without given labels is told the label K of K classes."""
    module, x = told(network, shape), inputs(shape)
    if module is None:
        return
    out, none = moved(module, 0)(x, TIME), torch.full_like(LABEL, CLASSES)
    rule = "without labels the output must be that for the label K of K classes"
    require_equal(network, rule, out, module(x, TIME, none), lambda i: f"in example {i[0]}")


def labelled_ones_give_beside_others_what_they_give_alone(network: Network, shape: tuple[int, ...]) -> None:
    """If `gains_beside` says so, outputs and gradients on a CPU are those of each network alone, bit by bit, each with
    labels of its own."""
    x, first = inputs(shape), told(network, shape)
    if first is None or not network.gains_beside(shape, len(x)):
        return
    modules = [moved(copy.deepcopy(first), seed) for seed in range(3)]
    labels = LABEL, LABEL.flip(0), torch.full_like(LABEL, CLASSES)
    rule = "labelled networks side by side must give what each gives alone"
    require_as_alone(network, rule, modules, [(x + i, TIME + i, label) for i, label in enumerate(labels)])


PROPERTIES: tuple[Property, ...] = (
    with_labels_it_starts_as_without,
    labels_matter_after_a_few_steps,
    no_label_is_the_one_after_the_last,
    labelled_ones_give_beside_others_what_they_give_alone,
)
"""The properties, each a function of a network and the shape of an example."""
