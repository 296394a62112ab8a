"""A cell made from settings (`layers.py`), or from the parameters that its results were written with; and refusals of
cells that make no sense: each reason says what was asked for, and the nearest thing that works.

The core has the rules among the axes (`diffusion_core/choices.py`); those here also read the data, the space, the
evaluation, and a chain of no steps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ablations.settings.budget import TooDear, matched_steps
from ablations.settings.cell import AXES, NUMBERS, PLAIN, WORDS, Cell, default_name
from ablations.settings.evaluation import LIKELIHOODS, Guidance, against_test
from ablations.settings.guiding import guidance_refusal, guiding_cell
from ablations.settings.layers import Layer, fields_in, fields_set, merged, plain_value, values_of
from ablations.settings.plugins import origin_of
from ablations.settings.registry import ORIGIN, build, classes, field_names
from analysis.errors import InputError
from diffusion_core.averages import Power, Tracked
from diffusion_core.choices import Choices, chain_refusal, flow_refusal, level_refusal
from diffusion_core.choices import refusal as choices_refusal
from diffusion_core.conditioning import Class
from diffusion_core.networks.network import Network
from diffusion_core.networks.unet import UNet
from diffusion_core.randomness import built
from diffusion_core.refusing import choice_name


def make_cell(layers: list[Layer], seed: int) -> Cell:
    """The cell of these layers of settings, later ones over earlier ones."""
    settings, given_keys = merged(layers), fields_in(layers)
    choices: dict[str, Any] = {axis: build(axis, values_of(axis, settings)) for axis in AXES}
    cell = Cell(**choices, **{key: plain_value(key, settings[key]) for key in PLAIN}, seed=seed)
    training, evaluation = cell.training, cell.evaluation
    if "training.snapshots" not in given_keys:
        # An average is reconstructed from them.
        training = replace(training, snapshots=training.snapshots or cell.average.snapshots)
    if evaluation.reference == against_test(cell.data.extractor):
        evaluation = replace(evaluation, reference=None)
    if "evaluation.continuous" not in given_keys and continuous_refusal(cell):
        # An objective suggested it.
        evaluation = replace(evaluation, continuous=0)
    guidance = cell.guidance if cell.guidance.guides else Guidance()
    cell = replace(cell, training=training, evaluation=evaluation, guidance=guidance)
    if cell.budget == "steps" or cell.horizon == 0 or refusal(cell) is not None:
        return cell
    steps = matched_steps(cell)
    try:
        return replace(cell, training=replace(training, steps=steps))
    except ValueError as error:
        raise TooDear(cell, f"budget=flops: {error}") from error


def cell_of(parameters: dict[str, str], seed: int) -> Cell:
    """The cell with these `registry.parameters`; InputError where this version has no such cell."""
    choices: dict[str, Any] = {}
    for axis in AXES:
        values = {key: _read(text) for key, text in fields_set(axis, parameters).items() if text}
        name = parameters.get(axis) or (default_name(axis) if axis in Cell.younger else axis)
        origin = values.pop(ORIGIN, "")
        if origin and name not in classes(axis):
            raise InputError(
                f"{axis}={name} of this cell is a class of {origin}: give the command behind its script, as in "
                "python mine.py sample cell=ID, or install its package"
            )
        choices[axis] = build(axis, {"name": name, **values})
        if (now := origin_of(type(choices[axis]))) != origin:
            raise InputError(
                f"{axis}={name} of this cell is of {origin or 'what ships'}, and here it is of {now or 'what ships'}: "
                "install that version, or run the grid again under another name=…"
            )
    plain = {key: _read(parameters.get(key, "")) for key in NUMBERS}
    plain |= {key: parameters.get(key) or PLAIN[key] for key in WORDS}
    return Cell(**choices, **{key: plain_value(key, value) for key, value in plain.items()}, seed=seed)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def refusal(cell: Cell) -> str | None:
    """The reason why a cell makes no sense, or None. A chain of no steps reads none of the other choices, which must
    still fit together."""
    if cell.horizon == 0:
        return _chainless_refusal(cell) or refusal(replace(cell, horizon=NUMBERS["horizon"]))
    return next(filter(None, _reasons(cell)), None)


def _reasons(cell: Cell) -> Iterator[str | None]:
    """The reasons why a cell with a chain makes no sense; those that read data or build a network come last."""
    choices = Choices.of(cell)
    yield choices_refusal(choices)
    yield chain_refusal(choices, cell.sampler.steps, reads_variance=cell.sampler.reads_variance)
    yield chain_refusal(choices, cell.evaluation.horizon)
    if cell.sampler.between_times and (reason := level_refusal(choices)):
        yield f"sampler={choice_name(cell.sampler)} with these fields asks the network between two times, and {reason}"
    if cell.coupling.permutes and cell.training.batch == 1:
        yield f"coupling={choice_name(cell.coupling)} pairs noise within a batch: take training.batch=2 or more"
    yield cell.average.refusal(cell.training)
    yield _checkpoints_refusal(cell)
    yield _published_refusal(cell)
    yield continuous_refusal(cell)
    yield flip_refusal(cell)
    yield guidance_refusal(cell)
    if cell.guidance.guides and cell.guidance.by == "cell" and (reason := refusal(guiding_cell(cell))):
        yield f"the cell of guidance.guide={list(cell.guidance.guide)} makes no sense: {reason}"
    if isinstance(cell.conditioning, Class) and (reason := cell.data.described().unlabelled):
        yield (
            f"conditioning=class tells the network labels, and data={choice_name(cell.data)} {reason}; "
            "take conditioning=unconditional, which needs none"
        )
    yield _shape_refusal(cell)


def _shape_refusal(cell: Cell) -> str | None:
    """The reason why the data cannot be coded so, or the network cannot take their shape."""
    data = cell.data.described()
    try:
        shape = cell.space.shape_of(data.shape)
    except ValueError as error:
        return str(error)
    shown = shape[0] * (2 if cell.conditioning.self_conditioning else 1), *shape[1:]
    channels = shape[0] * (2 if cell.variance.learned else 1)
    reason = _misshapen(cell.network, shown, channels, cell.classes)
    smaller = ", or a smaller space.f" if reason and cell.space.encoded and isinstance(cell.network, UNet) else ""
    return reason and reason + smaller


def _checkpoints_refusal(cell: Cell) -> str | None:
    count, rate = cell.evaluation.checkpoints, cell.training.rate
    if count > 1 and (rate == "wsd" or isinstance(cell.average, Power) or cell.training.steps < 10):
        return (
            f"evaluation.checkpoints={count} reads averages on the way of a training of 10 steps or more, which "
            f"average={choice_name(cell.average)} or training.rate={rate} does not leave: take average=tracked, and "
            "another rate than wsd, or evaluation.checkpoints=1"
        )
    return None


def _published_refusal(cell: Cell) -> str | None:
    """The reason why a published network cannot be read, or begun from, as this cell asks."""
    begins, name = cell.training.start == "published", choice_name(cell.network)
    if not cell.network.pretrained:
        return f"training.start=published begins with network=published, got network={name}" if begins else None
    if (cell.space.encoded and not cell.space.pretrained) or cell.time_input != "t":
        says = f"network={name} is told an index of time, and pixels or the code of its own autoencoder"
        return f"{says}: leave space out, or take space=pixels and time_input=t"
    guided = cell.guidance.guides and cell.guidance.by != "class"
    if cell.imported and (guided or not isinstance(cell.average, Tracked)):
        return (
            f"network={name} has one set of weights, and no other average, rung or cell to guide it: take "
            "average=tracked and guidance.by=class, or train it further by training.start=published"
        )
    return None


@lru_cache(maxsize=64)
def _misshapen(network: Network, shape: tuple[int, ...], channels: int, classes: int) -> str | None:
    """The reason why a network cannot take data of this shape and labels of so many classes."""
    try:
        built(lambda: network.labelled(shape, channels, classes) if classes else network.build(shape, channels))
    except (ValueError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return None


def _chainless_refusal(cell: Cell) -> str | None:
    """The reason why a chain of no steps makes no sense: it is the autoencoder alone, with N(0, I) as its prior."""
    if not cell.space.encoded:
        return "horizon=0 is the autoencoder alone, which space=pixels has not: take space=latents, or horizon=1000"
    if not cell.space.likelihood:
        return "horizon=0 teaches nothing of a vector-quantised code: take space.regularization=kl, or horizon=1000"
    return continuous_refusal(cell) or guidance_refusal(cell)


def flip_refusal(cell: Cell) -> str | None:
    """The reason why a cell's data cannot be mirrored in training."""
    data = choice_name(cell.data)
    if not cell.training.flips:
        return None
    if not cell.data.mirrors:
        declared = " (data.mirrors=true says that it is)" if "mirrors" in field_names(type(cell.data)) else ""
        return (
            f"training.flips=true mirrors images, and a mirrored one of data={data} is not known to be as likely as "
            f"itself{declared}: leave it out"
        )
    if cell.space.encoded:
        return "training.flips=true mirrors images, and space=latents trains on codes of them: take space=pixels"
    return None


def continuous_refusal(cell: Cell) -> str | None:
    """The reason why a cell cannot have a likelihood beyond the bound that it asks for."""
    values = {name: getattr(cell.evaluation, name) for name in LIKELIHOODS}
    asked = {name: f"evaluation.{name}={value}" for name, value in values.items() if value}
    of_chain = [score for name, score in asked.items() if name != "iwae"]
    if cell.horizon == 0 and of_chain:
        return f"{of_chain[0]} speaks of a chain, and horizon=0 has none: leave it out, or take horizon=1000"
    if asked and not cell.space.likelihood:
        return (
            f"{next(iter(asked.values()))} asks for a likelihood, which no vector-quantised code has: take "
            "space.regularization=kl, or leave it out"
        )
    in_time = [asked[name] for name in ("continuous", "ode") if name in asked]
    reason = flow_refusal(Choices.of(cell)) if in_time else None
    return f"{in_time[0]} scores the cell in continuous time, and {reason}" if reason else None
