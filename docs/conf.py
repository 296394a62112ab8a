"""The site: README, docs, evidence and committed results, for `python -m sphinx -W -c docs . site`.

    pip install -e '.[docs]' && python -m sphinx -W -c docs . site      # site/index.html
    python -m sphinx -W -c docs -D reports=rate . site                  # with one report in place of all: in seconds

Sphinx reads each page where the repository has it, so that a link leads to the same in both places; -W fails on one
that leads nowhere. Nothing is loaded from elsewhere, the search included. What a page on GitHub cannot say is added
here, as it is read: the contents, titles, the code of the notebook, the docstrings of the core.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "results" / "committed"
CONTENTS = {
    "Start": ["docs/start", "docs/first_hour", "docs/words"],
    "How to": [
        "docs/running",
        "docs/grids",
        "docs/data",
        "docs/searching",
        "docs/extending",
        "examples/extension/README",
        "docs/python",
        "docs/checkpoints",
        "docs/gpu",
        "docs/scale",
        "docs/sharing",
    ],
    "Reference": ["docs/axes", "docs/choices", "docs/numbers", "docs/papers", "docs/api"],
    "Why believe it": [
        "docs/findings",
        "docs/claims",
        "docs/statistics",
        "docs/convergence",
        "evidence/*",
        "benchmarks/*",
    ],
    "The project": ["CONTRIBUTING", "CHANGELOG", "SECURITY"],
}
"""The shelves and their pages, in the order in which they are read; -W fails where a page has no place."""
TABLES = "results/committed/*/table"
"""The tables of committed grids, which are below the findings."""

project = "diffusion-ablations"
html_title = project
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
source_suffix = {".md": "markdown", ".ipynb": "markdown"}
include_patterns = [
    *("README.md", "docs/*", f"{TABLES}.md"),
    *(f"{page}.md" for pages in CONTENTS.values() for page in pages),
]
exclude_patterns = [".*", "**/.*", "site"]
html_theme = "furo"
html_search_scorer = str(Path(__file__).with_name("search.js"))
highlight_language = "none"
html_copy_source = html_show_copyright = html_show_sphinx = False
myst_heading_anchors = 4
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
add_module_names = False
toc_object_entries_show_parents = "hide"


def setup(app: Sphinx) -> None:
    app.add_config_value("reports", "*", "env", str)  # a pattern of the committed grids whose reports are drawn
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("build-finished", finish)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """A page as Sphinx is to read it."""
    text, path = source[0], Path(name)
    if str(app.env.doc2path(name)).endswith(".ipynb"):
        cells = ((cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"])
        text = "\n\n".join(words if kind == "markdown" else f"```python\n{words}\n```" for kind, words in cells)
    if not text.startswith("# "):
        grid = path.parent.name if path.name == "table" else ""
        drawn = grid and fnmatch(grid, app.config.reports)
        report = f'<a href="../../{grid}/report.html">The report, with all figures</a>\n\n' if drawn else ""
        text = f"# {grid or path.name}\n\n{report}{text}"
    if name == "docs/api":
        core = r"^- \[(diffusion_core[\w.]*)\]\(.*\): (?:.*\n)(?:  .*\n)*"
        explained: set[str] = set()

        def explain(entry: re.Match[str]) -> str:
            """A module's own docstrings where it is first named; later its line."""
            module = entry[1]
            if module in explained:
                return entry[0]
            explained.add(module)
            return f"### {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n"

        text = re.sub(core, explain, f"{text}\n", flags=re.MULTILINE)
    if name == root_doc:
        first, heading, rest = text.partition("\n## ")
        text = f"{first}\n{gallery(app.config.reports)}\n{heading}{rest}"
        text += "".join(contents(pages, shelf) for shelf, pages in CONTENTS.items())
    if name == "docs/findings":
        text += contents([f"../{TABLES}"])
    source[0] = text


CARD = """<figure style="width: 320px; margin: 0">
<a href="{page}"><b>{grid}</b></a> {question}
<div style="width: 320px; height: 220px; overflow: hidden; border: 1px solid #8888; resize: both">
<iframe src="{page}" title="{grid}" loading="lazy" style="width: 1280px; height: 880px; border: 0; zoom: 0.25"></iframe>
</div></figure>"""


def gallery(reports: str) -> str:
    """The first screens of the committed grids' reports, each with its question."""
    style = "display: flex; flex-wrap: wrap; gap: 1em; max-height: 56em; overflow: auto"
    cards = ["## What grids found", "", f'<div style="{style}">']
    for grid in drawn_grids(reports):
        question = html.escape(json.loads((COMMITTED / grid / "grid.json").read_text("utf-8"))["question"])
        cards.append(CARD.format(page=f"results/{grid}/report.html", grid=grid, question=question))
    return "\n".join([*cards, "</div>"])


def drawn_grids(reports: str) -> list[str]:
    """The committed grids whose reports are drawn."""
    return [folder.name for folder in sorted(COMMITTED.iterdir()) if fnmatch(folder.name, reports)]


def contents(pages: list[str], shelf: str = "") -> str:
    """Pages of the contents, which stand beside every page: on a shelf, or below the page that has them."""
    caption = f":caption: {shelf}\n" if shelf else ""
    return "\n```{{toctree}}\n:hidden:\n:glob:\n{}\n{}\n```\n".format(caption, "\n".join(pages))


def docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """A docstring, which is Markdown, as reStructuredText: code, equations in lines that are indented, papers."""
    paragraphs = "\n".join(lines).strip().split("\n\n")
    lines[:] = "\n\n".join(map(_paragraph, paragraphs)).split("\n")


def _paragraph(text: str) -> str:
    return f"::\n\n{text}" if text.startswith("    ") else re.sub(r"`([^`]*)`|arXiv:[\d.]*\d|[\\*_|]", _marked, text)


def _marked(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith("`"):
        return f"\\ ``{found[1]}``\\ "
    if text.startswith("arXiv"):
        return f"`{text} <https://arxiv.org/abs/{text.removeprefix('arXiv:')}>`__"
    return f"\\{text}"


def finish(app: Sphinx, error: Exception | None) -> None:
    """The front page under the name that servers look for, and the reports of the committed grids."""
    if error is not None:
        return
    site = Path(app.outdir)
    shutil.copy(site / f"{root_doc}.html", site / "index.html")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda grid: report(grid, site / "results" / grid), drawn_grids(app.config.reports)))


def report(grid: str, place: Path) -> None:
    """The report of a committed grid, beside the files that it links to."""
    shutil.copytree(COMMITTED / grid, place, dirs_exist_ok=True)
    command = [sys.executable, "-m", "analysis.report", f"runs={place}"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
