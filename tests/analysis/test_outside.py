"""A results folder that somebody sent: whatever it says is shown on every page, and runs, leads and hides nowhere."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from analysis import figures, tables
from analysis.errors import InputError
from analysis.figures.images import read_image
from analysis.findings.answers import Answers
from analysis.labels import latex, mathtext
from analysis.links import read_tracking
from analysis.read.runs import read_folder
from analysis.report import report
from analysis.report.__main__ import main as report_command
from analysis.report.files import Files
from analysis.tables import read_through, render, table_of, terminal_table
from analysis.tables.latex import latex_table
from analysis.tables.writers import markdown
from tests.analysis.conftest import AXES, axis_of, build, meta, rows

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
"""A reader of Markdown that lets markup through, as most do."""
EVIL = (
    "=1+1<script>alert(1)</script><img src=x onerror=a()> ` <b>x</b> `` \\input{/etc/passwd} $x$ [l](javascript:a()) "
    "\x1b[2J\x1b]0;t\x07\u202eevil\u2066 | & % # _ {} L_{\\input /etc/passwd} \\\u0303 %\u0303 ^^5c ~"
)


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> Path:
    """A folder that says it wherever a text can stand."""
    axes = [
        axis_of(axis["name"], EVIL, {level["name"]: f"[{level['name']}{EVIL}" for level in axis["levels"]})
        for axis in AXES
    ]
    metrics = [metric | {"label": f"{metric['label']}{EVIL}", "unit": EVIL} for metric in meta()["metrics"]]
    table = rows()
    for row in table:
        row |= {"code": EVIL, "notes": f"-{EVIL}", "data": EVIL, "network": EVIL}
        if row["status"] == "diverged":
            row |= {"reason": EVIL, "traceback": EVIL}
    told = dict.fromkeys(("question", "command", "device", "code", "decoder"), EVIL) | {"footnotes": [EVIL]}
    folder = tmp_path_factory.mktemp("evil") / "g"
    return build(folder, table, axes=axes, metrics=metrics, layout="general", **told)


@pytest.fixture(scope="module")
def answers(evil) -> Answers:
    return Answers.of(read_folder(evil))


@pytest.fixture(scope="module")
def pages(answers) -> dict[str, str]:
    shown = {form: render(answers, form) for form in ("markdown", "latex", "csv")}
    return shown | {
        "html": report(answers, {}, read_through(answers), Files(Path())),
        "terminal": terminal_table(answers),
    }


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html", "terminal"])
def test_what_is_not_seen_is_on_no_page(pages, form):
    assert {char for char in pages[form] if char in "\x1b\x07\u202e\u2066"} == set()
    assert "evil" in pages[form]


def test_markdown_holds_no_markup_of_others(pages):
    shown = MARKDOWN.render(pages["markdown"])
    assert [tag for tag in ("<script", "<img", "<b>", "<a ") if tag in shown] == []
    assert "<table>" in shown
    assert "evil" in shown
    rows = [line for line in pages["markdown"].splitlines() if line.startswith("|")]
    assert len({len(row.replace(r"\|", "").split("|")) for row in rows}) == 1


@pytest.mark.parametrize("text", ["a ` <b>x</b>", "`<b>``x", "`` <b> `", "` a\n\n<b>", "```<b>", "`a` `<b>", "\\`<b>`"])
def test_no_arrangement_of_backticks_lets_markup_through(text, answers):
    said = markdown(replace(table_of(answers), caption=text, rows=(), footnotes=(), verdict=()))
    shown = MARKDOWN.render(said)
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown


def test_html_holds_no_markup_of_others_and_forbids_what_could_run(pages):
    text, own = re.subn(r"<script>.*?</script>", "", pages["html"], flags=re.DOTALL)
    assert own == 1
    assert [tag for tag in ("<script", "<img src=x", "<b>") if tag in text] == []
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text


def test_no_field_of_the_table_is_a_formula(pages):
    fields = [field for row in csv.reader(io.StringIO(pages["csv"], newline="")) for field in row]
    begun = [field for field in fields if field.startswith(tuple("=+-@\t\r"))]
    assert all(float(field) is not None for field in begun)
    assert any(field.startswith("'-=1+1<script>") for field in fields)


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("L_{\\input /etc/passwd}", r"L\_\{\textbackslash{}input /etc/passwd\}"),
        ("L_{a$b}", r"L\_\{a\$b\}"),
        ("L_{T−1}", r"$L_{\mathrm{T-1}}$"),
        ("\\\u0303", "\\textbackslash{}[U+0303]"),
        ("%\u0303", "\\%[U+0303]"),
        ("\x1b\x00", "[U+001B][U+0000]"),
        ("ã", r"ã"),
    ],
)
def test_no_text_is_a_command_to_tex(text, set_):
    assert latex(text).replace(r"$L_{T-1}$", r"$L_{\mathrm{T-1}}$") == set_


def test_tex_holds_no_command_of_others(pages):
    text = pages["latex"]
    assert "\\input" not in text
    assert "\\write" not in text
    assert "\\\\\n[" not in text
    bare = text.replace("\\\\", "").replace(r"\{", "").replace(r"\}", "").replace(r"\$", "")
    depths = list(accumulate((char == "{") - (char == "}") for char in bare))
    assert (min(depths), depths[-1], bare.count("$") % 2) == (0, 0, 0)
    assert all(ord(char) < 0x180 for char in text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_tex_compiles_what_others_wrote(answers, tmp_path):
    body = latex_table(table_of(answers))
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    document = f"{head}\n{body}\\end{{document}}"
    (tmp_path / "table.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def test_figures_take_what_others_wrote_for_text(evil):
    from matplotlib.mathtext import MathTextParser

    MathTextParser("agg").parse(mathtext(EVIL.replace("\x1b", "").replace("\x07", "")))


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"link": link}
            for link in ("javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:a()", "vbscript:x", "//x/y")
        ),
        {"runs": {"a": {"0": 'x"><script>'}}},
    ],
)
def test_a_link_that_is_no_page_and_a_run_whose_id_leads_elsewhere_are_refused(tmp_path, change):
    told = {"uri": "http://host", "experiment": "1", "link": "http://host/#/experiments/1", "runs": {}} | change
    (tmp_path / "tracking.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"tracking\.json is damaged: .* leads to no run in MLflow"):
        read_tracking(tmp_path / "tracking.json")


def test_sheets_of_samples_lie_in_their_folder_and_nowhere_else(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "secret-0.png")
    table = rows()
    for row in table:
        row["cell_id"] = row["cell_id"].replace("epsilon-simple", "../../secret")
    folder = build(tmp_path / "g", table)
    with pytest.raises(InputError, match="which is no id"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../g", "..", "/etc", "a/../../b", ".stages"])
@pytest.mark.parametrize("main", [tables.main, figures.main, report_command])
def test_grids_are_names_of_folders_in_results(main, name, capsys):
    assert main([f"grid={name}"]) == 2
    assert "which leads to no other place" in capsys.readouterr().err


def test_a_picture_of_too_many_pixels_is_refused_with_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "sheet.png"
    Image.new("L", (11, 11)).save(path)
    with pytest.raises(InputError, match=r"121 pixels\) exceeds limit of 100 pixels"):
        read_image(path)
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"sheet\.png is no picture that can be shown"):
        read_image(path)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (10, 41)])
def test_a_picture_that_is_a_line_is_refused(size, tmp_path):
    path = tmp_path / "sheet.png"
    Image.new("L", size).save(path)
    with pytest.raises(InputError, match=r"sheet\.png is no picture that can be shown \(.* are no sheet of images\)"):
        read_image(path)
