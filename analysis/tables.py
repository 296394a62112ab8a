"""The table of a grid: `python -m analysis.tables grid=NAME [format=markdown|latex|csv] [layout=NAME] [papers=yes|no]`.

pandas is imported by what needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.files import write_text
from analysis.places import SOURCE, folder_of
from analysis.schema import LAYOUTS
from analysis.shell import Option, run

if TYPE_CHECKING:
    from analysis.answers import Analysis

SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv"}
OPTIONS = {
    **SOURCE,
    "format": Option("how to write it", "markdown", choices=tuple(SUFFIXES)),
    "layout": Option("how to lay it out, by default as grid.json says", choices=LAYOUTS),
    "papers": Option("whether the papers' numbers stand beside ours, by default not in LaTeX", choices=("yes", "no")),
}


def render(analysis: Analysis, form: str, layout: str = "", papers: str = "") -> str:
    """The table as Markdown, LaTeX, CSV or HTML; InputError where the layout does not fit the grid."""
    from analysis import writers
    from analysis.layouts import table_of

    table = table_of(analysis, layout, published=papers == "yes" or (papers == "" and form != "latex"))
    if form in ("csv", "html"):
        return writers.table_csv(table) if form == "csv" else writers.html(table)
    return writers.latex(analysis, table) if form == "latex" else writers.markdown(analysis, table)


def write_tables(analysis: Analysis, folder: Path | str) -> None:
    """table.md, table.tex, table.csv, comparisons.csv and cells.csv in a folder."""
    from analysis import writers

    texts = {f"table.{suffix}": render(analysis, form) for form, suffix in SUFFIXES.items()}
    beaten = [" ".join(ids or ()) for ids in analysis.cells["beaten_by"]]
    texts["cells.csv"] = writers.csv(analysis.cells.assign(beaten_by=beaten))
    texts["comparisons.csv"] = writers.csv(analysis.comparisons)
    for name, text in texts.items():
        write_text(Path(folder) / name, text)


def show(values: dict[str, str]) -> None:
    """Print the table of the grid that a command names."""
    from analysis.answers import read

    print(render(read(folder_of(values)), values["format"], values["layout"], values["papers"]), end="")


main = partial(run, "analysis.tables", "Print the table of a grid that was run.", OPTIONS, show)


if __name__ == "__main__":
    sys.exit(main())
