"""The pieces of a page as HTML, and the page as one file that loads nothing.

Every text is plain and may come from a user: it is escaped, and `code` is shown as such; only Markup is trusted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from PIL import Image

from analysis.answers import Analysis
from analysis.labels import around_code, in_symbols
from analysis.schema import AT, HELD_OUT

FILES = ("table.csv", "table.md", "table.tex", "comparisons.csv", "cells.csv", "runs.csv", "trials.csv", "grid.json")
"""The files that a page links to, where they exist."""
PHOTOS = ("samples", "reconstructions")
"""The figures whose colours are kept, on a dark page too."""
DPI = 110
"""The dots per inch at which figures are shown."""
MOST = 8_000_000
"""The most letters of all sheets of samples over training steps."""
_FIGURE = Markup(
    '<figure class="{kind}"><div class="card"><img src="data:image/png;base64,{data}" width="{width}" alt="{caption}">'
    "{lines}</div><figcaption>{caption}</figcaption></figure>"
)


@dataclass(frozen=True)
class Part:
    """A part of the page under a line with its `gist`: paragraphs and Markup; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[str]
    gist: str = ""
    opened: bool = False


def figure(path: Path, caption: str, wide: int = 0, sheets: str = "") -> Markup:
    """The figure at a path or, about so `wide`, the photo, whose pixels become squares of whole pixels of a screen;
    with the data of its lines, or of `sheets` over training steps, for the page's script."""
    with Image.open(path) as image:
        scale = max(1, round(wide / image.width)) if wide else DPI / float(image.info.get("dpi", (DPI, DPI))[0])
        width = round(scale * image.width)
    kind, lines = "photo" if wide or path.stem in PHOTOS else "chart", path.with_suffix(".json")
    data = lines.read_text(encoding="utf-8") if lines.is_file() else sheets
    # A block of data is no program.
    block = Markup('<script type="application/json">{}</script>').format(Markup(data.replace("<", r"\u003c")))
    return _FIGURE.format(kind=kind, data=in_base64(path), width=width, caption=caption, lines=block if data else "")


def sheets(analysis: Analysis) -> str:
    """The sheets of held-out data and of each cell's first seed, over training steps, as JSON: [{name, sheets: [[step,
    PNG]]}]; "" where none is from midway, or all are too much for a page."""
    folder = analysis.folder / "samples"
    shown = {"held-out": {0: folder / f"{HELD_OUT}.png"}}
    for cell in analysis.cell_ids:
        ends = (folder / f"{cell}-{seed}.png" for seed in analysis.meta.seeds)
        for end in [*filter(Path.is_file, ends)][:1]:
            midway = {int(path.stem.rpartition(AT)[2]): path for path in sorted(folder.glob(f"{end.stem}{AT}*.png"))}
            shown[analysis.names[cell]] = midway | {int(analysis.parameter(cell, "training.steps") or 0): end}
    if max(map(len, shown.values())) == 1:
        return ""
    over_steps = {name: [[step, in_base64(at[step])] for step in sorted(at)] for name, at in shown.items()}
    json_text = json.dumps([{"name": name, "sheets": of} for name, of in over_steps.items()], ensure_ascii=False)
    return json_text if len(json_text) < MOST else ""


def in_base64(path: Path) -> str:
    """The bytes of a file as text."""
    return base64.b64encode(path.read_bytes()).decode()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A table of texts, the first of which names its row."""
    frame = pd.DataFrame([list(map(prose, row)) for row in rows], columns=list(map(prose, head)))
    with pd.option_context("display.max_colwidth", None):
        return scrolled(frame.to_html(index=False, escape=False, border=0, justify="left", classes="texts"))


def scrolled(html: str) -> Markup:
    """A table that scrolls where it is too wide."""
    return Markup(f'<div class="scroll">{html}</div>')


def link(text: str, url: str) -> Markup:
    """A text that leads to another page or file."""
    return Markup('<a href="{}">{}</a>').format(url, text)


def links_of(folder: Path, pages: Path) -> list[Markup]:
    """The links to the files of a results folder from its page in `pages`, which may have made some itself."""
    there = [next((at for at in (pages / name, folder / name) if at.is_file()), None) for name in FILES]
    return [link(at.name, quote(Path(os.path.relpath(at, pages)).as_posix())) for at in there if at]


def prose(text: str) -> Markup:
    """Escaped text, with `code` as such, and without line breaks within a number and its interval; markup as it is."""
    if isinstance(text, Markup):
        return text
    pieces = around_code(str(escape(text)))
    whole = re.compile(r" (±|=|&lt;|·|[↓↑]) ?| to (?=[−\d])|(?<=F\(\d), ")
    pieces[::2] = [whole.sub(lambda m: m[0].replace(" ", "\u00a0"), text) for text in pieces[::2]]
    return Markup("".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces)))


def render(
    title: str, lead: list[str], links: list[Markup], screen: Sequence[Sequence[str]], parts: Sequence[Part | None]
) -> str:
    """The page, with the sides of its first screen, and without the parts that are None."""
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page.filters["prose"] = prose
    # The policy of the page allows its own script, by its hash, and no other.
    files = (Path(__file__).parent / name for name in ("page.js", "charts.js"))
    script = "\n".join(file.read_text(encoding="utf-8") for file in files)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    content = {"title": in_symbols(title), "lead": lead, "links": links, "screen": screen, "parts": filter(None, parts)}
    content |= {"script": Markup(script), "hash": f"sha256-{digest}"}
    return page.get_template("page.html.jinja").render(content).strip() + "\n"
