import csv
import io
import re
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from analysis.labels import width
from analysis.schema import NUMERICS
from analysis.tables import render, table_of
from analysis.tables.latex import latex_table
from analysis.tables.terminal import terminal_text
from analysis.tables.writers import markdown
from tests.analysis.conftest import AXES, DIVERGED, FID, IS, NLL, answers_of, build, pipe, rows, terminal

# By hand from the means and steps of conftest.py: half-widths 2.484 × 0.02, 1, 0.1 are 0.05, 2.5, 0.25. The partly
# diverged cell has seeds 0 and 1: its mean is lower by step/2, half-width 12.7062 · step/2 = 0.13, 6.4, 0.64. The
# reversed cell differs from the best by 0.05 ± 0.0994 (NLL, a tie), 5 ± 4.97 (FID, no tie) and 0.4 ± 0.497 (IS, a tie).
MARKDOWN = (
    """
Objective<sup>a,b</sup>|O: NLL (bits/dim) ↓|O: FID ↓|O: IS ↑|P: NLL<sup>c</sup>|P: FID<sup>c</sup>|P: IS<sup>c</sup>
*Target μ̃*||||||
L (learned diagonal Σ)|2.61 ± 0.05|48.0 ± 2.5|7.20 ± 0.25||23.69|7.28 ± 0.10
L (fixed isotropic Σ)|2.58 ± 0.05|41.0 ± 2.5|7.40 ± 0.25||13.22|8.06 ± 0.09
unweighted MSE|–<sup>d</sup>|–<sup>d</sup>|–<sup>d</sup>||unstable|unstable
MSE at ε-weight 1|2.55 ± 0.05°|25.0 ± 2.5°|8.00 ± 0.25°|||
*Target ε*||||||
L (learned diagonal Σ)|2.60 ± 0.05|52.0 ± 2.5|7.10 ± 0.25||unstable|unstable
L (fixed isotropic Σ)|**2.50 ± 0.05**|37.0 ± 2.5|7.50 ± 0.25|3.70|13.51|7.67 ± 0.13
unweighted MSE|2.54 ± 0.05|**20.0 ± 2.5**|**8.40 ± 0.25**|3.75|3.17|9.46 ± 0.11
*Target x₀*||||||
L (learned diagonal Σ)|2.61 ± 0.13<sup>e</sup>|54.5 ± 6.4<sup>e</sup>|6.95 ± 0.64<sup>e</sup>|||
L (fixed isotropic Σ)|2.59 ± 0.05|50.0 ± 2.5|7.30 ± 0.25|||
unweighted MSE|2.70 ± 0.05|31.0 ± 2.5|7.90 ± 0.25|||
MSE at ε-weight 1|2.56 ± 0.05|27.0 ± 2.5|8.10 ± 0.25|||
*uniform code*|4.09|||||
*histogram*|2.97|||||
*histogram per pixel*|2.43|||||
*held-out images, n = 450*||5.1|9.31|||
""".strip()
    .replace("O:", "ours, digits:")
    .replace("P:", "CIFAR-10 32×32, DDPM (Ho 2020):")
)

CAPTION = (
    "Which target is better, and does it depend on the loss? Data: digits, T = 100. "
    "Mean ± half-width of the 95 % t-interval over 3 paired seeds. "
    "FID is compared by its logarithm, so its differences are factors. "
    "Bold: the best mean among the cells to which no other is shown to be better (paired t-tests over all pairs), and "
    "those shown to be as good; °: the rest of these cells, which may be the best or much worse. In each metric by "
    "itself, the cell that truly is the best has one of the two marks in at least 95 % of grids. "
    "FID, IS by the extractor digits-cnn (accuracy 97.1 %) on n = 450 generated images, mean of 2 disjoint sets; "
    "the floor is what held-out images score at that n. "
    "Per cell: 500 training steps, batch 128, 212\u00a0k network parameters. "
    "`python -m ablations.run grid=parameterization` (8.0 min); code 0.1.0+abc123; numerics not recorded (this code: "
    f"{NUMERICS}: the same command gives other digits). "
    "Exploratory: when the comparisons were declared is not recorded."
)

# The factor is worked out in test_weights.py.
WEIGHT_DIFFERS = (
    "Cells that differ in Target differ in the effective weight of each t too (by up to ×2.6·10⁶, at t = 1): "
    "see figures/weights."
)


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def cells_in(line):
    return [cell.strip(" \u2007") for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def answers(shared_folder):
    return answers_of(shared_folder)


@pytest.fixture(scope="module")
def table(answers):
    return table_of(answers)


def test_markdown(table):
    written = [cells_in(line) for line in lines_of(markdown(table)) if not line.startswith("| ---")]
    assert written == [line.split("|") for line in MARKDOWN.splitlines()]


def test_the_caption_says_where_samples_are_held_against_test_images(tmp_path):
    against_test = f"fid/test/{FID.rpartition('/')[2]}"
    metrics = [{"name": against_test, "label": "FID", "direction": "min", "decimals": 1}]
    folder = build(tmp_path / "g", metrics=metrics, floors={}, quality_n=1000)
    said = "FID by the extractor digits-cnn (accuracy 97.1 %) against the test images on n = 1000 generated images"
    assert f"{said}, mean of 2 disjoint sets. Per cell" in table_of(answers_of(folder)).caption


def test_markdown_columns_are_aligned(table):
    lines = lines_of(markdown(table))
    assert len({width(line) for line in lines}) == 1
    assert lines[1].count("-:") == 6


def test_caption_and_footnotes(table):
    lines = markdown(table).splitlines()
    assert lines[0] == table.question
    assert f"{lines[0]} {table.caption}" == CAPTION
    # The answer stands above the table, and the caption below.
    bullets, rows = lines.index(f"- {table.answered[0]}"), [i for i, line in enumerate(lines) if line[:1] == "|"]
    assert bullets < rows[0] < rows[-1] < lines.index(table.caption)
    notes = [line for line in lines if line.startswith("<sup>")]
    assert notes[0] == "<sup>a</sup> In native form the rows differ in weight as well as in target.<br>"
    assert notes[1] == f"<sup>b</sup> {WEIGHT_DIFFERS}<br>"
    assert notes[2].startswith(
        "<sup>c</sup> arXiv 2006.11239, Tables 1 and 2 (read in the paper): CIFAR-10 32×32, T = 1000"
    )
    assert notes[3] == "<sup>d</sup> diverged in 3 of 3 seeds (the loss was not finite at step 120)<br>"
    assert notes[4] == (
        "<sup>e</sup> diverged in 1 of 3 seeds (the loss was not finite at step 120); mean over the other 2<br>"
    )
    assert len(notes) == 5


def test_caption_names_every_code_that_made_the_runs(tmp_path):
    table = [row | {"code": "0.1.0+aaa" if i < 10 else "0.1.0+bbb"} for i, row in enumerate(rows())]
    caption = table_of(answers_of(build(tmp_path / "results" / "mixed", table))).caption
    assert "; code 0.1.0+aaa (10 runs), 0.1.0+bbb (23 runs); numerics " in caption


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"own_steps": 1000}, ["Per cell: 500 training steps (the grid's file asks for 1000), batch 128"]),
        ({"own_steps": 200}, ["Per cell: 500 training steps (the grid's file asks for 200), batch 128"]),
        ({"own_steps": 500, "own_seeds": 3}, ["Per cell: 500 training steps, batch 128", "over 3 paired seeds."]),
        ({"own_seeds": 5}, ["over 3 paired seeds (the grid's file asks for 5)."]),
        ({"own_seeds": 2}, ["over 3 paired seeds."]),
    ],
)
def test_caption_says_what_share_of_the_grids_own_budget_was_run(own, said, tmp_path):
    caption = table_of(answers_of(build(tmp_path / "g", **own))).caption
    assert [words for words in said if words not in caption] == []


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"shape": [1, 16, 16], "trained_on": 10_000}, " (16×16 grey pixels, 10,000 training images), T = "),
        ({"shape": [3, 8, 8]}, " (8×8 colour pixels), T = "),
        ({"shape": [2], "trained_on": 500, "extractor": None}, " (500 training points), T = "),
        ({}, ", T = "),
    ],
)
def test_caption_says_how_large_and_how_many_the_data_are(known, said, tmp_path):
    answers = answers_of(build(tmp_path / "g", **known))
    assert f"Data: {answers.meta.data}{said}" in table_of(answers).caption


@pytest.mark.parametrize(
    ("numerics", "said"),
    [
        (NUMERICS, f"; numerics {NUMERICS}."),
        (2, f"; numerics 2 (this code: {NUMERICS}: the same command gives other digits)."),
    ],
)
def test_caption_says_whether_this_code_gives_other_digits(numerics, said, tmp_path):
    table = [row | {"numerics": str(numerics)} for row in rows()]
    assert table_of(answers_of(build(tmp_path / "g", table))).caption.partition(" Exploratory")[0].endswith(said)


def test_caption_of_a_continued_grid_says_so(tmp_path):
    caption = table_of(answers_of(build(tmp_path / "g", continued=True, device="an H100"))).caption
    assert "(8.0 min), an H100; code" in caption
    assert "Other seeds were asked for after results were there, so its verdicts are exploratory." in caption


CONTINUOUS, ODE = "nll_continuous/test", "nll_ode/test"
LIKELIHOODS = [
    {"name": NLL, "label": "NLL", "unit": "bits/dim", "direction": "min", "decimals": 2},
    {"name": CONTINUOUS, "label": "NLL, continuous time", "unit": "bits/dim", "direction": "min", "decimals": 2},
    {"name": ODE, "label": "NLL, ODE", "unit": "bits/dim", "direction": "min", "decimals": 2},
]


def with_continuous(cell):
    """This cell has an NLL of 2.4 − 0.01, 2.4, 2.4 + 0.01 in continuous time."""
    return [row | ({CONTINUOUS: 2.4 + 0.01 * (row["seed"] - 1)} if row["cell_id"] == cell else {}) for row in rows()]


@pytest.mark.parametrize("layout", ["general", "ddpm_table_2"])
def test_a_likelihood_that_some_cells_have_is_a_column(layout, tmp_path):
    folder = build(tmp_path / "g", with_continuous("epsilon-simple"), metrics=LIKELIHOODS, layout=layout)
    text = render(answers_of(folder), "markdown")
    assert "NLL, continuous time (bits/dim) ↓" in text
    assert "ODE" not in text
    # 2.484138 × 0.01 = 0.025, to two decimals: 0.02.
    line = next(line for line in lines_of(text) if "2.40 ± 0.02" in line)
    assert "unweighted MSE" in line
    assert "finished, but without this metric<br>" in text


@pytest.mark.parametrize(
    ("decoder", "cell", "said"),
    [
        (None, "epsilon-simple", ""),
        ("Gaussian density", "none", "L₀ by the decoder: Gaussian density. "),
        (
            "Gaussian over grey-level bins",
            "epsilon-simple",
            "L₀ by the decoder: Gaussian over grey-level bins; "
            "in NLL, continuous time: softmax over grey levels (no network). ",
        ),
        (
            "Gaussian density",
            "epsilon-simple",
            "L₀ by the decoder: Gaussian density; in NLL, continuous time: density at γ₁. ",
        ),
        ("a new one", "epsilon-simple", "L₀ by the decoder: a new one. "),
    ],
)
def test_caption_says_which_decoder(decoder, cell, said, tmp_path):
    folder = build(tmp_path / "g", with_continuous(cell), metrics=LIKELIHOODS, decoder=decoder)
    assert f"in at least 95 % of grids. {said}Per cell: " in table_of(answers_of(folder)).caption


def test_a_pipe_gets_every_column_and_a_star_for_bold(table):
    shown = terminal_text(table, pipe())
    assert shown.replace("\n", "").replace("\u00a0", " ").isprintable()
    body = [line for line in shown.splitlines() if line.startswith("  ") and "Σ" in line]
    assert " ".join(body[0].split()) == "L (learned diagonal Σ) 2.61 ± 0.05 48.0 ± 2.5 7.20 ± 0.25 23.69 7.28 ± 0.10"
    assert "2.50 ± 0.05*" in shown
    assert "–[d]" in shown
    assert "[d] diverged in 3 of 3 seeds (the loss was not finite at step 120)" in shown
    assert f"[b] {WEIGHT_DIFFERS}" in " ".join(shown.split())
    assert shown.count("Objective[a,b]") == 1
    assert "* stands for bold" in shown
    lines = shown.splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("──")]
    assert lines[rules[0] - 1].startswith("Objective[a,b]")
    assert [lines[i + 1].split()[0] for i in rules] == ["Target", "uniform"]


@pytest.mark.parametrize(("columns", "pieces"), [(60, 3), (80, 2), (160, 1)])
def test_a_terminal_shows_bold_and_gets_the_columns_in_pieces_where_they_do_not_fit(table, columns, pieces):
    shown = terminal_text(table, terminal(columns))
    plain = Text.from_ansi(shown).plain
    assert max(width(line) for line in plain.splitlines()) <= columns
    assert plain.count("Objective[a,b]") == pieces
    for text in ("CIFAR-10", "32×32, DDPM", "2020)[c]", "9.46 ± 0.11", "4.09"):
        assert text in plain
    best = ["2.50 ± 0.05", "20.0 ± 2.5", "8.40 ± 0.25"]
    assert all(f"{text}°" in plain for text in ("2.55 ± 0.05", "25.0 ± 2.5", "8.00 ± 0.25"))
    assert sorted(re.findall("\x1b\\[1m(.*?)\x1b\\[0m", shown)) == sorted(best)
    assert shown.count("\x1b") == 2 * len(best)
    assert "*" not in plain


def test_a_terminal_that_cannot_show_bold_gets_stars(table):
    dumb = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=80, height=50)
    shown = terminal_text(table, dumb)
    assert "2.50 ± 0.05*" in shown
    assert "* stands for bold" in shown
    assert "\x1b" not in shown
    assert max(width(line) for line in shown.splitlines()) <= 80


def test_running_text_fills_a_terminal_and_is_indented_by_its_mark(table):
    lines = Text.from_ansi(terminal_text(table, terminal(60))).plain.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("[c] arXiv"))
    assert lines[start + 1].startswith("    ")
    assert lines[start + 1][4] != " "
    assert any(line.startswith("• NLL: ") for line in lines)


def test_csv(answers):
    table = list(csv.DictReader(io.StringIO(render(answers, "csv"))))
    best = next(row for row in table if row["parameterization"] == "epsilon" and row["loss"] == "vlb_fixed")
    assert best[f"{NLL} mean"] == "2.5"
    assert float(best[f"{NLL} half_width"]) == pytest.approx(4.302653 * 0.02 / 3**0.5, rel=1e-5)
    assert (best[f"{NLL} n"], best[f"{NLL} standing"], best[f"{FID} standing"]) == ("3", "good", "worse")
    weighted = next(row for row in table if (row["parameterization"], row["loss"]) == ("mu", "weighted"))
    assert weighted[f"{NLL} standing"] == "open"
    assert (best["published nll"], best["published fid"]) == ("3.70", "13.51")
    diverged = next(row for row in table if (row["parameterization"], row["loss"]) == DIVERGED)
    assert (diverged[f"{NLL} mean"], diverged[f"{NLL} n"], diverged["note"][:8]) == ("", "0", "diverged")
    assert [row["note"] for row in table if row["row"] == "reference"][-1] == "held-out images, n = 450"
    assert table[-1][f"{IS} mean"] == "9.31"


def test_latex(table):
    text = latex_table(table)
    assert r"\multicolumn{7}{@{}l}{\emph{Target $\tilde{\mu}$}} \\" in text
    assert r"\quad L (fixed isotropic $\Sigma$) & \textbf{2.50 $\pm$ 0.05} & 37.0 $\pm$ 2.5 & " in text
    head = r"\begin{tabular}[b]{@{}c@{}}CIFAR-10 32$\times$32, DDPM (Ho\\2020)$^{\mathrm{c}}$\end{tabular}"
    assert rf"\multicolumn{{3}}{{c}}{{{head}}}" in text
    assert r"Objective$^{\mathrm{a,b}}$ & NLL" in text
    assert r"$^{\mathrm{b}}$ Cells that differ in Target differ" in text
    assert r"(by up to $\times$2.6$\cdot$10$^{6}$, at t = 1)" in text
    assert r"\texttt{python -m ablations.run grid=parameterization}" in text
    assert r"95 \% t-interval" in text


def test_general_layout(tmp_path):
    lines = lines_of(render(answers_of(build(tmp_path / "g", layout="general")), "markdown"))
    assert cells_in(lines[0])[:3] == ["Target<sup>a,b</sup>", "Objective", "NLL (bits/dim) ↓"]
    assert cells_in(lines[2]) == ["μ̃", "L (learned diagonal Σ)", "2.61 ± 0.05", "48.0 ± 2.5", "7.20 ± 0.25"]
    assert cells_in(lines[8]) == ["ε", "unweighted MSE", "2.54 ± 0.05", "**20.0 ± 2.5**", "**8.40 ± 0.25**"]
    assert len(lines) == 2 + 11 + 4


def test_each_axis_bears_its_own_footnote(tmp_path):
    axes = [AXES[1], AXES[0]]
    text = render(answers_of(build(tmp_path / "g", axes=axes, layout="general", footnotes=["first"])), "markdown")
    assert cells_in(lines_of(text)[0])[:2] == ["Objective<sup>a</sup>", "Target<sup>b</sup>"]
    assert f"<sup>b</sup> {WEIGHT_DIFFERS}<br>" in text


def test_one_seed_has_no_interval_and_no_bold(tmp_path):
    table = [row for row in rows() if row["seed"] == 1]
    text = render(answers_of(build(tmp_path / "g", table, seeds=[1])), "markdown")
    assert "**" not in text
    assert "One seed, so no interval is known and none is marked." in text
    assert cells_in(lines_of(text)[3])[1:4] == ["2.61", "48.0", "7.20"]


def test_every_way_to_end_has_its_footnote(tmp_path):
    """Of an older writer the traceback stands below the reason, of a newer one in a column of its own."""
    trace = "Traceback …\n  File x\nValueError: no space left"
    for older in (True, False):
        ends = {
            0: {"status": "failed", "reason": f"no space left\n{trace}" if older else "no space left"},
            1: {"status": "interrupted", "reason": ""},
            2: {"status": "finished", "reason": ""},
        }
        table = [row | (ends[row["seed"]] if row["cell_id"] == "epsilon-simple" else {}) for row in rows()]
        table = [row | ({} if older else {"traceback": trace if row["status"] == "failed" else ""}) for row in table]
        text = render(answers_of(build(tmp_path / f"older {older}", table)), "markdown")
        assert "interrupted in 1 of 3 seeds; failed in 1 of 3 seeds (no space left); mean over the other 1<br>" in text
        assert "ValueError" not in text


def test_reasons_that_differ_in_numbers_share_a_footnote(tmp_path):
    table = rows()
    for i, row in enumerate(table):
        if row["cell_id"] in ("mu-simple", "x0-simple"):
            bound = 100.5 + i
            row["status"], row["reason"] = "diverged", f"the bound, {bound} bits/dim, is above twice 4.09"
    assert [i for i, row in enumerate(table) if row["status"] == "diverged"] == [6, 7, 8, 23, 27, 28, 29]
    answers = answers_of(build(tmp_path / "g", table))
    text = "diverged in 3 of 3 seeds (the bound, {} bits/dim, is above twice 4.09)"
    assert f"<sup>c</sup> {text.format('106.5–129.5')}<br>" in render(answers, "markdown")
    assert text.format("127.5–129.5") in render(answers, "csv")


def test_each_distinct_note_is_a_footnote_of_the_rows_concerned(tmp_path):
    warming = "importance sampler still warming up: {} % of t have their 10 losses"
    notes = {
        ("mu-weighted", 0): warming.format(37),
        ("mu-weighted", 1): warming.format(41),
        ("x0-vlb_learned", 0): f"another\n{warming.format(12)}",
    }
    runs = [row | {"notes": notes.get((row["cell_id"], row["seed"]), "")} for row in rows()]
    answers = answers_of(build(tmp_path / "g", runs))
    table = table_of(answers)
    text = markdown(table)
    lines = text.splitlines()
    assert f"<sup>e</sup> {warming.format('12–41')}<br>" in lines
    assert "<sup>g</sup> another<br>" in lines
    cells = [cells_in(line) for line in lines_of(text)]
    assert cells[6][:3] == ["MSE at ε-weight 1", "2.55 ± 0.05°<sup>e</sup>", "25.0 ± 2.5°<sup>e</sup>"]
    # It diverged at a seed, too.
    assert cells[12][1] == "2.61 ± 0.13<sup>e,f,g</sup>"
    assert text.count("<sup>e</sup>") == 3 + 1
    assert f"[e] {warming.format('12–41')}" in " ".join(terminal_text(table, pipe()).split())
    tex = latex_table(table)
    assert r"$^{\mathrm{e}}$ importance sampler still warming up: 12--41 \% of t have their 10 losses" in tex
    written = csv.DictReader(io.StringIO(render(answers, "csv")))
    said = {(row["parameterization"], row["loss"]): row["note"] for row in written}
    assert said["mu", "weighted"] == warming.format("37–41")
    expected = "diverged in 1 of 3 seeds (the loss was not finite at step 120); mean over the other 2; another; "
    assert said["x0", "vlb_learned"] == expected + warming.format(12)


def test_a_finished_cell_without_a_metric_is_marked(tmp_path):
    table = [row | ({FID: ""} if row["cell_id"] == "epsilon-simple" else {}) for row in rows()]
    text = render(answers_of(build(tmp_path / "g", table)), "markdown")
    assert "finished, but without this metric<br>" in text
    assert "**25.0 ± 2.5**" in text


def test_markdown_takes_no_formula_entity_or_heading_from_outside(table):
    question, verdict = "# $x$ &lt; a & b ~~c~~ `$1`", ("> quoted", "- #2")
    written = markdown(replace(table, question=question, verdict=verdict, untold=0))
    assert written.startswith(r"\# \$x\$ \&lt; a & b \~\~c\~\~ `$1`")
    assert written.endswith("- \\> quoted\n- \\- #2\n")
