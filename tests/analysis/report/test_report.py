"""The report: what it says, and that it stands alone."""

import base64
import dataclasses
import hashlib
import io
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from analysis import figures
from analysis.figures import FIGURES
from analysis.figures.drawing import Drawn
from analysis.labels import in_symbols
from analysis.report.__main__ import main
from analysis.report.figures import CAPTIONS, SHOWS
from analysis.report.glossary import MEANINGS
from analysis.report.page import Picture, Section, Text, picture, render, uri_of
from tests.analysis.conftest import AXES, build, rows
from tests.analysis.report.pages import Page, page_of


def test_sections_come_in_their_order_and_what_is_no_answer_is_folded(page):
    names = ["verdict", "table", "comparisons", "budget", "axes", "samples", "curves", "besides", "noise", "cost"]
    names += ["missing", "provenance", "words"]
    assert [section["id"] for section in page.all("section")] == names
    folded = [title["id"].removesuffix("-title") for title in page.inside("summary", "h2")]
    assert folded == [name for name in names if name not in ("verdict", "table", "missing")]
    links = [link["href"] for link in page.all("a") if link["href"].startswith("#")]
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)


def test_the_answer_stands_first(page):
    assert page.texts("h1") == ["Which target is better, and does it depend on the loss?"]
    # The best means are ε's: NLL 2.50 with L and fixed Σ, FID 20 unweighted. The seeds of one cell run against
    # theirs, so that its differences vary: by ± 2 × 2.48 × 0.02 = 0.10 in NLL, where the means are 0.05 apart.
    nll, fid = page.texts("p", **{"class": "take"})
    others = "; 1 other cannot be ruled out."
    assert nll == f"For likelihood take ε · L (fixed isotropic Σ){others}"
    assert fid.startswith("For samples take ε · unweighted MSE")
    why = "has the best mean, 2.50 ± 0.05 bits/dim; not known to be better, at this budget, than μ̃ · MSE at ε-weight 1."
    assert why in page.section("verdict")


def test_against_the_baseline_by_verdict(page):
    told = page.section("comparisons")
    # Seeds shift all cells alike, so every difference is sure but for those of the reversed one.
    assert "FID: worse than ε · unweighted MSE (8 of 9)" in told
    assert "NLL: better than ε · unweighted MSE (1 of 9)" in told
    assert "ε · L (fixed isotropic Σ): by 0.04" in told
    assert "cannot tell at this budget, against ε · unweighted MSE (1 of 9)" in told
    assert re.search(r"μ̃ · MSE at ε-weight 1: looks worse by 0\.01 ± 0\.10 bits/dim \(p = [0-9.]+\)", told)


def test_figures_are_embedded_and_described(page):
    figures = [figure["id"].removeprefix("figure-") for figure in page.all("figure")]
    assert figures == ["differences", "best", "metrics", "samples", "bound", "weights", "training", "cost"]
    for image in page.all("img"):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert len(image["alt"]) > 30
    assert len(page.all("figcaption")) == len(figures)
    assert page.all("img")[1]["alt"] == "Sheet of generated samples of ε · unweighted MSE."
    assert "NLL 1 better, 7 worse, 1 cannot tell" in page.all("img")[0]["alt"]
    assert page.all("img")[3]["alt"] == "Sheet of generated samples of 11 cells."


def test_every_figure_has_its_words():
    assert set(CAPTIONS) == set(SHOWS) == set(FIGURES)


def test_a_figure_that_a_text_names_is_a_link_to_it():
    """Only where the page has it, and with the rest of the text still escaped."""
    text = "this & that: see figures/weights, figures/none"
    section = Section("s", "S", (Text(text), Picture("weights", "data:,", 1, 1, "", "")))
    page = render("title", [], [section])
    assert 'this &amp; that: see <a href="#figure-weights">figures/weights</a>, figures/none' in page
    assert 'id="figure-weights"' in page


def test_enlarged_samples_have_the_nearest_training_images_beside_them():
    picture = Picture("best", "data:,a", 2, 1, "Samples.", "samples", photo=True)
    beside = Picture("nearest", "data:,b", 2, 1, "Nearest.", "nearest ones")
    both = dataclasses.replace(picture, beside=beside), picture
    page = render("title", [], [Section("s", "S", both)])
    assert page.count('<img class="beside" src="data:,b"') == 1
    assert page.count("Nearest.") == 1


def test_nothing_is_loaded_and_nothing_runs_but_the_pages_own_script(text, page):
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.split("; ")[0] == "default-src 'none'"
    assert [part for part in policy.split("; ") if part.startswith("script-src")] == [f"script-src 'sha256-{digest}'"]
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval|Function|fetch|https?:", script)
    for element in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert not (element.get(name) or "").startswith(("http", "//", "file"))
        assert not [name for name in element if name.startswith("on")]
    assert not re.search(r"@import|url\(", text)


def test_it_is_a_whole_document(text, page):
    assert text.startswith("<!DOCTYPE html>\n")
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("meta", name="viewport")[0]["content"] == "width=device-width, initial-scale=1"
    levels = [int(element["tag"][1]) for element in page.elements if re.fullmatch("h[1-6]", element["tag"])]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for box in page.all("div", role="region"):
        assert box["tabindex"] == "0"
        assert box["aria-label"]


def test_the_table_of_the_grid_with_its_caption_and_footnotes(page):
    told = page.section("table")
    assert "2.50 ± 0.05" in told
    assert "20.0 ± 2.5" in told
    assert "Mean ± half-width of the 95 % t-interval over 3 paired seeds." in told
    assert "In native form the rows differ in weight as well as in target." in page.texts("li")


def test_a_question_has_its_symbols():
    asked = "Is mu, epsilon or x_0 better at beta_1, or `mu=x_0`, or L_simple, or eta-pruned music?"
    assert in_symbols(asked) == "Is μ, ε or x₀ better at β₁, or `mu=x_0`, or L_simple, or η-pruned music?"


def test_words_of_the_suite_are_explained_where_they_stand_and_in_a_list(page):
    explained = {element["text"]: element["title"] for element in page.all("abbr")}
    assert explained["paired seeds"].startswith("a seed that all cells share")
    meanings = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert meanings["cell"].startswith("one combination of the levels")
    assert "bits/dim" in meanings["NLL"], "a metric of the table"
    assert not {"rFID", "KID"} & meanings.keys(), "metrics of other tables"


def test_the_page_of_words_has_those_of_reports():
    text = (Path(__file__).parents[3] / "docs" / "words.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)[1:]) == MEANINGS


def test_a_number_of_the_table_shows_its_seeds(page):
    """FID of ε · unweighted MSE is 20 ± 1 over three seeds."""
    (title,) = [e["title"] for e in page.all("td") if e["text"].startswith("20.0 ± 2.5")]
    assert title == "n = 3, standard error 0.58: 19.0 (seed 0), 20.0 (seed 1), 21.0 (seed 2)"


def test_what_one_more_seed_would_do(page):
    told = page.section("noise")
    # Student's t at 97.5 %: 4.3027 over √3 with two degrees of freedom, 3.1824 over √4 with three.
    assert "narrows a 95 % interval by about 36 % over 3 seeds" in told
    assert "NLL: 1 of 9 comparisons undecided" in told
    assert "FID: 1 of 9 comparisons undecided" in told


def test_links_lead_to_the_files_that_are_there(page, tmp_path, quick):
    assert page.texts("a", href="runs.csv") == ["runs.csv"]
    assert page.texts("a", href="table.csv") == ["table.csv"]
    folder = build(tmp_path / "results" / "committed" / "a grid")
    (folder / "figures").mkdir()
    (folder / "figures" / "metrics.pdf").touch()
    assert main([f"runs={folder}"]) == 0
    drawn = Page((tmp_path / "results" / ".committed" / "a grid" / "report.html").read_text(encoding="utf-8"))
    assert drawn.texts("a", href="../../committed/a%20grid/runs.csv") == ["runs.csv"]
    assert drawn.texts("a", href="table.csv") == ["table.csv"]
    assert drawn.texts("a", href="../../committed/a%20grid/figures/metrics.pdf") == ["PDF"]


def test_what_did_not_finish_is_told(page):
    assert "4 of 33 runs did not finish" in page.texts("p", **{"class": "lead"})[0]
    told = page.section("missing")
    assert "4 of 33 runs did not finish." in told
    assert told.count("the loss was not finite at step 120") == 4


def test_costs(page):
    told = page.section("cost")
    # 3 × 5 M FLOPs × 500 steps × 128 images; 9 s for 2 sets of 450 images
    assert "960 G" in told
    assert "10.0" in told
    assert "All cells' trainings take the same operations to 1 %." in told
    assert "NLL against training time: μ̃ · MSE at ε-weight 1, ε · L (fixed isotropic Σ)." in told


def test_provenance_names_every_run(page):
    told = page.section("provenance")
    assert "python -m ablations.run grid=parameterization" in told
    assert "0.1.0+abc123" in told
    (runs,) = [details for details in page.all("details") if details["text"].split()[:3] == ["All", "33", "runs"]]
    assert runs["text"].count("t-epsilon-simple") == 3


@pytest.mark.thorough
def test_the_same_grid_gives_the_same_bytes(folder, quick):
    first = page_of(folder).read_bytes()
    assert page_of(folder).read_bytes() == first


def test_what_users_write_is_shown_and_not_run(tmp_path, quick):
    evil = "<script>alert(1)</script>"
    table = rows()
    for row in table:
        if row["status"] == "diverged":
            row["reason"], row["traceback"] = f"`{evil}", f'Traceback:\n  File "<x>"\nValueError: {evil}'
    levels = [{"name": "mu", "label": '"><b onload=x>'}, *AXES[0]["levels"][1:]]
    told = {"question": f"Is {evil} <img src=x onerror=alert(1)> better?", "command": f"`{evil}"}
    told |= {"axes": [AXES[0] | {"levels": levels}, AXES[1]], "footnotes": [evil], "decoder": evil, "device": evil}
    folder = build(tmp_path / "g", table, **told)
    page = Page(page_of(folder).read_text(encoding="utf-8"))
    assert len(page.all("script")) == 1
    assert {image.get("src", "")[:10] for image in page.all("img")} == {"data:image"}
    assert page.texts("h1") == [f"Is {evil} <img src=x onerror=alert(1)> better?"]
    assert not page.all("b")
    assert f"`{evil}" in page.section("missing")
    assert "Tracebacks" in page.texts("summary")
    assert [block["text"] for block in page.all("pre")] == [f'Traceback:\n  File "<x>"\nValueError: {evil}'] * 4


def test_the_command(tmp_path, monkeypatch, capsys, quick):
    folder = build(tmp_path / "results" / "parameterization")
    monkeypatch.setattr(figures, "FIGURES", {name: FIGURES[name] for name in ("metrics", "samples")})
    monkeypatch.chdir(tmp_path)
    assert main(["grid=parameterization"]) == 0
    assert capsys.readouterr().out == "results/parameterization/report.html\n"
    assert 'id="samples"' in (folder / "report.html").read_text(encoding="utf-8")


def test_a_heavy_figure_is_reduced_and_looks_the_same_and_sheets_of_images_are_kept():
    """60 lines in ten colours: the root mean square of the difference is below 4 of 255 levels."""
    figure, axes = pyplot.subplots(figsize=(7, 6))
    for line in range(60):
        axes.plot(np.sin(np.linspace(0, 9, 300) + line), color=f"C{line % 10}")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=300, transparent=True)
    pyplot.close(figure)
    drawn = Drawn(data.getvalue(), (7, 6))
    assert len(drawn.png) > 100_000
    shown = base64.b64decode(picture("training", drawn, "", "").uri.partition(",")[2])
    assert len(shown) < 0.5 * len(drawn.png)
    before, after = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(float) for png in (drawn.png, shown)
    )
    assert np.sqrt(((before - after) ** 2).mean()) < 4
    assert picture("samples", drawn, "", "").uri == uri_of(drawn.png)
