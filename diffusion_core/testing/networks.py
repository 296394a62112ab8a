"""Properties of every network: it starts at zero and from its seed, stays in float32, trains on as if never stopped.

A network may take images [C, H, W] or points [D]; it is checked with those of `SHAPES` that it takes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.fast.forms import accelerated, stackable
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.network import Network
from diffusion_core.objectives import Simple, Vlb
from diffusion_core.parameterizations import Epsilon
from diffusion_core.randomness import seeded
from diffusion_core.schedules import Linear
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.modules import TIME, inputs, moved, require_as_alone
from diffusion_core.testing.saying import Property, nowhere, require, require_close, require_equal
from diffusion_core.timesteps import Uniform
from diffusion_core.trainer import train
from diffusion_core.training import Training
from diffusion_core.variances import Beta, LearnedVariance

SHAPES = ((1, 8, 8), (3, 16, 16), (1, 32, 32), (3, 64, 64), (2,), (5,))
STEP = 3e-4
"""The step of central differences, as a share of the direction."""
PLAN = Training(steps=4, batch=4, warmup=2, report_every=2)


def taken(network: Network) -> list[tuple[int, ...]]:
    """The first shape of images and the first of points that a network takes; a ValueError refuses a shape."""
    shapes: dict[int, tuple[int, ...]] = {}
    refused: dict[int, str] = {}
    for shape in SHAPES:
        if len(shape) not in shapes:
            try:
                network.build(shape, shape[0])
            except ValueError as error:
                refused[len(shape)] = str(error)
                continue
            shapes[len(shape)] = shape
    rule = "it must take images [C, H, W] or points [D]"
    tried = ", ".join(str(list(shape)) for shape in SHAPES)
    require(network, rule, bool(shapes), lambda: f"it takes none of {tried}: {'; '.join(refused.values())}")
    return list(shapes.values())


def built(network: Network, shape: tuple[int, ...], seed: int = 0, *, learned: bool = False) -> Diffusion:
    """A diffusion with the network's initial weights of a seed, whose output has 2C channels if `learned`."""
    variance, objective = (LearnedVariance(), Vlb()) if learned else (Beta(), Simple())
    made = Diffusion(Choices(Epsilon(), variance, Linear(), objective, Uniform(), network, 50), Continuous(), shape)
    made.initialise(seed)
    return made


def fresh(network: Network, shape: tuple[int, ...], seed: int = 0, *, learned: bool = False) -> nn.Module:
    """The module with the initial weights of a seed, in evaluation mode."""
    return built(network, shape, seed, learned=learned).network.eval()


def stirred(network: Network, shape: tuple[int, ...], *, learned: bool = False, seed: int = 0) -> nn.Module:
    """A module with every weight moved from its start, as after training."""
    return moved(fresh(network, shape, learned=learned), seed)


def output_has_the_asked_channels_and_the_shape_of_the_data(network: Network, shape: tuple[int, ...]) -> None:
    """[B, C, …] → [B, channels_out, …], channels_out = C, or 2C where a variance is learned."""
    for learned, factor in ((False, 1), (True, 2)):
        out = tuple(stirred(network, shape, learned=learned)(torch.zeros(3, *shape), TIME).shape)
        expected = (3, factor * shape[0], *shape[1:])
        rule = f"at channels_out={factor * shape[0]} the output for {[3, *shape]} must be {list(expected)}"
        require(network, rule, out == expected, f"it is {list(out)}")


def starts_at_zero(network: Network, shape: tuple[int, ...]) -> None:
    """The last layer is zero as built, so that training starts from one loss whatever the network."""
    out = fresh(network, shape)(inputs(shape), TIME)
    largest = float(out.detach().abs().max())
    fact = f"it goes up to {largest:.3g}: let the last layer be zero as built"
    require(network, "the output must start at zero", largest == 0, fact)


def every_parameter_is_taught(network: Network, shape: tuple[int, ...]) -> None:
    """Once all weights have moved, the loss has a gradient in each that asks for one."""
    module = stirred(network, shape)
    module(inputs(shape), TIME).square().sum().backward()
    idle = [name for name, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    require(network, "every parameter must be taught", not idle, lambda: f"{', '.join(idle)} has no gradient")


def the_first_step_teaches_something(network: Network, shape: tuple[int, ...]) -> None:
    """A last layer of zeros learns at once; a network all of whose gradients were zero never would."""
    module = fresh(network, shape)
    (module(inputs(shape), TIME) - 1).square().sum().backward()
    taught = [name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()]
    require(network, "the first step must teach some parameter", bool(taught), "all gradients are zero at the start")


def output_stays_float32_under_bf16_autocast_and_is_not_rounded_to_it(network: Network, shape: tuple[int, ...]) -> None:
    """Rounding a network's output to bf16 costs a μ-network up to 13 bits/dim: the last layer runs in float32."""
    module, x = stirred(network, shape), inputs(shape)
    plain = module(x, TIME)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(x, TIME)
    rule = "under bf16 autocast the last layer must run in float32"
    require(network, rule, out.dtype == torch.float32, f"the output is {out.dtype}")
    require(network, rule, not torch.equal(out, out.bfloat16().float()), "the output is rounded to bf16")
    rule = "under bf16 autocast the output must be near to that without"
    require_close(network, rule, out, plain, rtol=0.1, atol=0.1 * float(plain.detach().std()), place=nowhere)


def time_and_input_matter(network: Network, shape: tuple[int, ...]) -> None:
    """Another time, or another x_t, is another output, in every example."""
    module, x = stirred(network, shape), inputs(shape, 1).expand(3, *shape)
    out = module(x, TIME)
    differs = not torch.isclose(out[0], out[1]).all() and not torch.isclose(out[1], out[2]).all()
    require(network, "the output must depend on time", differs, "it is the same at two of the times 1, 500, 1000")
    read = not torch.isclose(out, module(x + 0.1, TIME)).all()
    require(network, "the output must depend on x", read, "it is the same at x and x + 0.1")


def examples_of_a_batch_do_not_see_each_other(network: Network, shape: tuple[int, ...]) -> None:
    """In evaluation an output is its own example's, so that no score depends on the batch."""
    module, x = stirred(network, shape), inputs(shape)
    alone = torch.cat([module(x[i : i + 1], TIME[i : i + 1]) for i in range(3)])
    rule = "in evaluation examples of a batch must not see each other"
    require_close(network, rule, module(x, TIME), alone, rtol=1e-4, atol=1e-5, place=lambda i: f"in example {i[0]}")


def in_evaluation_it_is_a_function(network: Network, shape: tuple[int, ...]) -> None:
    """Nothing is drawn, dropout included, and nothing is remembered from call to call."""
    module, x = stirred(network, shape), inputs(shape)
    first = module(x, TIME)
    with seeded(5, "another state of the global generator"):
        again = module(x, TIME)
    rule = "in evaluation the same input must give the same output"
    require_equal(
        network, rule, again, first, lambda i: f"in example {i[0]} of a second call: is dropout off in eval()?"
    )


def in_training_examples_do_not_see_each_other_either(network: Network, shape: tuple[int, ...]) -> None:
    """BatchNorm would be scored as another function than was taught: by running statistics, of weights that are not
    the average's. Dropout is drawn alike for both batches."""
    module, x = stirred(network, shape).train(), inputs(shape)
    others = torch.cat([x[:1], 1 - 2 * x[1:]])
    outputs = []
    for batch, time in ((others, TIME[[0, 2, 1]]), (x, TIME)):
        with seeded(5, "dropout"):
            outputs.append(module(batch, time)[:1])
    rule = "in training examples of a batch must not see each other"
    hint = "in one whose neighbours changed: take GroupNorm or LayerNorm for BatchNorm"
    require_close(network, rule, *outputs, rtol=1e-4, atol=1e-5, place=lambda _: hint)


def training_differs_from_evaluation_by_dropout_alone(network: Network, shape: tuple[int, ...]) -> None:
    """A network that draws nothing in training gives there what it gives in evaluation."""
    module, x = stirred(network, shape), inputs(shape)
    scored, taught = module(x, TIME), []
    module.train()
    for state in (5, 6):
        with seeded(state, "dropout"):
            taught.append(module(x, TIME))
    if not torch.equal(*taught):
        return
    rule = "without dropout the output in training must be that in evaluation"
    require_close(network, rule, taught[0], scored, rtol=1e-4, atol=1e-5, place=lambda i: f"in example {i[0]}")


def weights_agree_between_networks_that_differ_only_in_their_outputs(network: Network, shape: tuple[int, ...]) -> None:
    """Cells with and without a learned variance must start with the same weights."""
    plain, other = (fresh(network, shape, learned=learned).state_dict() for learned in (False, True))
    rule = "with twice the channels_out all but the last layer must start alike"
    require(network, rule, plain.keys() == other.keys(), f"{sorted(plain.keys() ^ other.keys())} is in one alone")
    shared = [key for key in plain if plain[key].shape == other[key].shape]
    differing = [key for key in shared if not torch.equal(plain[key], other[key])]
    require(
        network, rule, not differing, lambda: f"{differing[0]} differs: draw it in a reset_parameters of its module"
    )


def initial_weights_follow_from_the_seed_alone(network: Network, shape: tuple[int, ...]) -> None:
    """Every weight and buffer is the same in two builds at one seed, wherever torch's global generator stands."""
    states: list[dict[str, Tensor]] = []
    for around in (1, 2):
        with seeded(around, "another state of the global generator"):
            states.append(fresh(network, shape).state_dict())
    differing = [key for key in states[0] if not torch.equal(states[0][key], states[1][key])]
    rule = "initial weights must follow from the seed alone"
    require(
        network,
        rule,
        not differing,
        lambda: f"{', '.join(differing)} depends on what was drawn before: draw by torch's global generator alone",
    )
    other = fresh(network, shape, seed=1).state_dict()
    moved = any(not torch.equal(states[0][key], other[key]) for key in other)
    require(network, "another seed must give other initial weights", moved, "seeds 0 and 1 give the same")


def its_weights_are_all_that_it_is(network: Network, shape: tuple[int, ...]) -> None:
    """A network restored from a state_dict gives the same output, whatever was drawn while it was built."""
    module, x = stirred(network, shape), inputs(shape)
    with seeded(7, "another state of the global generator"):
        restored = accelerated(network.build(shape, shape[0]))
    restored.load_state_dict(module.state_dict())
    rule = "a network restored from its state_dict must give the same output"
    place = "in example {}: is a buffer left out of the state_dict?"
    require_equal(network, rule, restored.eval()(x, TIME), module(x, TIME), lambda i: place.format(i[0]))


def a_gradient_of_its_gradient_is_a_slope_or_is_refused(network: Network, shape: tuple[int, ...]) -> None:
    """The derivative of ∇ₓΣf² along a direction of x and of all weights is its slope by central differences. An energy
    (ε̂ = ∇E) and a penalty on a gradient learn from it."""
    module, x = stirred(network, shape), inputs(shape).requires_grad_()
    varied = [x, *(p for p in module.parameters() if p.requires_grad)]
    generator = torch.Generator().manual_seed(2)
    direction = [torch.randn(value.shape, generator=generator) for value in varied]

    def gradient(*, differentiable: bool) -> Tensor:
        (dx,) = torch.autograd.grad(module(x, TIME).square().sum(), x, create_graph=differentiable)
        return (dx * direction[0]).sum()

    try:
        second = torch.autograd.grad(gradient(differentiable=True), varied, allow_unused=True)
    except RuntimeError:
        return
    slope = sum((part * along).sum() for part, along in zip(second, direction, strict=True) if part is not None)
    ends = []
    for step in (STEP, -2 * STEP):
        for value, along in zip(varied, direction, strict=True):
            value.data += step * along
        ends.append(gradient(differentiable=False))
    rule = "a gradient of its gradient must be its slope, or a RuntimeError"
    slope, differences, rounding = torch.as_tensor(slope), (ends[0] - ends[1]) / (2 * STEP), 1e-3 * float(ends[0].abs())
    require_close(network, rule, slope, differences, rtol=0.03, atol=rounding, place=nowhere)


def a_training_goes_on_bit_by_bit_as_if_never_stopped(network: Network, shape: tuple[int, ...]) -> None:
    """Weights, buffers and dropout's draws of a training continued from a checkpoint are those of an unbroken one."""
    data = inputs(shape, 8)

    def run(start: tuple[int, dict[str, Tensor]] | None) -> list[tuple[int, dict[str, Tensor]]]:
        reports = train(DiffusionLearner(built(network, shape)), data, PLAN, 0, start)
        return [(report.step, {key: value.clone() for key, value in report.state().items()}) for report in reports]

    whole = run(None)
    with seeded(9, "another state of the global generator"):
        continued = run(whole[0])
    last = whole[-1][1]
    differing = [key for key, value in continued[-1][1].items() if not torch.equal(value, last[key])]
    rule = "a training that goes on from a checkpoint must be the unbroken one, bit by bit"
    require(network, rule, not differing, lambda: f"{differing[0]} differs after {PLAN.steps} steps")


def beside_others_it_gives_what_it_gives_alone(network: Network, shape: tuple[int, ...]) -> None:
    """If `gains_beside` says so, outputs and gradients on a CPU are those of each network alone, bit by bit."""
    x, rule = inputs(shape), "networks side by side must give what each gives alone"
    if not network.gains_beside(shape, len(x)):
        return
    modules = [stirred(network, shape, seed=seed) for seed in range(3)]
    fact = "it has no form in diffusion_core.fast, or it has dropout"
    require(network, "gains_beside must be false for what cannot lie side by side", stackable(modules[0]), fact)
    require_as_alone(network, rule, modules, [(x + i, TIME + i) for i in range(3)])


PROPERTIES: tuple[Property, ...] = (
    output_has_the_asked_channels_and_the_shape_of_the_data,
    in_evaluation_it_is_a_function,
    initial_weights_follow_from_the_seed_alone,
    weights_agree_between_networks_that_differ_only_in_their_outputs,
    its_weights_are_all_that_it_is,
    starts_at_zero,
    every_parameter_is_taught,
    the_first_step_teaches_something,
    output_stays_float32_under_bf16_autocast_and_is_not_rounded_to_it,
    time_and_input_matter,
    examples_of_a_batch_do_not_see_each_other,
    in_training_examples_do_not_see_each_other_either,
    training_differs_from_evaluation_by_dropout_alone,
    beside_others_it_gives_what_it_gives_alone,
    a_gradient_of_its_gradient_is_a_slope_or_is_refused,
    a_training_goes_on_bit_by_bit_as_if_never_stopped,
)
"""The properties, each a function of a network and an example's shape; faults that others would show come first."""

ALONE: tuple[Property, ...] = OF_EVERY_CHOICE
