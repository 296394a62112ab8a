"""The words for the weight of each t: a footnote per axis that changes it, and the result of the check along each
axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.findings.weights import SAME, WeightCheck, WeightDifference
from analysis.grid_json import Axis
from analysis.labels import power_of_ten, two_digits


def weight_footnotes(check: WeightCheck, axes: Sequence[Axis]) -> dict[str, str]:
    """Axis → its footnote, for each axis that changes the weight of t without declaring it."""
    differences = check.differences
    return {axis.name: weight_sentence(axis.label, differences[axis.name]) for axis in axes if axis.name in differences}


def weight_sentence(label: str, difference: WeightDifference) -> str:
    """The footnote of the axis of this label."""
    if math.isinf(difference.factor):
        how = f"some have none at t = {difference.t}, where others have some"
    else:
        how = f"by up to {_factor(difference.factor)}, at t = {difference.t}"
    return f"Cells that differ in {label} differ in the effective weight of each t too ({how}): see figures/weights."


def weight_lines(check: WeightCheck, axes: Sequence[Axis], *, recorded: bool) -> list[str]:
    """The result of the check along every axis; `recorded` says whether there were any weights to check."""
    footnotes = weight_footnotes(check, axes)
    return [footnotes.get(axis.name) or _in_order(check, axis, recorded) for axis in axes]


def _in_order(check: WeightCheck, axis: Axis, recorded: bool) -> str:
    """The sentence on an axis without a footnote."""
    if axis.name in check.declared:
        return (
            f"{axis.label} may change how much each t counts in training. That is part of this choice, and no second "
            "difference, so it was not checked."
        )
    if recorded:
        return f"Cells that differ in {axis.label} alone agree in it to {100 * SAME:.0f} %."
    return f"{axis.label}: not checked, since no weights were recorded."


def _factor(factor: float) -> str:
    """Two digits: 1.3 %, ×37, ×2.6·10⁶."""
    mantissa, exponent = f"{factor:.1e}".split("e")
    if int(exponent) >= 5:
        return f"×{mantissa}·{power_of_ten(int(exponent))}"
    if factor < 1.995:
        return f"{two_digits(100 * (factor - 1))} %"
    return f"×{two_digits(factor)}"
