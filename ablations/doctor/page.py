"""Findings of a look at a machine and its results, and the page that says them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.format.plain import line

Mark = Literal["", "note", "wrong"]
SIGNS: dict[Mark, str] = {"": " ", "note": "·", "wrong": "!"}
"""The sign before a line: none where all is well, a dot where something can be done, a mark where it must."""


@dataclass(frozen=True)
class Finding:
    """Something that was looked at: its name, what it is like, and `todo`, what to do about it."""

    name: str
    value: str
    mark: Mark = ""
    todo: str = ""


def page(parts: Mapping[str, list[Finding]]) -> str:
    """All findings below their titles, aligned, with what to do below each; and in the end how much is wrong."""
    findings = [finding for part in parts.values() for finding in part]
    room = max(len(line(finding.name)) for finding in findings)
    blocks = [
        "\n".join([title, *(text for finding in part for text in _lines(finding, room))])
        for title, part in parts.items()
        if part
    ]
    wrong = sum(finding.mark == "wrong" for finding in findings)
    verdict = {0: "Nothing is wrong.", 1: "1 thing is wrong (!)."}.get(wrong, f"{wrong} things are wrong (!).")
    return "\n\n".join([*blocks, verdict])


def _lines(finding: Finding, room: int) -> list[str]:
    head = f"  {SIGNS[finding.mark]} {line(finding.name):<{room}}  {line(finding.value)}"
    return [head, *([f"{' ' * (room + 6)}→ {line(finding.todo)}"] if finding.todo else [])]
