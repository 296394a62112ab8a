"""Tables, figures and verdicts from a results folder, without torch: `analysis.read("results/NAME")` gives frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.answers import Analysis

__all__ = ["read"]


def read(folder: Path | str) -> Analysis:
    """The analysis of `results/<grid>/`: `.meta`, and the frames `.runs`, `.curves`, `.comparisons` and `.cells`."""
    from analysis.answers import read as read_analysis

    return read_analysis(folder)
