"""What a look at a machine and its results has found, and the page that says it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from analysis.format.plain import line

Mark = Literal["", "note", "wrong"]
SIGNS: dict[Mark, str] = {"": " ", "note": "·", "wrong": "!"}
"""What stands before a line: nothing where all is well, a dot where something can be done, a mark where it must."""
WIDTH = 120
GAP = 2


@dataclass(frozen=True)
class Finding:
    """Something that was looked at: its name, what was found, and `todo`, what to do about it."""

    name: str
    value: str
    mark: Mark = ""
    todo: str = ""


@dataclass(frozen=True)
class Part:
    """Findings of one kind under a title."""

    title: str
    findings: list[Finding]


def page(parts: Iterable[Part]) -> str:
    """All parts, aligned, with what to do below what asks for it; and in the end how much is wrong."""
    shown = [part for part in parts if part.findings]
    room = max((len(line(one.name)) for part in shown for one in part.findings), default=0)
    blocks = ["\n".join([part.title, *(text for one in part.findings for text in _lines(one, room))]) for part in shown]
    return "\n\n".join([*blocks, said([one for part in shown for one in part.findings])])


def said(findings: Iterable[Finding]) -> str:
    """How much is wrong, in a line."""
    wrong = sum(one.mark == "wrong" for one in findings)
    if not wrong:
        return "Nothing is wrong."
    return "1 thing is wrong (!)." if wrong == 1 else f"{wrong} things are wrong (!)."


def _lines(one: Finding, room: int) -> list[str]:
    indent = " " * (GAP + 2 + room + GAP)
    head = f"{SIGNS[one.mark]:>{GAP + 1}} {line(one.name):<{room}}{' ' * GAP}"
    value = _wrapped(line(one.value), head, indent)
    return [*value, *(_wrapped(line(one.todo), f"{indent}→ ", f"{indent}  ") if one.todo else [])]


def _wrapped(text: str, first: str, later: str) -> list[str]:
    """A text within the page's width, whose long words stay whole: they may be addresses and commands."""
    found = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )
    return found or [first.rstrip()]
