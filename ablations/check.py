"""`python -m ablations.check AXIS=NAME …`: whether choices pass the checks that every one which ships passes.

    schedule, parameterization, variance, objective, timesteps, network,
    sampler, spacing, coupling                                              `diffusion_core.testing`
    data, metric, extractor                                                 `ablations.testing`

It is meant for classes of one's own. Fields are set as anywhere: schedule=mine schedule.width=3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ablations.settings import grammar
from ablations.settings.exits import exit_code
from ablations.settings.plugins import DOORS
from analysis.errors import InputError, unknown

UNCHECKED = ("space",)
AXES = tuple(axis for axis in DOORS if axis not in UNCHECKED)
ABOUT = {
    "schedule": "γ (start, rise, slope, inverse, shift), its saved state, the bound on Gaussian data",
    "parameterization": "target and x̂_0, κ, what the network is shown, float32, the bound on Gaussian data",
    "variance": "σ² between β̃ and β, what it reads, float32, its fit, its training",
    "objective": "a loss an example, the weight of an error, what it reads, what it teaches",
    "timesteps": "times by their density, weights that undo it, real times, what it remembers",
    "network": "output, start, seeds, gradients, bf16, training against evaluation, labels, a continued training",
    "sampler": "seeds, batches, times, calls, noise, range and variance of samples",
    "spacing": "how many times it visits, what it reads",
    "coupling": "a noise an example, what it follows from, what it knows of x_0",
    "data": "splits, labels, encoding, codes, extractor, a second reading",
    "metric": "what it declares, order of samples, a second call, real samples against noise",
    "extractor": "width and type of features, each image alone, images to refuse, weights in a file",
}
"""What the checks of an axis are about, for the line that says that they hold."""


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a choice does not pass, or there is none of its name; 2 for a wrong call."""
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        return 0
    asked = parse(arguments)
    data = next((choice for choice in asked if choice.axis == "data"), None)
    passed = [_passes(choice, data) for choice in asked]
    return 0 if all(passed) else 1


@dataclass(frozen=True)
class Checked:
    """A choice to be checked."""

    axis: str
    name: str
    fields: dict[str, Any]

    def build(self) -> Any:
        """The choice; for an extractor its network, with its weights where it has any."""
        if self.axis == "extractor":
            from ablations.metrics.extractors import architecture_of, load

            needs_file = not architecture_of(self.name).shipped
            return architecture_of(self.name)() if needs_file else load(self.name).module
        if self.axis == "metric":
            from ablations.metrics.registry import metric_of

            return metric_of(self.name)
        from ablations.settings.layers import values_of
        from ablations.settings.registry import base_of, build

        settings = {self.axis: self.name} | {f"{self.axis}.{key}": value for key, value in self.fields.items()}
        return build(self.axis, values_of(self.axis, settings), base_of(self.axis))


def parse(arguments: list[str]) -> list[Checked]:
    """The choices to be checked; InputError for a wrong word."""
    settings = {key: values for key, values in grammar.overrides(arguments) if isinstance(values, list)}
    grammar.use(str(settings.pop("configs")[0]) if "configs" in settings else None)
    named = {key: values for key, values in settings.items() if "." not in key}
    for key, values in settings.items():
        axis = key.split(".")[0]
        if axis not in AXES:
            raise unknown("axis", axis, AXES)
        if "." in key and (len(named.get(axis, [])) != 1 or len(values) != 1):
            raise InputError(f"{key} is a field of one choice, with one value: give {axis}=NAME once beside it")
    if not named:
        raise InputError("nothing is named to be checked: give AXIS=NAME, schedule=mine say")
    return [
        Checked(
            axis,
            str(name),
            {key.partition(".")[2]: values[0] for key, values in settings.items() if key.startswith(f"{axis}.")},
        )
        for axis, names in named.items()
        for name in names
    ]


def _passes(asked: Checked, data: Checked | None) -> bool:
    """True where a choice passes; prints a line that says so, and what was checked."""
    from ablations.testing import check

    what = f"{asked.axis}={asked.name}"
    on = None
    try:
        choice = asked.build()
        if asked.axis == "metric" and data is not None:
            on = data.build()
            what += f" on data={data.name}"
        check(choice, on)
    except (AssertionError, ValueError) as error:
        print(f"{what} does not pass: {' '.join(str(error).split())}")
        return False
    print(f"{what} passes its checks: {ABOUT[asked.axis]}")
    return True


def help_text() -> str:
    """Usage, and what can be checked."""
    return "\n".join(
        [
            "python -m ablations.check AXIS=NAME [AXIS.FIELD=VALUE] [AXIS=NAME …] [configs=DIR]",
            "",
            "Whether choices pass the checks that every one which ships passes: a line each.",
            "",
            f"  AXIS    {', '.join(AXES)}",
            "          a metric is tried on data=NAME where that is given, else on digits or points",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
