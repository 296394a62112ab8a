"""What a terminal shows of a grid."""

from analysis.labels import width
from analysis.pages import in_words
from tests.analysis.small import FID, IS, NLL, crossed

LOSSES = {"a": ("L (fixed isotropic Σ)", {}), "b": ("MSE", {})}
AXES = {"t": ("Target", {"m": ("μ̃", {}), "e": ("ε", {})}), "l": ("Objective", LOSSES)}


def test_a_terminal_shows_the_table_with_a_star_for_bold_and_how_to_go_on(tmp_path):
    metrics = {NLL: 2.5, FID: 20.0, IS: 7.0}
    shown = in_words(crossed(tmp_path / "g", AXES, metrics, layout="ddpm_table_2", footnotes=["A footnote."]))
    assert shown.startswith("NLL: μ̃ · L (fixed isotropic Σ) is the best of 4, 2.50 ± 0.05 bits/dim.\nFID: ")
    (row,) = [line for line in shown.splitlines() if line.startswith("|   L") and "2.50" in line]
    assert row.split("|")[2:5] == [
        f" {text} ".rjust(len(own))
        for text, own in zip(("2.50 ± 0.05*", "20.0 ± 2.5*", "7.00 ± 0.25"), row.split("|")[2:5], strict=True)
    ]
    assert "* stands for bold.\n\n[a] A footnote." in shown
    assert shown.count("• ") == 3
    assert "3 other comparisons: report.html, table.md, comparisons.csv." in shown
    told = dict(line.strip().split(": ", 1) for line in shown.partition("To go on:\n")[2].splitlines())
    assert told["more seeds, for exploration"] == "python -m ablations.run grid=small seeds=6"
    assert told["training twice as long"].endswith("grid=small training.steps=8000 name=small-longer")
    assert told["a picture of the best cell"] == f"python -m ablations.sample cell=m-a seed=0 results={tmp_path}"


def test_a_table_fits_the_terminal_in_as_many_parts_as_that_takes(tmp_path, monkeypatch):
    grid = crossed(tmp_path / "g", AXES, {NLL: 2.5, FID: 20.0, IS: 7.0})
    for columns, parts in {"120": 1, "70": 2, "60": 3}.items():
        monkeypatch.setenv("COLUMNS", columns)
        rows = [line for line in in_words(grid).splitlines() if line.startswith("| ")]
        assert sum(row.startswith("| ---") for row in rows) == parts
        assert max(map(width, rows)) <= int(columns)
