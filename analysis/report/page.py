"""A page as data, and the page as one HTML file that needs nothing else.

    Section ─▶ blocks (text, items, a table, a picture, an answer, …) ─▶ page.html.jinja, page.css, page.js

Every text is plain and may come from a user: the template escapes it, and shows `code` as such. Only `Html` is trusted.

The page's own script sorts and filters tables. The content security policy allows it by its hash, and no other script.
The whole page is readable without scripts.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from analysis.figures.drawing import Drawn
from analysis.labels import around_code
from analysis.report.glossary import MEANINGS, METRICS, marked, named

TEMPLATE, STYLE, SCRIPT = "page.html.jinja", "page.css", "page.js"
_PIXELS_PER_INCH = 110
"""The size at which a figure is shown if there is room."""
_HEAVY = 100_000
"""The bytes of a PNG from which on it is reduced to 256 colours, which leaves a quarter of them."""
_SHEETS = ("samples", "strips")
"""Figures of images, whose colours are kept."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Answer:
    """The choice for a purpose, in the largest letters, and the reasons; `mark` states the limits of the answer."""

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
    """A text that links to another page or file."""

    text: str
    url: str


Fact = str | Link


@dataclass(frozen=True)
class FactTable:
    """A table of facts: the first entry of a row names it; the others are right-aligned if they are `numbers`."""

    kind: ClassVar[str] = "facts"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Fact, ...], ...]
    numbers: bool = True


@dataclass(frozen=True)
class Html:
    """A table as markup that is already escaped, below its caption; `label` names its scroll box."""

    kind: ClassVar[str] = "html"
    markup: str
    label: str
    caption: str


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI of a PNG, with a caption on what to see in it, and with an alternative text.

    A `photo` keeps its colours on a dark page, and its pixels when enlarged. `paper` is the address of its PDF. What is
    `beside` it appears when it is enlarged.
    """

    kind: ClassVar[str] = "picture"
    name: str
    uri: str
    width: int
    height: int
    caption: str
    alt: str
    photo: bool = False
    paper: str = ""
    beside: Picture | None = None


@dataclass(frozen=True)
class Verbatim:
    """A text that keeps its line breaks and indentation, below its title."""

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
    """A part of the page; `name` is its anchor, and `gist` sums it up in few words where it is `folded`. The blocks
    `beside` stand at the right if there is room."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    gist: str = ""
    folded: bool = False
    beside: tuple[Block, ...] = ()


def picture(name: str, drawn: Drawn, caption: str, alt: str) -> Picture:
    """A drawn figure as a picture of a page."""
    width, height = (round(_PIXELS_PER_INCH * inches) for inches in drawn.inches)
    png = drawn.png if name in _SHEETS or len(drawn.png) < _HEAVY else _reduced(drawn.png)
    return Picture(name, uri_of(png), width, height, caption, alt)


def _reduced(png: bytes) -> bytes:
    """A PNG in 256 colours: lines and letters have few."""
    data = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.quantize(256).save(data, "png")
    return data.getvalue()


def uri_of(png: bytes) -> str:
    """The bytes of a PNG as an address that contains all of them."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def render(
    title: str,
    lead: Sequence[str],
    sections: Sequence[Section],
    links: Sequence[Link] = (),
    metrics: Sequence[str] = (),
) -> str:
    """The page. `links` lead out of it; the `metrics` with these labels are explained at its end."""
    here = Path(__file__).parent
    style, script = ((here / name).read_text(encoding="utf-8") for name in (STYLE, SCRIPT))
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    used = named(metrics)
    pictures = {block.name for section in sections for block in _pictures(section)}
    environment.filters["prose"] = lambda text: linked(prose(text, used), pictures)
    environment.filters["linked"] = partial(linked, pictures=pictures)
    environment.tests["link"] = lambda entry: isinstance(entry, Link)
    parts = {"title": title, "lead": lead, "sections": sections, "links": links}
    words = {"meanings": METRICS | MEANINGS, "used": used}
    own = {"style": Markup(style), "script": Markup(script), "hash": _hash(script)}
    return environment.get_template(TEMPLATE).render(**parts, **words, **own).strip() + "\n"


def _pictures(part: Section | Details) -> Iterator[Picture]:
    """The pictures of a part, those that are folded in it too."""
    for block in (*part.blocks, *(part.beside if isinstance(part, Section) else ())):
        if isinstance(block, Picture):
            yield block
        elif isinstance(block, Details):
            yield from _pictures(block)


def linked(markup: Markup, pictures: Collection[str]) -> Markup:
    """Markup in which the names of figures, such as figures/weights, lead to those that the page has."""

    def link(match: re.Match[str]) -> str:
        return f'<a href="#figure-{match[1]}">{match[0]}</a>' if match[1] in pictures else match[0]

    return Markup(re.sub(r"\bfigures/(\w+)", link, markup))


def _hash(script: str) -> str:
    """The hash by which a content security policy allows an inline script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def prose(text: str, used: set[str] | None = None) -> Markup:
    """Escaped text, with `code` as such; if `used` is given, the suite's own words are explained, and added to it."""
    pieces = around_code(str(escape(text)))
    texts = map(_bound, pieces[::2])
    pieces[::2] = texts if used is None else (marked(text, used) for text in texts)
    return Markup("".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces)))


def _bound(text: str) -> str:
    """Text without line breaks within a number and its interval, or between a symbol and its value."""
    return re.sub(r" (±|=|&lt;|·|[↓↑]) ?", lambda match: match[0].replace(" ", "\u00a0"), text)
