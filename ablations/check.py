"""`python -m ablations.check AXIS=NAME …`: whether choices pass the checks that every one which ships passes.

    schedule, parameterization, variance, objective, timesteps, network, sampler    `diffusion_core.testing`
    data, metric, extractor, launcher                                               `ablations.testing`

It is meant for classes of one's own. Fields are set as anywhere: schedule=mine schedule.width=3.
"""

from __future__ import annotations

from typing import Any

from ablations.settings import grammar
from ablations.settings.exits import exit_code
from ablations.settings.packages import DOORS
from analysis.errors import InputError, unknown

UNCHECKED = ("space",)
AXES = tuple(axis for axis in DOORS if axis not in UNCHECKED)


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a choice does not pass; 2 for a wrong call."""
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        return 0
    asked = parse(arguments)
    from ablations.metrics.metric import Metric
    from ablations.testing import check

    choices = {key: _built(key, name, fields) for (key, name), fields in asked.items()}
    on = choices.get("data")
    failed = 0
    for (axis, name), choice in zip(asked, choices.values(), strict=True):
        where = f" on data={_name(asked, 'data')}" if on is not None and isinstance(choice, Metric) else ""
        try:
            check(choice, on)
        except AssertionError as error:
            failed += 1
            print(f"{axis}={name} does not pass{where}: {error}")
        else:
            print(f"{axis}={name} passes{where}")
    return 1 if failed else 0


def parse(arguments: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """(axis, name) → the fields that are set; InputError for a wrong word."""
    given = {key: values[0] for key, values in grammar.overrides(arguments) if isinstance(values, list)}
    grammar.use(given.pop("configs", None))
    named = {key: str(value) for key, value in given.items() if "." not in key}
    if not named:
        raise InputError("nothing is named to be checked: give AXIS=NAME, schedule=mine say")
    for key in given:
        if key.split(".")[0] not in AXES:
            raise unknown("axis", key.split(".")[0], AXES)
        if key.split(".")[0] not in named:
            raise InputError(f"{key} is a field of no choice that is named: give {key.split('.')[0]}=NAME too")
    return {
        (axis, name): {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{axis}.")}
        for axis, name in named.items()
    }


def _built(axis: str, name: str, fields: dict[str, Any]) -> Any:
    """The choice of a name with these fields; an extractor is its network."""
    if axis == "extractor":
        from ablations.metrics.extractors import architecture_of

        return architecture_of(name)()
    if axis == "metric":
        from ablations.metrics.registry import metric_of

        return metric_of(name)
    from ablations.settings.registry import base_of, build

    return build(axis, grammar.load(axis, name) | fields, base_of(axis))


def _name(asked: dict[tuple[str, str], dict[str, Any]], axis: str) -> str:
    return next(name for key, name in asked if key == axis)


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
