"""The figures of a grid: `python -m analysis.figures grid=NAME [runs=results/<grid>]`.

Each is PNG and PDF, byte for byte alike when drawn twice in one environment. One whose data are absent is not drawn,
and a stale file of its name goes (but for samples, strips and reconstructions, whose images a tracking store does not
give).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from analysis import commands
from analysis.figures.compute import compute_figure
from analysis.figures.cost import cost_figure
from analysis.figures.curves import bound_figure, training_figure, weights_figure
from analysis.figures.deck import DECK, deck_figure
from analysis.figures.differences import differences_figure
from analysis.figures.drawing import save, styled
from analysis.figures.elbo import elbo_figure
from analysis.figures.lines import lines_figure
from analysis.figures.metrics import estimate_figure, metrics_figure
from analysis.figures.reconstructions import reconstructions_figure
from analysis.figures.samples import samples_figure
from analysis.figures.schedules import schedules_figure
from analysis.figures.split import split_figure
from analysis.figures.strips import strips_figure
from analysis.frames.runs import Grid, read_folder

FIGURES: dict[str, Callable[[Grid], Figure | None]] = {
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
}


def draw(grid: Grid, folder: Path) -> list[Path]:
    """Every figure that the grid has data for; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    images = {"samples": grid.samples, "strips": grid.strips, "reconstructions": grid.reconstructions}
    written: list[Path] = []
    with styled():
        for name, make in FIGURES.items():
            figure = make(grid)
            if figure is not None:
                written += save(figure, folder / name)
                continue
            if name not in images or images[name] is not None:
                for suffix in ("png", "pdf"):
                    (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    return written


def write_figures(folder: Path | str) -> list[Path]:
    """figures/ in a results folder; the files written."""
    return draw(read_folder(folder), Path(folder) / "figures")


OPTIONS = {"grid": commands.GRID, "runs": commands.RUNS}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        for path in draw(commands.read(values), commands.folder_of(values) / "figures"):
            print(path)

    return commands.run("analysis.figures", "Draw the figures of a grid that was run.", OPTIONS, show, arguments)
