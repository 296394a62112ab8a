"""The words about cells: their shortfalls with the reasons, the notes of their runs, and reasons for missing values.

Reasons and notes that differ in their numbers only are given once, with the range of each number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from analysis.findings.cells import CellRuns
from analysis.findings.spaces import applies
from analysis.grid_json import ShownMetric
from analysis.schema import COUNTED, NOTES, SCORED, STATUSES, UNCOMPARED, UNSCORED

_LONGEST = 200
"""The most characters of a reason in a footnote."""
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?!\w)")


def reason_in_short(reason: str) -> str:
    """The first line of a reason: a message may have several."""
    return reason.strip().partition("\n")[0].strip()


def shortfall(cells: Sequence[CellRuns]) -> str:
    """The seeds that did not finish, how they ended and why; "" if all finished. Counts are per cell, reasons are those
    of all cells."""
    total = len(cells[0].runs)
    if all(status in COUNTED for cell in cells for status in cell.runs["status"]):
        return ""
    parts = []
    for status in (*STATUSES[1:], UNSCORED):
        ended = [reason for cell in cells for reason in cell.runs["reason"][cell.runs["status"] == status]]
        if ended:
            parts.append(f"{status} in {len(ended) // len(cells)} of {total} seeds{_reasons(ended)}")
    counted = int(cells[0].runs["status"].isin(COUNTED).sum())
    rest = f"; mean over the other {counted}" if parts and counted else ""
    return "; ".join(parts) + rest


def shortfalls(cells: Sequence[CellRuns]) -> list[str]:
    """The shortfall of each cell, in the same words for cells that differ in the numbers of their reasons only."""
    alike: dict[tuple[tuple[str, str], ...], list[CellRuns]] = {}
    for cell in cells:
        reasons = [_NUMBER.sub("#", reason_in_short(reason)) for reason in cell.runs["reason"]]
        alike.setdefault(tuple(sorted(zip(cell.runs["status"], reasons, strict=True))), []).append(cell)
    worded = [(shortfall(group), group) for group in alike.values()]
    words = {id(cell): text for text, group in worded for cell in group}
    return [words[id(cell)] for cell in cells]


def noted(cells: Sequence[CellRuns]) -> list[list[str]]:
    """The notes of each cell's runs, in the same words for notes that differ in their numbers only."""
    own = [[line for text in cell.runs[NOTES] for line in text.splitlines() if line] for cell in cells]
    alike: dict[str, list[str]] = {}
    for line in chain.from_iterable(own):
        alike.setdefault(_NUMBER.sub("#", line), []).append(line)
    words = {key: _merged(group) for key, group in alike.items()}
    return [[words[key] for key in dict.fromkeys(_NUMBER.sub("#", line) for line in lines)] for lines in own]


def _reasons(reasons: Sequence[str]) -> str:
    """At most two reasons, shortened and in parentheses."""
    alike: dict[str, list[str]] = {}
    for line in (reason_in_short(reason)[:_LONGEST] for reason in reasons):
        if line:
            alike.setdefault(_NUMBER.sub("#", line), []).append(line)
    merged = [_merged(group) for group in alike.values()]
    more = " and others" if len(merged) > 2 else ""
    return f" ({'; '.join(merged[:2])}{more})" if merged else ""


def _merged(texts: list[str]) -> str:
    """One text for texts that differ in their numbers only, with the range of each number that differs."""
    columns = list(zip(*(_NUMBER.findall(text) for text in texts), strict=True))
    ranges = iter(_range(column) for column in columns)
    return _NUMBER.sub(lambda _: next(ranges), texts[0])


def _range(numbers: Sequence[str]) -> str:
    ordered = sorted(numbers, key=lambda number: float(number.replace("−", "-")))
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]}–{ordered[-1]}"


def why_not_comparable(metric: ShownMetric) -> str:
    """The footnote of a value that cannot be compared with those of other cells."""
    if metric.kind.startswith("nll"):
        return (
            f"{UNCOMPARED}: a VQ code has no likelihood, since its encoder is no density, and a number would not "
            "be one of bits of the image"
        )
    return f"{UNCOMPARED}: what the run measured is not what the other cells' {metric.label} is"


def without_value(cell: CellRuns, metric: ShownMetric) -> str:
    """The reason, in words, for which a finished cell has no value of this metric; "" if it cannot have one."""
    if not cell.comparable(metric.name):
        return why_not_comparable(metric)
    how = SCORED if (cell.runs["status"] == SCORED).any() else STATUSES[0]
    return f"{how}, but without this metric" if applies(cell, metric) else ""
