"""A page as data, and the page as one HTML file that needs nothing else: no network, no script.

    Section ─▶ blocks (text, items, a table, a picture, an answer, …) ─▶ page.html.jinja

Every text is plain and may come from a user: the template escapes it, and shows `code` as such. Only `Html` is trusted.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.figures.drawing import Drawn

TEMPLATE = "page.html.jinja"
_PIXELS_PER_INCH = 110
"""The size at which a figure is shown where there is room."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Answer:
    """The choice for a purpose, in the largest letters, and why; `mark` says what limits it."""

    kind: ClassVar[str] = "answer"
    take: str
    choice: str
    rest: str
    why: tuple[str, ...]
    mark: str = ""


@dataclass(frozen=True)
class Items:
    """A list below a title of its own."""

    kind: ClassVar[str] = "items"
    title: str
    items: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Link:
    """A text that leads out of the page."""

    text: str
    url: str


Fact = str | Link


@dataclass(frozen=True)
class FactTable:
    """A table of facts: the first entry of a row names it, the others are right-aligned where they are `numbers`."""

    kind: ClassVar[str] = "facts"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Fact, ...], ...]
    numbers: bool = True


@dataclass(frozen=True)
class Html:
    """A table as markup that is known to be escaped, below its caption; `label` names its scroll box."""

    kind: ClassVar[str] = "html"
    markup: str
    label: str
    caption: str


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI of a PNG, with what to see in it and what stands for it where it cannot be seen."""

    kind: ClassVar[str] = "picture"
    name: str
    uri: str
    width: int
    height: int
    caption: str
    alt: str


@dataclass(frozen=True)
class Verbatim:
    """A text whose line breaks and indentation stay, below its title."""

    kind: ClassVar[str] = "verbatim"
    title: str
    text: str


@dataclass(frozen=True)
class Details:
    """Blocks that are folded up on a screen, and open in print."""

    kind: ClassVar[str] = "details"
    title: str
    blocks: tuple[Block, ...]


Block = Text | Answer | Items | FactTable | Html | Picture | Verbatim | Details


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


def picture(name: str, drawn: Drawn, caption: str, alt: str) -> Picture:
    """A figure as it stands in a page."""
    uri = f"data:image/png;base64,{base64.b64encode(drawn.png).decode('ascii')}"
    width, height = (round(_PIXELS_PER_INCH * inches) for inches in drawn.inches)
    return Picture(name, uri, width, height, caption, alt)


def render(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = prose
    environment.tests["link"] = lambda entry: isinstance(entry, Link)
    return environment.get_template(TEMPLATE).render(title=title, lead=lead, sections=sections).strip() + "\n"


def prose(text: str) -> Markup:
    """Escaped text, with `code` as such."""
    pieces = str(escape(text)).split("`")
    if len(pieces) % 2 == 0:
        pieces[-2:] = ["`".join(pieces[-2:])]
    return Markup("".join(f"<code>{piece}</code>" if i % 2 else _bound(piece) for i, piece in enumerate(pieces)))


def _bound(text: str) -> str:
    """Text in which no line ends within a number and its interval, or between a symbol and its value."""
    return re.sub(r" (±|=|&lt;|·|[↓↑]) ?", lambda match: match[0].replace(" ", "\u00a0"), text)
