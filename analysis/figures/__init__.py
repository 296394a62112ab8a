"""The figures of a grid and of its search: `python -m analysis.figures grid=NAME [runs=FOLDER]`.

A figure is a function of an analysis, or in `search` of a search, that returns a matplotlib Figure, or None where there
is nothing to show; its docstring is its caption. To add one, write the function in a module of this folder, and enter
its name in `FIGURES`. What draws is imported when it is asked for: `--help` does not need it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.files import replace_file, write_text
from analysis.places import SOURCE, folder_of, pages_of, search_alone
from analysis.shell import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.answers import Analysis
    from analysis.search import Search


_MODULES = {
    "pictures": "samples reconstructions",
    "values": "metrics differences lines cost compute",
    "curves": "training budget weights schedules bound",
    "search": "history slices parallel pareto",
}
FIGURES = {name: module for module, names in _MODULES.items() for name in names.split()}
"""Figure → the module that has its function."""


def function_of(name: str) -> Callable[[Any], Figure | None]:
    """The function that draws a figure."""
    function: Callable[[Any], Figure | None] = getattr(import_module(f"{__name__}.{FIGURES[name]}"), name)
    return function


def caption_of(name: str) -> str:
    """The line that says what a figure shows."""
    return " ".join((function_of(name).__doc__ or "").split())


def write_figures(subject: Analysis | Search, folder: Path) -> dict[str, Path]:
    """The PNG of every figure of a grid with its search, or of a search alone, that has something to show, by name,
    written to a folder with a PDF, without dates and versions, and the data of its lines; the files of others are
    removed."""
    import matplotlib.style

    from analysis.figures.style import STYLE, data_of
    from analysis.search import Search

    grid, search = (None, subject) if isinstance(subject, Search) else (subject, subject.search)
    paths = {}
    for name, module in FIGURES.items():
        of = search if module == "search" else grid
        with matplotlib.style.context(STYLE):
            figure = function_of(name)(of) if of is not None else None
            pdf, png, data = (folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "json"))
            for path in (pdf, png, data):
                path.unlink(missing_ok=True)
            if figure is None:
                continue
            for path, dates in ((pdf, ("CreationDate", "Producer", "Creator")), (png, ("Software",))):
                replace_file(path, partial(figure.savefig, format=path.suffix[1:], metadata=dict.fromkeys(dates)))
            if lines := data_of(figure):
                write_text(data, lines)
            paths[name] = png
    return paths


def show(values: dict[str, Any]) -> None:
    """Draw the figures of the grid that a command names, and print their paths."""
    from analysis.answers import read
    from analysis.search import read_search

    folder = folder_of(values)
    subject = read_search(folder) if search_alone(folder) else read(folder)
    print(*write_figures(subject, pages_of(folder) / "figures").values(), sep="\n")


main = partial(run, "analysis.figures", "Draw the figures of a grid that was run.", SOURCE, show)
