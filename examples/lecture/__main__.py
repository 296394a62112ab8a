"""`python -m examples.lecture results/deck`: the lecture's pictures, beside the figures of a grid that was run.

It shows how to draw what no page of a grid has: curves by `analysis.figures.style`, images of a trained cell by
`ablations.driver.trained_cells`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from ablations.driver.trained_cells import cell_in
from ablations.results.csv_text import rows_of
from analysis.figures.style import LINEAR, LOG, STYLE, WIDTH, Line, Panel, draw
from analysis.shell import exit_code
from examples.lecture import mixture
from examples.lecture.formulas import Curve, formula_figures
from examples.lecture.strips import strips

PANELS = {
    "forward": [
        ("prior", "t/T", "KL(q(xₜ | x₀) ‖ N(0, I))\n(bits/dim)", LINEAR, LOG),
        ("prior_end", "T", "the same at t = T, which is L_T (bits/dim)", LOG, LOG),
    ],
    "noise": [
        ("alpha_bar", "t/T", "ᾱₜ", LINEAR, LINEAR),
        ("log_snr", "t/T", "log(ᾱₜ / (1 − ᾱₜ))", LINEAR, LINEAR),
    ],
    "variances": [("beta_ratio", "t/T", "β̃ₜ / βₜ", LOG, LINEAR)],
    "objectives": [("eps_weight", "t", "weight of ‖ε − ε̂‖²,\nrelative to its mean", LOG, LOG)],
    "reverse": [
        ("reverse_kl", "βₜ", "KL(q(xₜ₋₁ | xₜ) ‖ Gaussian)\n(nats)", LOG, LOG),
        ("gap", "T", "bound less the exact NLL\n(bits/dim)", LOG, LOG),
    ],
}
"""Picture → its panels: a figure of the formulas, its axes' labels and scales."""


def panel(looks: dict[str, int], curves: Mapping[str, Curve], x: str, y: str, *log: float) -> Panel:
    """The panel of a figure's curves, by what its axes can show of them; a name has one look in a picture."""
    lines = []
    for name, (xs, ys) in curves.items():
        table = pd.DataFrame({"y": ys}, index=xs)
        least = [0 if ratio == LOG else -math.inf for ratio in log]
        look = {name: looks.setdefault(name, len(looks))}
        lines.append(Line([], look, table[(table.index > least[0]) & (table["y"] > least[1])]))
    return Panel("", x, y, lines, (log[0], log[1]))


def rows_of_images(rows: Mapping[str, Tensor]) -> Figure:
    """A row of grey or coloured images for each name, [N, C, H, W], a pixel apart."""
    figure = Figure((WIDTH, 0.6 * len(rows)), layout="compressed")
    for axes, (name, images) in zip(figure.subplots(len(rows), 1, squeeze=False).flat, rows.items(), strict=True):
        tiled = make_grid(images.float(), nrow=len(images), padding=1, pad_value=1.0, normalize=True)
        axes.imshow(tiled.permute(1, 2, 0))
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[], frame_on=False)
    return figure


def figures(folder: Path) -> Iterator[tuple[str, Figure]]:
    """The pictures by name, of a grid that was run in this folder."""
    first = rows_of(folder / "runs.csv", ("cell_id", "seed"))[0]
    curves = {**formula_figures(cell_in(first).data.load()), **mixture.figures()}
    for name, panels in PANELS.items():
        looks = dict[str, int]()
        if figure := draw([panel(looks, curves[curve], *axes) for curve, *axes in panels], len(panels), 2.6):
            yield name, figure
    for direction, rows in strips(folder).items():
        yield f"strips-{direction}", rows_of_images(rows)


def main(arguments: list[str]) -> int:
    """Draw every picture into the grid's figures, and print its path."""
    folder = Path(arguments[0] if arguments else "results/deck")
    (folder / "figures").mkdir(exist_ok=True)
    with matplotlib.style.context(STYLE):
        for name, figure in figures(folder):
            figure.savefig(path := folder / "figures" / f"{name}.png")
            print(path, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
