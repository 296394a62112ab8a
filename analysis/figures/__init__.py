"""The figures of a grid and of a search: `python -m analysis.figures grid=NAME [runs=results/<grid>]`.

Each is drawn once and saved as PNG and PDF, with the same bytes whenever it is drawn in one environment. A PNG holds a
digest of its content, which is the same in any environment (`digest`). A figure without data, or with nothing to say
(`sentences`), is not drawn, and its old files are removed; those of `PICTURES` are kept if their images are not at
hand. A preliminary round has no PDFs, which take longer than the rest of a page, while others train. The figures of a
committed grid go to results/.committed/<grid>/figures/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis import options
from analysis.figures.bits import elbo_figure, split_figure, split_sentence
from analysis.figures.budget import budget_figure
from analysis.figures.compute import compute_figure
from analysis.figures.cost import cost_figure
from analysis.figures.curves import bound_figure, training_figure, weights_figure, weights_sentence
from analysis.figures.deck import DECK, deck_figure
from analysis.figures.differences import differences_figure
from analysis.figures.drawing import Drawn, add_above, as_png, save, styled
from analysis.figures.image_rows import reconstructions_figure, strips_figure
from analysis.figures.lines import guidance_figure, lines_figure
from analysis.figures.metrics import estimate_figure, metrics_figure
from analysis.figures.samples import samples_figure
from analysis.figures.schedules import schedules_figure
from analysis.figures.search import SEARCH_FIGURES
from analysis.findings.answers import Answers
from analysis.findings.best import best
from analysis.folders import SOURCE, folder_of, pages_of, search_alone
from analysis.read.runs import read_folder
from analysis.read.search import Search, read_search


def _of_search(make: Callable[[Search], Figure | None]) -> Callable[[Answers], Figure | None]:
    """The figure of the search that a grid confirms."""
    return lambda answers: make(answers.grid.search) if answers.grid.search is not None else None


FIGURES: dict[str, Callable[[Answers], Figure | None]] = {
    "samples": samples_figure,
    "strips": strips_figure,
    "reconstructions": reconstructions_figure,
    "metrics": metrics_figure,
    "lines": lines_figure,
    "guidance": guidance_figure,
    "differences": differences_figure,
    "budget": budget_figure,
    "cost": cost_figure,
    "compute": compute_figure,
    "training": training_figure,
    "weights": weights_figure,
    "schedules": schedules_figure,
    "bound": bound_figure,
    "split": split_figure,
    "elbo": elbo_figure,
    "estimate": estimate_figure,
    **{name: deck_figure(name) for name in DECK},
    **{name: _of_search(make) for name, make in SEARCH_FIGURES.items()},
}


SENTENCES: dict[str, Callable[[Answers], str]] = {"weights": weights_sentence, "split": split_sentence}
"""The sentence in place of a figure in which all cells would look alike; "" if the figure is drawn or has no data."""
PICTURES = frozenset({"samples", "strips", "reconstructions"})
"""The figures that hold pictures: the page is their background, and nothing in them may be recoloured. All other
figures are charts on white, which a dark page may invert."""
MOST_CELLS = 40  # the most cells that figures of a grid show: many have a row, a panel or a line for each
LEAST, MOST = 1e-100, 1e100  # the range of the sizes of numbers that are drawn as they are; 0 is too
OF_NO_CELLS = frozenset({"strips", *DECK, *SEARCH_FIGURES})  # the figures that do not show single cells


def shown(answers: Answers) -> Answers:
    """The answers of the cells that figures show, with numbers that can be drawn."""
    return best(drawable(answers), MOST_CELLS)


def draw(answers: Answers) -> dict[str, Drawn]:
    """Every figure that the grid has data for, by name."""
    return _drawn(makers(answers))


def sentences(answers: Answers) -> dict[str, str]:
    """The sentences in place of figures that would show nothing, by the figures' names."""
    cut = shown(answers)
    return {name: sentence for name, make in SENTENCES.items() if (sentence := make(cut))}


def draw_search(search: Search) -> dict[str, Drawn]:
    """Every figure that a search has data for, by name."""
    return _drawn({name: partial(make, drawable_search(search)) for name, make in SEARCH_FIGURES.items()})


def write_figures(answers: Answers, folder: Path) -> dict[str, Drawn]:
    """Every figure that the grid has data for, by name, also written into this folder."""
    # In a round of rungs, pictures of whole trainings would not fit its numbers.
    kept = {name for name in PICTURES if getattr(answers.grid, name) is None and not answers.meta.at_rungs}
    return _written(makers(answers), folder, kept, pdf=not answers.preliminary)


def write_search_figures(search: Search, folder: Path) -> dict[str, Drawn]:
    """Every figure that a search has data for, by name, also written into this folder; with or without a grid."""
    return _written({name: partial(make, drawable_search(search)) for name, make in SEARCH_FIGURES.items()}, folder)


Makers = Mapping[str, Callable[[], Figure | None]]
"""A function per figure, by name, that draws it, or returns None if there are no data for it."""


def makers(answers: Answers) -> Makers:
    """The functions that draw the figures of a grid."""
    cut = shown(answers)
    above = cut.left_out()
    return {
        name: partial(_said_above, make, cut, "" if name in OF_NO_CELLS else above) for name, make in FIGURES.items()
    }


def _said_above(make: Callable[[Answers], Figure | None], answers: Answers, text: str) -> Figure | None:
    figure = make(answers)
    if figure is not None and text:
        add_above(figure, text)
    return figure


def _drawn(figures: Makers) -> dict[str, Drawn]:
    with styled():
        return {name: as_png(figure) for name, make in figures.items() if (figure := make()) is not None}


def _written(figures: Makers, folder: Path, kept: Collection[str] = (), *, pdf: bool = True) -> dict[str, Drawn]:
    """Each figure that there is, written to its files. Files of other figures are removed unless they are `kept`."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    with styled():
        for name, make in figures.items():
            figure = make()
            if figure is not None:
                drawn[name] = save(figure, folder / name, pdf=pdf)
            elif name not in kept:
                for path in files_of(folder, name):
                    path.unlink(missing_ok=True)
    return drawn


def files_of(folder: Path, name: str) -> list[Path]:
    """The files of a figure."""
    return [folder / f"{name}.{suffix}" for suffix in ("png", "pdf")]


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        source = folder_of(values)
        folder = pages_of(source) / "figures"
        captions: dict[str, str] = {}
        if search_alone(source):
            drawn = write_search_figures(read_search(source), folder)
        else:
            answers = Answers.of(read_folder(source))
            drawn, captions = write_figures(answers, folder), sentences(answers)
        for name in drawn:
            print(*(path for path in files_of(folder, name) if path.is_file()), sep="\n")
        for name, sentence in captions.items():
            print(f"no figure {name}: {sentence}")

    return options.run("analysis.figures", "Draw the figures of a grid that was run.", SOURCE, show, arguments)


def drawable(answers: Answers) -> Answers:
    """The answers with numbers that can be drawn; unchanged if all can be. 1e308 is drawn at 1e100, 5e-324 at 1e-100.

    Drawing needs squares, powers or margins of a number, which do not exist near the limits of float64. Tables and
    sentences give the number itself.
    """
    grid = answers.grid
    runs, curves = _moved(grid.runs), _moved(grid.curves)
    search = None if grid.search is None else drawable_search(grid.search)
    if runs is grid.runs and curves is grid.curves and search is grid.search:
        return answers
    return Answers.of(replace(grid, runs=runs, load_curves=lambda: curves, search=search))


def drawable_search(search: Search) -> Search:
    """The search with numbers that can be drawn; unchanged if all can be."""
    trials, rungs = _moved(search.trials), _moved(search.rungs)
    return search if trials is search.trials and rungs is search.rungs else Search(search.head, trials, lambda: rungs)


def _moved(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its numbers moved into the range that can be drawn; the same frame if all are inside."""
    columns = {str(name): frame[name].to_numpy() for name in frame.select_dtypes("float64")}
    moved = {name: _inside(values) for name, values in columns.items()}
    same = all(np.array_equal(values, moved[name], equal_nan=True) for name, values in columns.items())
    return frame if same else frame.assign(**moved)


def _inside(values: np.ndarray) -> np.ndarray:
    """The values with their sizes moved into the range; 0, nan and infinite values stay."""
    apart = np.isfinite(values) & (values != 0)
    return np.where(apart, np.sign(values) * np.clip(np.abs(values), LEAST, MOST), values)
