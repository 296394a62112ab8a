"""The samples of a page. The first screen has those of the best cell, and real images if the results folder has any; a
section below has those of every cell, and says how many are copies of training images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from analysis.figures.samples import CellSamples, first_sheet, kept_sheet
from analysis.findings.answers import Answers
from analysis.findings.cells import CellRuns
from analysis.findings.verdicts import Findings
from analysis.labels import Rounding, begun
from analysis.report.page import Picture, Section, Text, uri_of
from analysis.schema import HELD_OUT, LIKELIHOOD, NEAREST

MEMORISATION = "memorisation/"
"""The prefix of the metric for the share of samples that are nearer to a training image than real images are."""
_WIDE = 300
"""The approximate width of a sheet in pixels of a screen."""


def first_samples(answers: Answers) -> list[Picture]:
    """A sheet of the cell with the best samples, and one of held-out images; none if the data are not images."""
    folder, answer = answers.grid.samples, _decisive(answers)
    if answer is None or answer.best is None:
        return []
    cell = answer.cells[answer.best]
    sheet, real = first_sheet(folder, cell), kept_sheet(folder, HELD_OUT, 0)
    if sheet is None or sheet.points:
        return []
    caption = f"Samples of {cell.name}, whose mean {answer.metric.label} is the best."
    best = _picture("best", sheet.values, caption, f"Sheet of generated samples of {cell.name}.")
    pictures = [replace(best, beside=_nearest(folder, cell, sheet))]
    if real is not None:
        pictures.append(_picture(HELD_OUT, real.values, "Real images, held out.", "Sheet of held-out images."))
    return pictures


def _nearest(folder: Path | None, cell: CellRuns, sheet: CellSamples) -> Picture | None:
    """The sheet of the training images nearest to those of a cell's sheet; None where there is none."""
    of = {int(seed): cell_id for cell_id, seed in zip(cell.runs["cell_id"], cell.runs["seed"], strict=True)}
    nearest = kept_sheet(folder, f"{of[sheet.seed]}-{sheet.seed}{NEAREST}", sheet.seed)
    if nearest is None or nearest.values.shape != sheet.values.shape:
        return None
    caption = "Beside them, place by place, the training image that is nearest in pixels."
    return _picture("nearest", nearest.values, caption, "Sheet of the training images nearest to these samples.")


def samples_section(answers: Answers, pictures: Sequence[Picture]) -> Section | None:
    """The section with the figures of samples, after a sentence on copies; None where there are no figures."""
    copies = _copies(answers)
    texts = [Text(f"Are they copies of training images? {begun(copies)}.")] if copies else []
    return Section("samples", "Samples", (*texts, *pictures), copies) if pictures else None


def _copies(answers: Answers) -> str:
    """The range over cells of the mean memorisation rate, and the rate of real images; "" where it was not measured."""
    metric = next((metric for metric in answers.metrics if metric.name.startswith(MEMORISATION)), None)
    means = [e.mean for cell in answers.cells if metric and (e := cell.estimate(metric.name)).known]
    if metric is None or not means:
        return ""
    floor = answers.meta.floors.get(metric.name)
    write = Rounding(decimals=3).number
    low, high = write(min(means)), write(max(means))
    real = f" ({floor.label}: {write(floor.value)})" if floor else ""
    return f"{metric.label.lower()} {low if low == high else f'{low} to {high}'}{real}"


def _decisive(answers: Answers) -> Findings | None:
    """The answer for samples, or for likelihood if there is no other."""
    return next(iter(sorted(answers.findings, key=lambda answer: answer.metric.decides == LIKELIHOOD)), None)


def _picture(name: str, image: NDArray[np.float64], caption: str, alt: str) -> Picture:
    """A sheet, enlarged by a whole number of screen pixels per pixel."""
    pixels = np.round(255 * image).astype(np.uint8)
    height, width = pixels.shape[:2]
    file, times = io.BytesIO(), max(1, round(_WIDE / width))
    Image.fromarray(pixels).save(file, format="png")
    return Picture(name, uri_of(file.getvalue()), times * width, times * height, caption, alt, photo=True)
