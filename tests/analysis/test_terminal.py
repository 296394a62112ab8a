"""What a terminal and a pipe show of a grid."""

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from analysis.labels import width
from analysis.terminal import terminal_table
from tests.analysis.small import FID, IS, NLL, crossed

LOSSES = {"a": ("L (fixed isotropic Σ)", {}), "b": ("MSE", {})}
AXES = {"t": ("Target", {"m": ("μ̃", {}), "e": ("ε", {})}), "l": ("Objective", LOSSES)}


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    known = {NLL: [{"label": "uniform code", "value": 4.0875}]}
    folder, metrics = tmp_path_factory.mktemp("g") / "g", {NLL: 2.5, FID: 20.0, IS: 7.0}
    return crossed(folder, AXES, metrics, layout="ddpm_table_2", baselines=known, footnotes=["A footnote."])


def test_a_pipe_gets_every_column_and_a_star_for_bold(analysis):
    shown = terminal_table(analysis, Console(file=io.StringIO(), force_terminal=False, width=40))
    assert "\x1b" not in shown
    (row,) = [line for line in shown.splitlines() if line.startswith("  L") and "2.50" in line]
    assert " ".join(row.split()) == "L (fixed isotropic Σ) 2.50 ± 0.05* 20.0 ± 2.5* 7.00 ± 0.25"
    assert "* stands for bold.\n[a] A footnote." in shown
    assert shown.startswith("NLL: μ̃ · L (fixed isotropic Σ) is the best of 4, 2.50 ± 0.05 bits/dim.\nFID: ")


@pytest.mark.parametrize(("columns", "pieces"), [(50, 2), (100, 1)])
def test_a_terminal_shows_bold_columns_in_pieces_and_how_to_go_on(analysis, columns, pieces):
    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system="standard")
    shown = terminal_table(analysis, console)
    plain, _, commands = Text.from_ansi(shown).plain.partition("To go on:\n")
    assert max(map(width, plain.splitlines())) <= columns
    assert plain.count("Objective[a]") == pieces
    assert set(re.findall("\x1b\\[1m(.*?)\x1b\\[0m", shown)) == {"2.50 ± 0.05", "20.0 ± 2.5", "7.30 ± 0.25"}
    assert "*" not in plain
    assert plain.count("• ") == 3
    assert "3 other comparisons: report.html, table.md, comparisons.csv." in " ".join(plain.split())
    # Commands are not broken, so that they can be copied.
    told = dict(line.strip().split(": ", 1) for line in commands.splitlines())
    assert told["more seeds, for exploration"] == "python -m ablations.run grid=small seeds=6"
    assert told["training twice as long"].endswith("grid=small training.steps=8000 name=small-longer")
    assert told["a picture of the best cell"] == "python -m ablations.sample cell=m-a"
