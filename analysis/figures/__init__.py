"""The figures of a grid and of a search: `python -m analysis.figures grid=NAME [runs=results/<grid>]`.

Each is PNG and PDF, byte for byte alike when drawn twice in one environment. One whose data are absent is not drawn,
and a stale file of its name goes; but for samples, strips and reconstructions where their images are not at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from analysis import options
from analysis.figures.compute import compute_figure
from analysis.figures.cost import cost_figure
from analysis.figures.curves import bound_figure, training_figure, weights_figure
from analysis.figures.deck import DECK, deck_figure
from analysis.figures.differences import differences_figure
from analysis.figures.drawing import save, styled
from analysis.figures.elbo import elbo_figure
from analysis.figures.history import history_figure
from analysis.figures.lines import lines_figure
from analysis.figures.metrics import estimate_figure, metrics_figure
from analysis.figures.pareto import pareto_figure
from analysis.figures.reconstructions import reconstructions_figure
from analysis.figures.rungs import rungs_figure
from analysis.figures.samples import samples_figure
from analysis.figures.schedules import schedules_figure
from analysis.figures.slices import slices_figure
from analysis.figures.split import split_figure
from analysis.figures.strips import strips_figure
from analysis.read.runs import GridResults, read_folder
from analysis.read.search import Search, read_search, search_alone
from analysis.read.source import SOURCE, folder_of, read

SEARCH_FIGURES: dict[str, Callable[[Search], Figure | None]] = {
    "history": history_figure,
    "slices": slices_figure,
    "pareto": pareto_figure,
    "rungs": rungs_figure,
}
"""The figures of a search, in the order in which they are read. Parallel coordinates are left to Optuna's dashboard."""


def _of_search(make: Callable[[Search], Figure | None]) -> Callable[[GridResults], Figure | None]:
    """The same figure of the search that a grid confirms."""
    return lambda grid: make(grid.search) if grid.search is not None else None


FIGURES: dict[str, Callable[[GridResults], Figure | None]] = {
    "samples": samples_figure,
    "strips": strips_figure,
    "reconstructions": reconstructions_figure,
    "metrics": metrics_figure,
    "lines": lines_figure,
    "differences": differences_figure,
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


def draw(grid: GridResults, folder: Path) -> list[Path]:
    """Draw every figure that the grid has data for; the files written."""
    images = {"samples": grid.samples, "strips": grid.strips, "reconstructions": grid.reconstructions}
    kept = {name for name, source in images.items() if source is None}
    return _written({name: partial(make, grid) for name, make in FIGURES.items()}, folder, kept)


def _written(makers: Mapping[str, Callable[[], Figure | None]], folder: Path, kept: Collection[str] = ()) -> list[Path]:
    """Draw each figure that there is. Files of the others go, but for those that are `kept`; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with styled():
        for name, make in makers.items():
            figure = make()
            if figure is not None:
                written += save(figure, folder / name)
            elif name not in kept:
                for suffix in ("png", "pdf"):
                    (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    return written


def write_figures(folder: Path | str) -> list[Path]:
    """Draw the figures of a results folder into its figures/; the files written."""
    return draw(read_folder(folder), Path(folder) / "figures")


def write_search_figures(folder: Path | str) -> list[Path]:
    """Draw the figures of a search into figures/ of its results folder, with or without a grid; the files written."""
    search = read_search(folder)
    return _written({name: partial(make, search) for name, make in SEARCH_FIGURES.items()}, Path(folder) / "figures")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        folder = folder_of(values)
        alone = "://" not in values["runs"] and search_alone(folder)
        for path in write_search_figures(folder) if alone else draw(read(values), folder / "figures"):
            print(path)

    return options.run("analysis.figures", "Draw the figures of a grid that was run.", SOURCE, show, arguments)
