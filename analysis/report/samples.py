"""The samples of a page's first screen: the best cell's, and real images where the results folder holds any."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.figures.images import read_image
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.verdicts import Findings
from analysis.format.names import HELD_OUT, LIKELIHOOD
from analysis.report.page import Picture, uri_of

_WIDE = 300
"""About so many pixels of a screen are as wide as a sheet."""


def first_samples(answers: Answers) -> list[Picture]:
    """A sheet of the cell with the best samples, and one of held-out images; without the former, none."""
    folder, answer = answers.grid.samples, _decisive(answers)
    if folder is None or answer is None or answer.best is None:
        return []
    cell = answer.cells[answer.best]
    path = _sheet(folder, cell)
    if path is None:
        return []
    said = f"Samples of {cell.name}, whose mean {answer.metric.label} is the best."
    pictures = [_picture("best", path, said, f"Sheet of generated samples of {cell.name}.")]
    real = folder / f"{HELD_OUT}.png"
    if real.is_file():
        pictures.append(_picture(HELD_OUT, real, "Real images, held out.", "Sheet of held-out images."))
    return pictures


def _decisive(answers: Answers) -> Findings | None:
    """The answer for samples, or for likelihood where there is no other."""
    return next(iter(sorted(answers.findings, key=lambda answer: answer.metric.decides == LIKELIHOOD)), None)


def _sheet(folder: Path, cell: CellRuns) -> Path | None:
    """The sheet of the first seed that has one."""
    paths = (folder / f"{cell.cell_id}-{seed}.png" for seed in cell.runs["seed"])
    return next((path for path in paths if path.is_file()), None)


def _picture(name: str, path: Path, caption: str, alt: str) -> Picture:
    """A sheet at a whole number of a screen's pixels to each of its own."""
    pixels = np.round(255 * read_image(path)).astype(np.uint8)
    height, width = pixels.shape[:2]
    file, times = io.BytesIO(), max(1, round(_WIDE / width))
    Image.fromarray(pixels).save(file, format="png")
    return Picture(name, uri_of(file.getvalue()), times * width, times * height, caption, alt, photo=True)
