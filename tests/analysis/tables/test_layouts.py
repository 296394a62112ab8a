"""Each layout against numbers worked out by hand, and the four writers against each other."""

import csv
import functools
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from rich.text import Text

from analysis import schema, tables
from analysis.errors import InputError
from analysis.labels import width
from analysis.tables import LAYOUTS, render, table_of
from analysis.tables.latex import latex_table
from analysis.tables.published import papers
from analysis.tables.terminal import terminal_text
from analysis.tables.writers import html_table, markdown
from tests.analysis.conftest import answers_of, build, pipe, rows, terminal
from tests.analysis.tables.grids import (
    ALL,
    LOSS,
    SCHEDULE,
    VARIANCE,
    analytic,
    axis,
    grid_of,
    improved,
    steps_axis,
    vdm,
)

# A grid of grids.py has means 2.5, 2.6, 2.7 … of NLL and 20.0, 20.1, 20.2 … of FID, in the order of its cells; their
# half-widths are 2.484138 × 0.02 = 0.05 and 2.484138 × 1 = 2.5.


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    return {name: answers_of(make(tmp_path_factory.mktemp(name) / "g")) for name, make in ALL.items()}


@pytest.fixture(scope="module")
def table(grids):
    """The table of a grid by its name, made once."""
    return functools.cache(lambda name: table_of(grids[name]))


def layout_of(table):
    """Rows as (label, texts), with "*" for bold."""
    return [("|".join(row.stub), [entry.text + "*" * entry.bold for entry in row.entries]) for row in table.rows]


def heads(table):
    return [column.label for column in table.stub], [(column.group, column.label) for column in table.columns]


def test_ddpm_table_1(table):
    theirs = "CIFAR-10 32×32, DDPM (Ho 2020)"
    ours = [("ours, digits", label) for label in ("IS ↑", "FID ↓", "NLL (bits/dim) ↓")]
    beside = [(theirs, label) for label in ("IS", "FID", "NLL")]
    assert heads(table("ddpm_table_1")) == (["Target", "Objective"], ours + beside)
    found = dict(layout_of(table("ddpm_table_1")))
    assert found["ε|unweighted MSE"] == ["8.40 ± 0.25*", "20.0 ± 2.5*", "2.54 ± 0.05", "9.46 ± 0.11", "3.17", "3.75"]
    assert found["μ̃|L (fixed isotropic Σ)"][3:] == ["", "", ""]
    assert found["uniform code|"] == ["", "", "4.09", "", "", ""]


@pytest.mark.parametrize(
    ("layout", "head", "hybrid"),
    [
        ("improved_ddpm_1", "ImageNet 64×64, Improved DDPM (Nichol & Dhariwal 2021)", ["4000", "200K", "3.62", "28.0"]),
        ("improved_ddpm_2", "CIFAR-10 32×32, Improved DDPM (Nichol & Dhariwal 2021)", ["4000", "500K", "3.17", "3.19"]),
    ],
)
def test_improved_ddpm(layout, head, hybrid, table):
    labels, columns = heads(table(layout))
    assert labels == ["Iters", "T", "Schedule", "Objective"]
    assert columns[:2] == [("ours, digits", "NLL (bits/dim) ↓"), ("ours, digits", "FID ↓")]
    assert columns[2:] == [(head, label) for label in ("T", "Iters", "NLL", "FID")]
    found = layout_of(table(layout))
    assert found[4] == ("4000|100|cosine|hybrid", ["2.90 ± 0.05", "20.4 ± 2.5", *hybrid])
    assert found[2] == ("4000|100|linear|vlb", ["2.70 ± 0.05", "20.2 ± 2.5", "", "", "", ""])


def test_fewer_steps_stand_beside_those_of_the_paper_where_t_varies(tmp_path):
    """Improved DDPM, Table 2: L_simple with the linear schedule, 3.73 and 3.29 at T = 1000, 3.37 and 2.90 at 4000."""
    t = axis("horizon", "T", {t: (t, {"horizon": t}) for t in ("100", "400", "50")})
    found = layout_of(table_of(answers_of(grid_of(tmp_path / "g", "improved_ddpm_2", [t]))))
    assert [texts[2:] for _, texts in found[:3]] == [
        ["1000", "500K", "3.73", "3.29"],
        ["4000", "500K", "3.37", "2.90"],
        ["", "", "", ""],
    ]


COMMITTED = sorted((Path(__file__).parents[3] / "results" / "committed").iterdir())
LAID_OUT = {folder: json.loads((folder / "grid.json").read_text(encoding="utf-8"))["layout"] for folder in COMMITTED}
OF_PAPERS = [folder for folder, name in LAID_OUT.items() if name != "general" and folder.name != "latent"]
"""Autoencoders of `latent` have a weight of KL that none of LDM's table has."""


@pytest.mark.parametrize("folder", OF_PAPERS, ids=lambda folder: folder.name)
def test_a_committed_table_in_a_papers_layout_has_numbers_of_that_paper(folder):
    found = table_of(answers_of(folder))
    titles = {*(column.group for column in found.columns), *(row.stub[0] for row in found.rows if row.kind == "group")}
    theirs = tuple(papers()[name].paper for name in LAYOUTS[LAID_OUT[folder]].papers)
    assert any(title.endswith(theirs) for title in titles), titles


def test_an_axis_that_the_columns_do_not_tell_has_its_own(tmp_path):
    width = ("power", "Width", {"a": ("narrow", {"network.channels": "16"}), "b": ("wide", {"network.channels": "32"})})
    table = table_of(answers_of(grid_of(tmp_path / "g", "improved_ddpm_2", [LOSS, width])))
    assert heads(table)[0] == ["Iters", "T", "Schedule", "Objective", "Width"]
    assert layout_of(table)[1][0] == "4000|100|linear|simple|wide"


def test_a_variance_that_the_objective_does_not_tell_has_its_own(tmp_path):
    table = table_of(answers_of(grid_of(tmp_path / "g", "improved_ddpm_2", [SCHEDULE, VARIANCE])))
    assert heads(table)[0] == ["Iters", "T", "Schedule", "Objective", "σ²"]


def test_vdm_matrix(table):
    found = layout_of(table("vdm"))
    across = [("T in evaluation", text) for text in ("10", "100", "250", "500", "1000", "10000", "∞")]
    assert heads(table("vdm")) == (["T in training"], across)
    gap = [""] * 5
    assert found == [
        ("NLL (bits/dim) ↓, ours, digits", []),
        ("10", ["2.50 ± 0.05*", "", *gap]),
        ("100", ["2.60 ± 0.05", "2.70 ± 0.05", *gap]),
        ("∞", ["2.80 ± 0.05", "2.90 ± 0.05", *gap]),
        ("NLL, CIFAR-10 32×32, VDM (Kingma 2021)", []),
        ("trained at the T of evaluation", ["4.31", "2.84", "2.73", "2.68", "2.67", "2.66", ""]),
        ("trained in continuous time", ["7.54", "2.90", "2.74", "2.69", "2.67", "2.65", "2.65"]),
    ]
    notes = table("vdm").footnotes
    assert notes[0] == "NLL known beforehand: 4.09 (uniform code), 2.97 (histogram), 2.43 (histogram per pixel)"
    assert notes[1].startswith("arXiv 2107.00630, Table 2 (one transcription)")


def test_a_papers_rows_stand_below_the_bound_and_not_below_its_parts(tmp_path):
    folder = vdm(tmp_path / "g")
    head = json.loads((folder / "grid.json").read_text(encoding="utf-8"))
    head["metrics"].append({"name": "nll/test_L0", "label": "L₀", "direction": "none"})
    (folder / "grid.json").write_text(json.dumps(head), encoding="utf-8")
    runs = pd.read_csv(folder / "runs.csv", dtype=str)
    runs.assign(**{"nll/test_L0": "0.4"}).to_csv(folder / "runs.csv", index=False)
    titles = [label for label, texts in layout_of(table_of(answers_of(folder))) if not texts]
    assert [title.split(",")[0].split(" (")[0] for title in titles if "ours" in title] == ["NLL", "L₀"]
    assert [title for title in titles if "VDM" in title] == ["NLL, CIFAR-10 32×32, VDM (Kingma 2021)"]


def test_vdm_rows_where_the_grid_has_no_second_t(table):
    found = dict(layout_of(table("vdm_schedules")))
    assert found["learned"] == ["2.80 ± 0.05", "1.80 ± 0.02", "0.53"]
    assert found["linear"] == ["2.50 ± 0.05*", "1.50 ± 0.02*", "31.6"]


def test_ldm(table):
    found = dict(layout_of(table("ldm")))
    # PSNR is better where it is higher.
    ours = ["2.70 ± 0.05", "20.2 ± 2.5", "3.20 ± 0.02", "24.20 ± 0.02*"]
    assert found["f = 8"] == [*ours, "KL, c = 4", "0.90", "24.19 ± 4.19"]
    assert heads(table("ldm"))[1][-1] == ("ImageNet 256×256, LDM (Rombach 2022)", "PSNR")


def test_analytic_dpm(table):
    steps = ["5", "10", "25", "50", "100", "200", "400", "1000"]
    assert heads(table("analytic_dpm")) == (["σ²"], [("Number of steps K", k) for k in steps])
    found = layout_of(table("analytic_dpm"))
    titles = [label for label, texts in found if not texts]
    assert titles == [
        title
        for metric, head in (("NLL", "NLL (bits/dim) ↓"), ("FID", "FID ↓"))
        for schedule, short in (("linear", "LS"), ("cosine", "CS"))
        for title in (
            f"{head}, ours, digits, Schedule {schedule}",
            f"{metric}, CIFAR-10 32×32 by a {schedule} schedule ({short}), Analytic-DPM (Bao 2022)",
        )
    ]
    # Cells 12 to 15 are of cosine and β̃: 2.5 + 1.2 …
    assert found[9] == ("β̃", ["3.70 ± 0.05", "3.80 ± 0.05", "", "3.90 ± 0.05", "4.00 ± 0.05", "", "", ""])
    assert found[5] == ("β̃", ["", "74.95", "24.98", "12.01", "7.08", "5.03", "4.29", "3.73"])
    assert found[22] == ("β", ["", "233.41", "125.05", "66.28", "31.36", "12.96", "4.86", "3.04"])


def test_a_metric_that_the_columns_do_not_change_is_set_beside_nothing(tmp_path):
    table = table_of(answers_of(analytic(tmp_path / "g", both=False)))
    titles = [label for label, texts in layout_of(table) if not texts]
    assert [title[:3] for title in titles] == ["NLL", "NLL", "FID", "FID", "FID", "FID"]
    text = "NLL does not depend on Number of steps K, which does not change evaluation.horizon"
    assert text in table.footnotes


def test_all_steps_stand_where_their_number_is(tmp_path):
    name, label, levels = steps_axis("null", "10")
    steps = name, label, levels | {"null": ("all", levels["null"][1])}
    table = table_of(answers_of(grid_of(tmp_path / "g", "analytic_dpm", [VARIANCE, steps])))
    assert [label for _, label in heads(table)[1]] == ["10", "25", "50", "all", "200", "400", "1000"]
    assert layout_of(table)[1] == ("β̃", ["2.60 ± 0.05", "", "", "2.50 ± 0.05*", "", "", ""])


def test_a_diverged_cell_of_a_matrix_is_a_dash_with_its_reason(tmp_path):
    folder = vdm(tmp_path / "g")
    path = folder / "runs.csv"
    lost = re.sub(r"(?m)^(100-10,.*)finished,", r"\1diverged,the loss was not finite", path.read_text(encoding="utf-8"))
    path.write_text(lost, encoding="utf-8")
    table = table_of(answers_of(folder))
    entry = table.rows[2].entries[0]
    assert entry.text == "–"
    assert table.footnotes["abc".index(entry.mark)] == "diverged in 3 of 3 seeds (the loss was not finite)"


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            "analytic_dpm",
            "layout=analytic_dpm needs an axis over evaluation.horizon or sampler.steps and one over variance; "
            "this grid varies schedule, loss: take layout=general, or run a grid with that",
        ),
        ("ldm", "layout=ldm needs an axis over space; this grid varies schedule, loss"),
        ("improved_ddpm", "no layout called 'improved_ddpm': there are "),
        ("improved_ddpm", "did you mean 'improved_ddpm_"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_in_a_line(layout, message, tmp_path, capsys):
    assert tables.main([f"runs={improved(tmp_path / 'g')}", f"layout={layout}"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("layout", "axes", "metrics", "message"),
    [
        ("ddpm_table_2", [SCHEDULE], None, "ddpm_table_2 needs two axes or more; this grid varies schedule:"),
        (
            "analytic_dpm",
            [VARIANCE, steps_axis("5", "10")],
            {"psnr/test": 24.0},
            "analytic_dpm needs one of the metrics nll, fid",
        ),
    ],
)
@pytest.mark.parametrize(
    "make", [table_of, lambda answers, layout: render(answers, "csv", layout)], ids=["table", "csv"]
)
def test_a_layout_that_needs_more_of_a_grid_says_what(make, layout, axes, metrics, message, tmp_path):
    with pytest.raises(InputError, match=message):
        make(answers_of(grid_of(tmp_path / "g", "general", axes, metrics)), layout)


def test_layout_overrides_the_grids_own(tmp_path, capsys):
    folder = improved(tmp_path / "g", layout="general")
    assert tables.main([f"runs={folder}", "layout=improved_ddpm_2"]) == 0
    assert "| Iters" in capsys.readouterr().out
    assert tables.main([f"runs={folder}"]) == 0
    assert "| Schedule" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("layout", "note"),
    [
        (
            "analytic_dpm",
            "Set out as general: the layout analytic_dpm needs an axis over evaluation.horizon or sampler.steps and "
            "one over variance; this grid varies schedule, loss",
        ),
        ("poster", "Set out as general: no layout here is called poster"),
    ],
)
def test_a_grids_own_layout_that_does_not_fit_falls_back_with_a_footnote(layout, note, tmp_path):
    folder = improved(tmp_path / "g", layout=layout)
    tables.write_tables(answers_of(folder), folder)
    table = table_of(answers_of(folder))
    assert table.footnotes == (note,)
    assert table.stub[0].mark == "a"
    assert [column.label for column in table.stub] == ["Schedule", "Loss"]
    assert note in (folder / "table.md").read_text(encoding="utf-8")


def test_no_published_columns_where_nothing_matches(tmp_path):
    table = [row | {"parameterization": "v"} for row in rows()]
    found = table_of(answers_of(build(tmp_path / "g", table)))
    assert {column.group for column in found.columns} == {""}
    assert not any("arXiv" in note for note in found.footnotes)


NICHOL = "CIFAR-10 32×32, Improved DDPM (Nichol & Dhariwal 2021)"
BAO = "CIFAR-10 32×32 by a cosine schedule (CS), Analytic-DPM (Bao 2022)"


# layout, labels of a cell → its published columns in the CSV
@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("ddpm_table_1", ("epsilon", "simple"), {"is": "9.46 ± 0.11", "fid": "3.17", "nll": "3.75"}),
        (
            "improved_ddpm_2",
            ("cosine", "hybrid"),
            {"T": "4000", "Iters": "500K", "nll": "3.17", "fid": "3.19", "data": NICHOL},
        ),
        ("vdm", ("inf", "10"), {"nll": "7.54", "T": "∞", "T, evaluation": "10"}),
        ("ldm", ("f4",), {"Model": "KL, c = 3", "rfid": "0.27", "psnr": "27.53 ± 4.54"}),
        ("analytic_dpm", ("cosine", "beta", "50"), {"nll": "4.92", "fid": "37.35", "data": BAO}),
        ("analytic_dpm", ("linear", "analytic", "5"), {"nll": "", "fid": "", "data": ""}),
    ],
)
def test_csv_has_the_published_numbers(name, levels, expected, grids):
    answers = grids[name]
    found = list(csv.DictReader(io.StringIO(render(answers, "csv"))))
    axes = [axis.name for axis in answers.axes]
    row = next(row for row in found if tuple(row[axis] for axis in axes) == levels)
    assert {key: row[f"published {key}"] for key in expected} == expected
    assert all(len(row) == len(found[0]) for row in found)
    assert None not in row.values()


def test_a_paper_that_measures_what_the_grid_does_not_is_left_out(grids):
    """Fig. 4b of VDM is of a variance that this grid has not, though its schedule is there."""
    assert "published bound_variance" not in render(grids["vdm"], "csv")
    assert "Fig. 4b" not in " ".join(table_of(grids["ddpm_table_2"], "vdm").footnotes)


def test_csv_of_the_general_layout_has_none(grids):
    assert "published" not in render(grids["general"], "csv")


# What the four writers say, read back from each.


def from_markdown(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if not line.startswith("| --")]
    return [[plain_text(re.sub(r"\\(.)", r"\1", cell).replace("**", "")) for cell in row] for row in split[1:]]


def plain_text(text):
    """Without marks, emphasis of whole cells, and space."""
    text = re.sub(r"<sup>[a-z,]*</sup>|\$\^\{\\mathrm\{[a-z,]*\}\}\$", "", text).strip(" \u2007")
    return text[1:-1] if text.startswith("*") and text.endswith("*") else text


def from_html(text):
    page = ElementTree.fromstring(f"<div>{text}</div>")
    found = []
    for row in page.iter("tr"):
        for mark in [one for cell in row.iter() for one in cell.findall("sup")]:
            for child in list(mark):
                mark.remove(child)
        if row.get("class"):
            found.append(["".join(cell.itertext()).strip(",").replace("\N{NO-BREAK SPACE}", " ") for cell in row])
    return found


def from_latex(text):
    found = []
    bodies = [part.split("\\bottomrule")[0].split("\\midrule", 1)[1] for part in text.split("\\toprule")[1:]]
    for line in "".join(bodies).replace("\\midrule", "").splitlines():
        if line.strip():
            cells = re.split(r"(?<!\\)&", line.removesuffix(r" \\"))
            found.append([numeric(plain_text(cell)) for cell in cells])
    return found


def numeric(text):
    """The text of a number from LaTeX, None for what is no number."""
    text = re.sub(r"\\textbf\{(.*)\}", r"\1", text).replace("$<$", "<").replace(r"$\pm$", "±").replace("--", "–")
    text = text.replace(r"$^\circ$", "°")
    return text if re.fullmatch(r"[\d. ±<]+°?|–|unstable|", text) else None


def expected_rows(table):
    return [[*row.stub, *(entry.text + "°" * entry.open for entry in row.entries)] for row in table.rows]


def filled(rows):
    return [[text for text in row if text] for row in rows]


@pytest.mark.parametrize("name", ALL)
def test_the_writers_say_the_same(name, table):
    table = table(name)
    expected = expected_rows(table)
    labels = len(table.stub)
    for read in (from_markdown(markdown(table)), from_html(html_table(table))):
        assert filled(read) == filled(expected)
    numbers_of = [row[-len(table.columns) :] if len(row) > labels else [] for row in expected]
    found = [row[-len(table.columns) :] if len(row) > 1 else [] for row in from_latex(latex_table(table))]
    read = [[text for text in row if text is not None] for row in found]
    held = [[text for text in row if numeric(text) is not None] for row in numbers_of]
    if name == "latent":  # Its two groups of columns stand below each other.
        read, held = ([sorted(text for row in both for text in row if text)] for both in (read, held))
    assert read == held
    shown = " ".join(terminal_text(table, pipe()).replace("*", "").split())
    for row in filled(expected):
        assert " ".join(" ".join(row).split()) in re.sub(r"\[[a-z,]+\]", "", shown)


@pytest.mark.parametrize("name", ALL)
def test_heads_and_footnotes_are_in_every_writer(name, table):
    table = table(name)
    page = ElementTree.fromstring(f"<div>{html_table(table)}</div>")
    assert len(list(page.iter("li"))) == len(table.footnotes) + len(table.sentences)
    text = "".join(page.itertext())
    source = re.sub(r"\\(.)", r"\1", markdown(table))
    shown = " ".join(terminal_text(table, pipe()).split())
    said = [*table.footnotes, *table.sentences, *(column.label for column in (*table.stub, *table.columns))]
    groups = [column.group for column in table.columns]
    for place, texts in ((text, said + groups), (source, said + groups), (shown, said)):
        assert [one for one in texts if one not in place] == []


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("columns", [70, 100])
def test_every_layout_fits_a_terminal(name, columns, table):
    shown = Text.from_ansi(terminal_text(table(name), terminal(columns))).plain
    assert max(width(line) for line in shown.splitlines()) <= columns


def test_html_is_accessible_and_its_marks_lead_somewhere(table):
    page = ElementTree.fromstring(f"<div>{html_table(table('ddpm_table_2'))}</div>")
    ids = {one.get("id") for one in page.find("ol")}
    links = {one.get("href") for one in page.iter("a")}
    assert ids == {f"parameterization-note-{mark}" for mark in "abcde"}
    assert links == {f"#{one}" for one in ids}
    assert {one.get("scope") for one in page.iter("th")} == {"col", "colgroup", "row", "rowgroup"}
    bodies = list(page.iter("tbody"))
    assert [len(body) for body in bodies] == [5, 4, 5, 4]
    spans = [sum(int(cell.get("colspan", 1)) for cell in row) for row in page.iter("tr")]
    assert (spans[0], spans[1], set(spans[2:])) == (7, 6, {7})
    bold = ["2.50 ± 0.05", "20.0 ± 2.5", "8.40 ± 0.25"]
    assert [one.text for one in page.iter("strong")] == bold


NASTY = r"<b>50 % of R&D_2 #1 {x} $y$ ~ ^ \ > | * “q” ‖ε − ε̂‖² ≤ σₜ², μ̃ x₀ β̃ → ∞ … é ☃"


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """The table of a grid by its name, made once, with special characters wherever text comes from outside."""

    def made(name):
        folder = ALL[name](tmp_path_factory.mktemp(f"nasty-{name}") / "g")
        path = folder / "grid.json"
        text = path.read_text(encoding="utf-8")
        quoted = NASTY.replace("\\", "\\\\")
        text = re.sub(r'"label": "[^"]*"', lambda _: f'"label": "{quoted}"', text)
        text = re.sub(r'"(question|data|code)": "[^"]*"', lambda match: f'"{match[1]}": "{quoted}"', text)
        path.write_text(text, encoding="utf-8")
        return table_of(answers_of(folder))

    return functools.cache(made)


@pytest.mark.parametrize("name", ALL)
def test_html_escapes_what_comes_from_outside(name, nasty):
    text = html_table(nasty(name))
    page = ElementTree.fromstring(f"<div>{text}</div>")
    assert page.find(".//b") is None
    assert NASTY in "".join(page.itertext())


def test_latex_stacks_ours_and_theirs_where_both_are_too_wide(table):
    wide, narrow = (latex_table(table(name)) for name in ("latent", "improved_ddpm_2"))
    assert (wide.count(r"\begin{tabular}{@{}l"), narrow.count(r"\begin{tabular}{@{}l")) == (2, 1)
    ours, theirs = wide.split(r"\toprule")[1:]
    assert "27.40 $\\pm$ 0.05" in ours
    assert "32.47" not in ours
    assert "f = 2 & equal FLOPs & KL, c = 2 & 0.086 & 32.47 $\\pm$ 4.19" in theirs
    assert "uniform code" not in theirs


def test_markdown_says_once_what_heads_all_columns(table):
    head = next(line for line in markdown(table("analytic_dpm")).splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in head.split("|")[2:5]] == ["Number of steps K: 5", "10", "25"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.parametrize("packages", ["booktabs", "booktabs,graphicx"])
def test_latex_of_every_layout_compiles(packages, table, nasty, tmp_path):
    """As it is under booktabs; and with graphicx no line is wider than the page, however wide the table."""
    parts = [latex_table(made(name)) for made in (table, nasty) for name in ALL]
    body = "\\clearpage\n".join(parts)
    text = f"\\documentclass{{article}}\\usepackage{{{packages}}}\\begin{{document}}\n{body}\\end{{document}}\n"
    (tmp_path / "tables.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"({len(parts)} pages" in done.stdout.replace("\n", "")
    if "graphicx" in packages:
        assert "Overfull \\hbox" not in done.stdout


def test_the_names_of_layouts_that_grids_may_ask_for_are_those_that_there_are():
    assert tuple(LAYOUTS) == schema.LAYOUTS
