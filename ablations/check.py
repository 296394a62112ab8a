"""`python -m ablations.check AXIS=NAME …`: whether choices work, a line each; `check` from Python.

It is meant for classes of one's own. Fields are set as anywhere: schedule=mine schedule.width=3. A choice of diffusion
goes through `diffusion_core.checking`; data, metrics and extractors through a few rules of their own here.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ablations.data.base import SPLITS, DataSet
from ablations.data.shipped import Digits, Mixture2d
from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import Architecture
from ablations.metrics.judging import Yardstick
from ablations.metrics.metric import Metric
from ablations.metrics.registry import metric_of
from ablations.metrics.sets import Examined
from ablations.settings import grammar
from ablations.settings.layers import values_of
from ablations.settings.plugins import EXTENSIBLE
from ablations.settings.registry import build
from analysis.errors import InputError, unknown
from analysis.shell import exit_code
from diffusion_core import checking
from diffusion_core.checking import expect
from diffusion_core.encodings import GreyLevels
from diffusion_core.randomness import seeded

AXES = tuple(axis for axis in EXTENSIBLE if axis != "space")
HELP = f"""python -m ablations.check AXIS=NAME [AXIS.FIELD=VALUE] [AXIS=NAME …] [configs=DIR]

Whether choices work: a line each.

  AXIS    {", ".join(AXES)}
          a metric is tried on data=NAME where that is given, else on digits or points"""


def check(choice: object, data_set: DataSet | None = None) -> None:
    """AssertionError, in one line, unless a choice works; a metric is tried on `data_set`, else on digits or points."""
    if isinstance(choice, DataSet):
        check_data(choice)
    elif isinstance(choice, Metric):
        check_metric(choice, data_set or (Digits() if "images" in choice.info.of else Mixture2d()))
    elif isinstance(choice, Architecture):
        check_extractor(choice)
    else:
        checking.check(choice)


def check_data(data_set: DataSet) -> None:
    """Fail unless splits are disjoint, of equal lengths where they are held out, and the same at a second reading."""
    with seeded(1, "the global generator"):
        data = data_set.read()
    with seeded(2, "the global generator"):
        again = data_set.read()
    expect("data that stages can use", not data.unfit, data.unfit)
    expect("the same data at every reading", data.digest == again.digest, "others: draw by a generator of one's own")
    held = {split: {example.numpy().tobytes() for example in images} for split, images in data.images.items()}
    shared = held["train"] & (held["validation"] | held["test"]) | held["validation"] & held["test"]
    expect("no example in two splits", not shared, f"{len(shared)} that are")
    counts = {split: len(images) for split, images in data.images.items()}
    expect("as many validation as test examples", counts["validation"] == counts["test"], counts)
    finite = data.codes and all(map(math.isfinite, data.codes.values()))
    expect("codes={name: bits/dim} that are finite", finite, data.codes)
    if data_set.extractor is not None:
        extractors.architecture_of(data_set.extractor).check(data_set.extractor, data.images["test"])


def check_extractor(architecture: Architecture) -> None:
    """Fail unless features and logits are float32, as wide as declared, finite, and those of each image alone."""
    module, side = architecture.eval(), (architecture.sides or (16,))[0]
    generator = torch.Generator().manual_seed(0)
    shape = 5, architecture.channels[0], side, side
    images = torch.randint(architecture.levels, shape, generator=generator).to(torch.uint8)
    with torch.no_grad():
        whole, alone = module(images), module(images[:1])
    widths = {"features": module.width, "logits": module.classes}
    for (what, width), value, one in zip(widths.items(), whole, alone, strict=True):
        fits = value.dtype == torch.float32 and value.shape == (5, width)
        expect(f"{what} float32 {[5, width]}", fits, list(value.shape))
        expect(f"finite {what}", value.isfinite().all(), "others")
        expect(f"{what} of each image alone", torch.allclose(value[:1], one, rtol=1e-4, atol=1e-4), "others in a batch")


def check_metric(metric: Metric, data_set: DataSet) -> None:
    """Fail unless it is a finite number of a set in any order, and better for real samples than for noise."""
    data, name = data_set.load(), data_set.extractor
    extractor = None if name is None else extractors.load(name)
    train, drawn, test = (
        Examined(data.images[split][:200], extractor, data.labels[split][:200] if data.labels else None)
        for split in SPLITS
    )
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(drawn.stored), generator=generator)
    if isinstance(data.encoding, GreyLevels):
        yardstick = Yardstick("train", train, test, data.encoding.levels)
        noise = torch.randint(data.encoding.levels, drawn.stored.shape, generator=generator).to(torch.uint8)
    else:
        yardstick = Yardstick("test", test, None, None)
        noise = 3 * drawn.stored.abs().max() * (2 * torch.rand(drawn.stored.shape, generator=generator) - 1)

    def score(stored: torch.Tensor, labels: torch.Tensor | None = drawn.labels) -> float:
        return metric.compute(yardstick.judged(stored.clone(), labels))

    first, again, worse = score(drawn.stored), score(drawn.stored), score(noise)
    ordered = score(drawn.stored[order], None if drawn.labels is None else drawn.labels[order])
    expect("a finite number", isinstance(first, float | int) and math.isfinite(first), repr(first))
    expect("the same number at a second time", first == again, again)
    alike = math.isclose(first, ordered, rel_tol=1e-6, abs_tol=1e-6)
    expect(f"{first:.6g} in another order of samples", alike, ordered)
    direction = metric.info.direction
    better = metric.info.sign * (first - worse) > 0 or direction == "none"
    expect(f"real samples' {first:.6g} to be better than noise's (direction {direction})", better, f"{worse:.6g}")


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a choice does not pass, or there is none of its name; 2 for a wrong call."""
    if {"--help", "-h"} & set(arguments):
        print(HELP)
        return 0
    named, fields = parse(arguments)
    passed = [_passes(axis, name, fields, named) for axis, names in named.items() for name in names]
    return 0 if all(passed) else 1


def parse(arguments: list[str]) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """The names to be checked by axis, and the fields that are set; InputError for a wrong word."""
    texts = grammar.texts(arguments)
    grammar.use(texts.pop("configs", None))
    given = {key: grammar.values(key, text) for key, text in texts.items()}
    settings = {key: values for key, values in given.items() if isinstance(values, list)}
    named = {key: list(map(str, values)) for key, values in settings.items() if "." not in key}
    for key, values in settings.items():
        axis = key.split(".")[0]
        if axis not in AXES:
            raise unknown("axis", axis, AXES)
        if "." in key and (len(named.get(axis, [])) != 1 or len(values) != 1):
            raise InputError(f"{key} is a field of one choice, with one value: give {axis}=NAME once beside it")
    if not named:
        raise InputError("nothing is named to be checked: give AXIS=NAME, schedule=mine say")
    return named, {key: values[0] for key, values in settings.items() if "." in key}


def built(axis: str, name: str, fields: dict[str, Any]) -> Any:
    """The choice; for an extractor its network, with its weights where it has any."""
    if axis == "extractor":
        architecture = extractors.architecture_of(name)
        return extractors.load(name).module if architecture.shipped else architecture()
    if axis == "metric":
        return metric_of(name)
    own = {key: value for key, value in fields.items() if key.startswith(f"{axis}.")}
    return build(axis, values_of(axis, {axis: name, **own}))


def _passes(axis: str, name: str, fields: dict[str, Any], named: dict[str, list[str]]) -> bool:
    """True where a choice passes; prints a line that says so, or what was expected and found."""
    data = named.get("data", [None])[0] if axis == "metric" else None
    what = f"{axis}={name}" + (f" on data={data}" if data else "")
    try:
        check(built(axis, name, fields), built("data", data, fields) if data else None)
    except (AssertionError, ValueError) as error:
        print(f"{what} does not pass: {' '.join(str(error).removeprefix(f'{axis}={name}: ').split())}")
        return False
    print(f"{what} passes its checks")
    return True


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
