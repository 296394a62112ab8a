"""The tables of choices: what each axis offers, and which values do not go together. It rebuilds `docs/choices.md`:

python -m evidence.choices > docs/choices.md
"""

from __future__ import annotations

import inspect
import re

from ablations.metrics.registry import DEFAULT, metric_of, names
from ablations.settings.cell import AXES, NUMBERS, WORDS
from ablations.settings.grammar import options_of
from evidence.pairs import HORIZON, Pairs, all_values

HEAD = """# Choices

This page is for finding a value of an axis, to be named as `AXIS=NAME` on a command line, and for seeing which values
of two axes do not go together.

For example, the row of `{name}` under *{axis}* says what `python -m ablations.run {axis}={name}` takes:
“{line}”.
The first row of [Refused pairs](#refused-pairs) says that {first} with {second} is refused, and why:
“{reason}”.

Written from the configuration files and the rules of refusal by `python -m evidence.choices > docs/choices.md`.
"""

METRICS = """## metrics

Of samples; tables show what is asked for by `evaluation.metrics=[NAME,NAME]`.

| | | of | better | |
|---|---|---|---|---|"""

REFUSED = f"""## Refused pairs

Shown at horizon={HORIZON}, with digits for all images, patches for those that are mirrored, and mixture2d for all
points. Every other pair of these values is in a cell that the tests train, score and sample.

| | | why |
|---|---|---|
"""


def document() -> str:
    """The content of docs/choices.md."""
    sections = [_section(axis, _named(axis)) for axis in AXES]
    sections += [_section(axis, words) for axis, words in WORDS.items()]
    sections.append(_metrics())
    refused = _refused()
    return "\n".join([_head("schedule", refused[0]), *sections, REFUSED]) + "".join(
        f"| {' | '.join(row)} |\n" for row in refused
    )


def _named(axis: str) -> dict[str, str]:
    """The choices of an axis that every command can name, each with its line."""
    options = {option: line for option, line in options_of(axis).items() if "/" not in option}
    if axis == "schedule":
        options["saved/NAME"] = "a learned one, kept by `python -m ablations.export cell=ID name=NAME`"
    return options


def _refused() -> list[tuple[str, str, str]]:
    """The rows of refused pairs: a value, what it does not go with, and why."""
    pairs, order = Pairs(all_values()), [*AXES, *NUMBERS, *WORDS]
    rows = []
    for values, reason in [*pairs.refused.items(), *pairs.refused_triples.items()]:
        first, *others = sorted(
            (value.label for value in values), key=lambda label: order.index(re.split("[.=]", label)[0])
        )
        rows.append((f"`{first}`", " with ".join(f"`{label}`" for label in others), _escaped(reason)))
    return rows


def _head(axis: str, refused: tuple[str, str, str]) -> str:
    """The page's beginning, which reads the first row of an axis and one of the refused pairs as examples."""
    name, line = next(iter(_named(axis).items()))
    first, second, reason = refused
    return HEAD.format(axis=axis, name=name, line=line, first=first, second=second, reason=reason)


def _metrics() -> str:
    """The metrics of samples, each by what its class says of it."""
    rows = []
    for name in names():
        metric = metric_of(name)
        always = "always measured" if metric in DEFAULT else "where asked for"
        line = (inspect.getdoc(metric) or "").splitlines()[0].rstrip(".")
        rows.append(f"| `{name}` | {_escaped(line)} | {' and '.join(metric.of)} | {metric.direction} | {always} |")
    return "\n".join([METRICS, *rows, ""])


def _section(axis: str, options: dict[str, str]) -> str:
    rows = [f"| `{option}` | {_escaped(line)} |" for option, line in options.items()]
    return "\n".join([f"## {axis}", "", f"| `{axis}=` | |", "|---|---|", *rows, ""])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(document(), end="")
