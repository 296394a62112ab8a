"""Figures as tests draw them, and files of them that take no time."""

from pathlib import Path

import pytest

from analysis.figures import files_of, write_figures
from analysis.figures.drawing import Drawn, styled
from analysis.findings.answers import Answers
from analysis.read.runs import GridResults
from tests.analysis.conftest import answers_of


def drawn(make, of):
    """The figure of a results folder, of a grid or of its answers, in the project's style."""
    answers = answers_of(of) if isinstance(of, Path) else Answers.of(of) if isinstance(of, GridResults) else of
    with styled():
        return make(answers)


def texts(axes):
    """The texts in a panel."""
    return [text.get_text() for text in axes.texts]


def files_written(folder):
    """The files of the figures that are drawn of a results folder."""
    return files_in(folder, write_figures(answers_of(folder), folder / "figures"))


def files_in(folder, drawn):
    """The files of these figures of a results folder."""
    return [path for name in drawn for path in files_of(folder / "figures", name)]


@pytest.fixture
def quick(monkeypatch):
    """Figures that the test writes are laid out, which finds what cannot be drawn; their files hold a mark instead."""

    def save(figure, path, *, pdf=True):
        figure.draw_without_rendering()
        for file in files_of(path.parent, path.name)[: 1 + pdf]:
            file.write_bytes(b"drawn")
        return Drawn(b"drawn", (1.0, 1.0))

    monkeypatch.setattr("analysis.figures.save", save)
