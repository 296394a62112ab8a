"""What is said where a grid has more cells than are shown."""

from __future__ import annotations

from analysis.findings.answers import Answers
from analysis.findings.best import Best, ranking
from analysis.format.notation import counted


def cells_shown(answers: Answers) -> str:
    """Which cells are shown: 12 cells, or the 40 best of 1000 cells by NLL and the baseline."""
    if not isinstance(answers, Best):
        return "one cell" if len(answers.cells) == 1 else counted(len(answers.cells), "cell")
    best = len(answers.kept) - answers.besides
    by, everyone = ranking(answers.whole), counted(len(answers.whole.cells), "cell")
    which = f"the first {best} of {everyone}" if by is None else f"the {best} best of {everyone} by {by.metric.label}"
    return f"{which} and the baseline" if answers.besides else which


def left_out(answers: Answers, whole: str = "table.csv") -> str:
    """The same as a sentence that says which file has the `whole`; "" where nothing is left out."""
    return f"Shown are {cells_shown(answers)}; {whole} has all." if isinstance(answers, Best) else ""
