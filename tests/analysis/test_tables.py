"""The files of a table, against numbers worked out by hand; and all committed tables on a page of LaTeX."""

import math
import re
import shutil
import subprocess

import pandas as pd
import pytest

from analysis import tables
from analysis.answers import read
from analysis.layouts import table_of
from evidence.freshness import COMMITTED, committed
from tests.analysis.small import FID, IS, NLL, crossed, small

A, B, C = [2.50, 2.57, 2.43], [2.41, 2.46, 2.33], [2.49, 2.59, 2.45]
KNOWN = {"baselines": {NLL: [{"label": "uniform code", "value": 4.0875}]}}
KNOWN |= {"floors": {FID: {"label": "held-out images", "value": 5.12}}}


@pytest.fixture
def analysis(tmp_path):
    """A and B differ in NLL, which C has at two seeds; their FID are 20 e^−0.01, 20, 20 e^0.01, and 10 each."""
    fid = [20 * math.exp(0.01 * (seed - 1)) for seed in range(3)]
    cells = {"A": {NLL: A, FID: fid}, "B": {NLL: B, FID: [10.0] * 3}, "C": {NLL: C[:2], FID: [15.0, 25.0]}}
    ended = {("C", 2): {"status": "diverged", "reason": "the loss was 12.5 at step 7\nTraceback"}}
    return small(tmp_path / "g", cells, rows=ended, baseline={"cell": "A"}, **KNOWN)


def rows_of(text):
    """The rows of all Markdown tables, without their rules."""
    lines = [line for line in text.splitlines() if line[:1] == "|" and not line.startswith("| --")]
    return [[field.strip() for field in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown(analysis):
    """Half-widths are 4.303 · 0.07/√3 and 4.303 · 0.0656/√3 in NLL; of two seeds, 12.7 · 0.05 and 12.7 · 5."""
    text = tables.render(analysis, "markdown")
    assert rows_of(text) == [
        ["Cell", "NLL (bits/dim) ↓", "FID ↓"],
        ["A", "2.50 ± 0.17", "20.0 ± 0.5"],
        ["B", "**2.40 ± 0.16**", r"**10.0 ± \<0.1**"],
        ["C", "2.54 ± 0.64°<sup>a</sup>", "20.0 ± 63.5°<sup>a</sup>"],
        ["*uniform code*", "4.09", ""],
        ["*held-out images*", "", "5.1"],
    ]
    assert text.startswith("Which is better?\n\n- NLL: B has the best mean, 2.40 ± 0.16 bits/dim;")
    lines = text.splitlines()
    assert "<sup>a</sup> diverged in 1 of 3 seeds (the loss was 12.5 at step 7); mean over the other 2<br>" in lines
    assert "- FID: A is worse than B by a factor of 2.00 (1.95 to 2.05) (p \\< 0.001, exploratory)." in lines


def test_at_most_twelve_comparisons_are_told_and_claims_are_rows(tmp_path):
    cells = {f"c{k}": {NLL: [value + k for value in A]} for k in range(6)}
    claim = {"claim": "c0 is | better", "source": "A paper", "metric": "nll"}
    claim |= {"better": {"cell": "c0"}, "than": {"cell": "c1"}}
    text = tables.render(small(tmp_path / "g", cells, expects=[claim]), "markdown")
    assert len(re.findall(r"^- NLL: c.* (?:than|from) c", text, re.MULTILINE)) == 12
    assert "- 3 other comparisons in comparisons.csv and report.html." in text
    assert rows_of(text)[-2] == ["Outcome", "A paper's claim", "Source", "Here"]
    assert rows_of(text)[-1][:3] == ["As published", r"c0 is \| better", "A paper"]


def test_notes_that_differ_in_numbers_share_a_footnote(tmp_path):
    shares = {("A", 0): 37, ("A", 1): 41, ("C", 0): 12}
    noted = {run: {"notes": f"{share} % are warm"} for run, share in shares.items()}
    table = table_of(small(tmp_path / "g", {name: {NLL: A} for name in "ABC"}, rows=noted))
    assert table.notes == ("12–41 % are warm",)
    assert [line.entries[1].mark for line in table.lines] == ["a", "", "a"]


def test_a_value_that_cannot_be_compared_says_why(tmp_path):
    codes = {("B", seed): {"not_comparable": "nll", "autoencoder_id": "x"} for seed in range(3)}
    table = table_of(small(tmp_path / "g", {"A": {NLL: A}, "B": {NLL: B}}, rows=codes))
    assert table.lines[1].entries[1].text == "not comparable"
    assert table.notes == ("not comparable: a VQ code has no likelihood, its encoder is no density",)


def test_frames_as_csv(analysis, tmp_path):
    tables.write_tables(analysis, tmp_path)
    names = {"table.md", "table.tex", "table.csv", "cells.csv", "comparisons.csv"}
    assert {path.name for path in tmp_path.glob("*.*")} == names
    cells = pd.read_csv(tmp_path / "cells.csv", keep_default_na=False).set_index(["metric", "cell_id"])
    a, half = cells.loc[NLL, "A"], 4.302653 * 0.07 / math.sqrt(3)
    assert (a["name"], a["n"], a["place"], a["beaten_by"]) == ("A", 3, "worse", "B")
    assert [a["mean"], a["half_width"]] == pytest.approx([2.5, half], rel=1e-6)
    pairs = pd.read_csv(tmp_path / "comparisons.csv", keep_default_na=False).set_index(["metric", "a", "b"])
    factor, plain = pairs.loc[FID, "A", "B"], pairs.loc[NLL, "A", "B"]
    # Logarithms differ by ln 2 − 0.01, ln 2, ln 2 + 0.01; 2.484138 · 0.01 by seven digits.
    assert float(factor["difference"]) == pytest.approx(math.log(2), rel=1e-6)
    assert [str(plain[name]) for name in ("difference", "half_width", "verdict")] == ["0.1", "0.02484138", "worse"]
    table = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    assert table[:2] == ["Cell,NLL (bits/dim) ↓,FID ↓", "A,2.50 ± 0.17,20.0 ± 0.5"]


LOSSES = "Loss", {"a": ("L_simple", {}), "b": ("50 %", {})}


def test_html_is_escaped_and_puts_titles_into_a_column_as_latex_does_not(tmp_path):
    axes = {"t": ("Target", {"m": ("<μ̃>", {}), "e": ("ε", {})}), "l": LOSSES}
    analysis = crossed(tmp_path / "g", axes, {NLL: 2.5, FID: 20.0}, layout="ddpm_table_2")
    page, text = tables.render(analysis, "html"), tables.render(analysis, "latex")
    fields = [re.findall(r"<td [^>]*>(.*)</td>", row)[:2] for row in page.split("<tr>")[3:]]
    targets = ("Target &lt;μ̃&gt;", "Target ε")
    assert fields == [[target, loss] for target in targets for loss in ("L_simple", "50 %")]
    assert "<strong>2.50 ± 0.05</strong>" in page
    assert page == tables.render(read(tmp_path / "g"), "html")
    assert r"\caption{Which is better?}\label{tab:small}" in text
    assert r"{}\rlap{\emph{Target $<$$\tilde{\mu}$$>$}} &  &  \\" in text
    assert r"{}\quad $L_{\mathrm{simple}}$ & \textbf{2.50 $\pm$ 0.05} & \textbf{20.0 $\pm$ 2.5} \\" in text
    assert r"{}\quad 50 \% & " in text
    # The papers' numbers only on request.
    assert "arXiv" not in text


def test_latex_splits_rows_and_columns(tmp_path):
    long = {f"a rather long name of a level {k:02}": (f"a rather long name of a level {k:02}", {}) for k in range(70)}
    wide = {NLL: 2.5, FID: 20.0, IS: 7.0, "rfid/digits-cnn": 3.0, "psnr/test": 24.0}
    text = tables.render(crossed(tmp_path / "g", {"a": ("Axis", long)}, wide), "latex")
    assert text.count(r"\begin{table}") == text.count("Continued.") + 1 == 4
    assert text.count(r"\begin{tablenotes}") == 1
    assert len(re.findall(r"level \d\d &", text)) == 2 * 70


STAND_IN = r"""\IfFileExists{threeparttable.sty}{\usepackage{threeparttable}}{\newenvironment{threeparttable}{}{}
\newenvironment{tablenotes}[1][]{\begin{list}{}{\leftmargin0pt}}{\end{list}}\newcommand{\tnote}[1]{$^{\mathrm{##1}}$}}"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.thorough)])
def test_committed_tables_fit_a_page_of_article(every, tmp_path):
    """With the packages booktabs and threeparttable, and something that does as the latter where it is missing."""
    grids = sorted(path.parent.name for path in COMMITTED.glob("*/grid.json"))[::every]
    parts = [tables.render(committed(grid), "latex") for grid in grids]
    body = "\\clearpage\n".join(parts)
    text = f"\\documentclass{{article}}\\usepackage{{booktabs}}{STAND_IN}\\begin{{document}}\n{body}\\end{{document}}\n"
    (tmp_path / "tables.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Float too large" not in done.stdout
    wide = [float(found) for found in re.findall(r"Overfull \\hbox \((\d+\.\d+)pt", done.stdout)]
    assert max(wide, default=0) <= 5
    captions = re.findall(r"\\caption\{(.*?)\}\\label", body)
    # Two lines hold about 150 letters; a symbol takes more in LaTeX.
    assert [text for text in captions if len(text) > 190] == []


def test_the_command(tmp_path, capsys):
    small(tmp_path / "g", {"A": {NLL: A}, "B": {NLL: B}})
    assert tables.main([f"runs={tmp_path / 'g'}", "format=csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "A,2.50 ± 0.17"
    assert tables.main([f"runs={tmp_path / 'g'}", "layout=ddpm_table_2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
