"""The report: what it says, that it stands alone, and that it survives whatever a grid holds."""

import base64
import dataclasses
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analysis import commands, report
from analysis.figures import FIGURES
from analysis.findings.cells import cells_of
from analysis.findings.verdicts import findings
from analysis.read.links import tracking_of
from analysis.read.runs import read_folder
from analysis.report.answers import axes, comparisons, noise, verdict
from analysis.report.costs import cost, si
from analysis.report.figures import CAPTIONS, SHOWS
from analysis.report.page import FactTable, Link, Section, prose, render
from analysis.report.records import besides, missing, provenance
from tests.analysis.conftest import AXES, FID, NLL, build, rows, write_csv
from tests.analysis.findings.test_costs import costed
from tests.analysis.findings.test_factorial import grid_of as planted
from tests.analysis.findings.test_verdicts import VALUES, grid_of
from tests.analysis.latent import autoencoder_id, latent
from tests.analysis.report.browser import CHROMIUM, DRIVER, Browser, dom

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """A page's elements, with the text below each; it fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data.replace("\u00a0", " ")

    def all(self, tag, **attributes):
        found = [element for element in self.elements if element["tag"] == tag]
        return [e for e in found if all(e.get(name) == value for name, value in attributes.items())]

    def texts(self, tag, **attributes):
        return [" ".join(element["text"].split()) for element in self.all(tag, **attributes)]

    def section(self, name):
        (element,) = self.all("section", id=name)
        return " ".join(element["text"].split())


def with_costs(table):
    costs = {"cost/train_seconds": 20.0, "cost/sample_seconds": 9.0, "cost/flops_per_image": 5e6}
    return [row | costs if row["status"] == "finished" else row for row in table]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("r") / "parameterization", with_costs(rows()))
    path = report.write_report(folder)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_sections_come_in_their_order_and_each_has_its_link(page):
    names = ["verdict", "comparisons", "table", "axes", "samples", "curves", "besides", "noise", "cost"]
    names += ["missing", "provenance"]
    assert [section["id"] for section in page.all("section")] == names
    links = [link["href"] for link in page.all("a") if link["href"].startswith("#")]
    assert links[: len(names)] == [f"#{name}" for name in names]
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)


def test_the_answer_stands_first(page):
    assert page.texts("h1") == ["Which target is better, and does it depend on the loss?"]
    # The best means are ε's: NLL 2.50 with L and fixed Σ, FID 20 unweighted. The seeds of one cell run against
    # theirs, so that its differences vary: by ± 2 × 2.48 × 0.02 = 0.10 in NLL, where the means are 0.05 apart.
    nll, fid = page.texts("p", **{"class": "take"})
    assert nll == "For likelihood take ε · L, fixed isotropic Σ, or the one that cannot be told from it."
    assert fid.startswith("For samples take ε · unweighted MSE")
    why = "has the best mean, 2.50 ± 0.05 bits/dim; at this budget it cannot be told from μ̃ · MSE at ε-weight 1."
    assert why in page.section("verdict")


def test_against_the_baseline_by_verdict(page):
    told = page.section("comparisons")
    # Seeds shift all cells alike, so every difference is sure but for those of the reversed one: FID 5.0 ± 4.97.
    assert "FID: worse than ε · unweighted MSE (9 of 9)" in told
    assert "NLL: better than ε · unweighted MSE (1 of 9)" in told
    assert "ε · L, fixed isotropic Σ: by 0.04" in told
    assert "cannot be told from ε · unweighted MSE at this budget (1 of 9)" in told
    assert re.search(r"μ̃ · MSE at ε-weight 1: looks worse by 0\.01 ± 0\.10 bits/dim \(p = [0-9.]+\)", told)


def test_figures_are_embedded_and_described(page):
    figures = page.all("figure")
    assert [figure["id"].removeprefix("figure-") for figure in figures] == [
        "differences",
        "metrics",
        "samples",
        "bound",
        "weights",
        "training",
        "cost",
    ]
    for image in page.all("img"):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert len(image["alt"]) > 30
    assert len(page.all("figcaption")) == len(figures)
    assert "NLL 1 better, 7 worse, 1 cannot tell" in page.all("img")[0]["alt"]


def test_every_figure_has_its_words():
    assert set(CAPTIONS) == set(SHOWS) == set(FIGURES)


def test_nothing_is_loaded_and_nothing_runs(text, page):
    assert not page.all("script")
    for element in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert not (element.get(name) or "").startswith(("http", "//", "file"))
        assert not [name for name in element if name.startswith("on")]
    assert "@import" not in text
    assert "url(" not in text


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


def test_what_did_not_finish_is_told(page):
    told = page.section("missing")
    assert "4 of 33 runs did not finish." in told
    assert told.count("the loss was not finite at step 120") == 4


def test_costs(page):
    told = page.section("cost")
    # 3 × 5 M FLOPs × 500 steps × 128 images; 9 s for 2 sets of 450 images
    assert "960 G" in told
    assert "10.0" in told
    assert "All cells' trainings take the same operations to 1 %." in told
    assert "NLL against training time: μ̃ · MSE at ε-weight 1; ε · L, fixed isotropic Σ." in told


def test_provenance_names_every_run(page):
    told = page.section("provenance")
    assert "python -m ablations.run grid=parameterization" in told
    assert "0.1.0+abc123" in told
    (details,) = page.all("details")
    assert details["text"].count("t-epsilon-simple") == 3


def test_the_same_grid_gives_the_same_bytes(folder):
    first = report.write_report(folder).read_bytes()
    assert report.write_report(folder).read_bytes() == first


def test_what_users_write_is_shown_and_not_run(tmp_path):
    evil = "<script>alert(1)</script>"
    table = rows()
    for row in table:
        if row["status"] == "diverged":
            row["reason"], row["traceback"] = f"`{evil}", f'Traceback:\n  File "<x>"\nValueError: {evil}'
    levels = [{"name": "mu", "label": '"><b onload=x>'}, *AXES[0]["levels"][1:]]
    folder = build(
        tmp_path / "g",
        table,
        question=f"Is {evil} <img src=x onerror=alert(1)> better?",
        axes=[AXES[0] | {"levels": levels}, AXES[1]],
        command=f"`{evil}",
        footnotes=[evil],
        decoder=evil,
        device=evil,
    )
    page = Page(report.write_report(folder).read_text(encoding="utf-8"))
    assert not page.all("script")
    assert {image.get("src", "")[:10] for image in page.all("img")} == {"data:image"}
    assert page.texts("h1") == [f"Is {evil} <img src=x onerror=alert(1)> better?"]
    assert not page.all("b")
    assert f"`{evil}" in page.section("missing")
    assert "Tracebacks" in page.texts("summary")
    assert [block["text"] for block in page.all("pre")] == [f'Traceback:\n  File "<x>"\nValueError: {evil}'] * 4


def test_tracebacks_are_folded_below_the_reasons(tmp_path):
    """Those of an older writer stand below their reasons, and a run of one line has none."""
    trace = "Traceback (most recent call last):\n  File x\nOSError: no space left"
    ends = {
        0: {"reason": "no space left", "traceback": trace},
        1: {"reason": f"no space left\n{trace}"},
        2: {"reason": "no space left"},
    }
    lost = [{**row, "status": "failed", **ends[row["seed"]]} for row in rows() if row["cell_id"] == "mu-simple"]
    grid = read_folder(build(tmp_path / "g", [row for row in rows() if row["cell_id"] != "mu-simple"] + lost))
    _, sheet, folded = missing(grid, [cell for cell in cells_of(grid) if cell.cell_id == "mu-simple"]).blocks
    assert [row[3] for row in sheet.rows] == ["no space left"] * 3
    assert [(block.title[-6:], block.text) for block in folded.blocks] == [
        ("seed 0", trace),
        ("seed 1", f"no space left\n{trace}"),
    ]


def one_axis(table, **changes):
    """Only predicting x₀, so that the objective is the only axis."""
    return [row for row in table if row["parameterization"] == "x0"], {"axes": [AXES[1]], "baseline": {}} | changes


def scene(name):
    """Rows and changes of grid.json for a grid that lacks something."""
    table = rows()
    if name == "one cell":
        kept = [row for row in table if row["cell_id"] == "epsilon-simple"]
        return kept, {"axes": [], "layout": "general", "baseline": {}}
    if name == "one seed":
        return [row for row in table if row["seed"] == 0], {"seeds": [0]}
    if name == "all diverged":
        fixed = [{key: row[key] for key in list(row)[:15]} for row in table]
        return [row | {"status": "diverged", "reason": "the loss was not finite"} for row in fixed], {}
    if name == "points":
        metrics = [
            {"name": NLL, "label": "NLL", "unit": "nats", "direction": "min", "decimals": 2},
            {"name": "energy_distance/test", "label": "Energy distance", "direction": "min", "decimals": 3},
        ]
        named = [{"energy_distance/test" if key == FID else key: row[key] for key in row} for row in table]
        lacking = {"floors": {}, "extractor": None, "extractor_accuracy": None, "layout": "general", "baselines": {}}
        return one_axis(named, metrics=metrics, data="mixture2d", **lacking)
    return table, {}


@pytest.mark.parametrize(
    ("name", "first", "sections"),
    [
        (
            "one cell",
            "For likelihood: nothing to choose between.",
            "verdict table samples curves noise cost",
        ),
        (
            "one seed",
            "For likelihood no verdict; best value: ε · L, fixed isotropic Σ.",
            "verdict table samples curves",
        ),
        ("all diverged", "No verdict.", "verdict table samples curves besides missing"),
        ("points", "For likelihood take MSE at ε-weight 1", "verdict comparisons table samples curves besides"),
        (
            "no samples",
            "For likelihood take ε · L, fixed isotropic Σ",
            "verdict comparisons table axes curves besides noise",
        ),
        (
            "no curves",
            "For likelihood take ε · L, fixed isotropic Σ",
            "verdict comparisons table axes samples besides noise",
        ),
    ],
)
def test_a_grid_that_lacks_something(tmp_path, name, first, sections):
    table, changes = scene(name)
    folder = build(tmp_path / "g", table, **changes)
    if name == "no samples":
        for path in (folder / "samples").iterdir():
            path.unlink()
        (folder / "samples").rmdir()
    if name == "no curves":
        write_csv(folder / "curves.csv", ("cell_id", "seed", "curve", "x", "y"), [])
    page = Page(report.write_report(folder).read_text(encoding="utf-8"))
    assert page.texts("p", **{"class": "take"})[0].startswith(first)
    found = [section["id"] for section in page.all("section")]
    assert found[: len(sections.split())] == sections.split()
    assert found[-2:] == ["missing", "provenance"]


def test_one_seed_says_that_it_is_no_verdict():
    values = {name: (nll[:1], fid[:1]) for name, (nll, fid) in VALUES.items()}
    grid = grid_of(values)
    answer = verdict(grid, findings(grid)).blocks[0]
    assert (answer.mark, answer.choice) == ("One seed: no verdict", "cosine")


def test_a_continued_grid_is_exploratory_and_says_what_would_confirm_it():
    grid = grid_of(continued=True)
    found = findings(grid)
    assert verdict(grid, found).blocks[0].mark.startswith("Exploratory")
    items = comparisons(found, []).blocks[0].items
    assert re.search(r"linear is worse than cosine .* fresh seeds would confirm it\.$", items[0], re.IGNORECASE)
    assert "confirm" not in comparisons(findings(grid_of()), []).blocks[0].items[0]


def test_no_recommendation_among_cells_that_share_a_likelihood():
    grid = grid_of({"heun": ([2.0, 2.1], [9.0, 8.0]), "ddim": ([2.0, 2.1], [5.0, 6.0])})
    nll, fid = verdict(grid, findings(grid)).blocks
    assert (nll.take, nll.choice) == ("For likelihood: nothing to choose between.", "")
    assert fid.choice


def test_better_than_real_images_is_no_claim():
    floors = {FID: {"label": "held-out images, n = 450", "value": 25.05}}
    said = [
        verdict(grid_of(floors=floors | given), findings(grid_of(floors=floors))).blocks[1].why
        for given in ({}, {FID: {"label": "x", "value": 1.0}})
    ]
    assert said[0][1].startswith("That is beyond the 25.1 of held-out images, n = 450, which does not mean")
    assert len(said[1]) == 1


def test_noise_of_sampling_apart_from_seeds():
    # FID's seeds vary with sds 4.082, 2.872 and 4.573; sets with 3 each, so a mean of two with 3/√2 = 2.12.
    between = np.sqrt(np.mean([np.var(fid, ddof=1) for _, fid in VALUES.values()]))
    grid = grid_of(sets=3.0)
    (line,) = [block.text for block in noise(grid, findings(grid)).blocks if block.text.startswith("FID")]
    assert f"standard deviation of {between:.1f}" in line
    assert f"alone gives 2.1, {100 * 4.5 / between**2:.0f} % of that variance" in line


def test_noise_of_images_apart_from_seeds():
    # d_si = 1 + s_s + w_i: the variance of its mean is var(s)/n + var(w)/m.
    seeds, images = np.array([-0.1, 0.0, 0.1]), np.array([-0.4, 0.1, 0.3, 0.0])
    values = {"a": ([1.0 + s for s in seeds], [1.0, 1.0, 1.0]), "b": ([0.0] * 3, [1.0, 1.0, 1.0])}
    rows = {("a", s, NLL): 1 + seeds[s] + images for s in range(3)} | {("b", s, NLL): np.zeros(4) for s in range(3)}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index)
    grid = grid_of(values, images=table)
    of_images, of_seeds = images.var(ddof=1) / 4, seeds.var(ddof=1) / 3
    (line,) = [block.text for block in noise(grid, findings(grid)).blocks if "held-out" in block.text]
    assert line.startswith(f"NLL: {100 * of_images / (of_images + of_seeds):.0f} % of the variance of a difference")


def test_on_how_many_images_the_best_is_better():
    # b is better on 30 of 40 images in the mean over seeds, though a is on one of the two at seed 0 everywhere.
    better = np.repeat([1.0, -1.0], [30, 10])
    values = {"a": ([1.5] * 2, [1.0] * 2), "b": ([1.0] * 2, [1.0] * 2)}
    rows = {("a", 0, NLL): 1 - better, ("a", 1, NLL): 1 + 3 * better, ("b", 0, NLL): 1 + 0 * better}
    rows[("b", 1, NLL)] = rows[("b", 0, NLL)]
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index)
    grid = grid_of(values, images=table)
    (line,) = [block.text for block in noise(grid, findings(grid)).blocks if "bootstrapped" in block.text]
    said = re.fullmatch(
        r"NLL: b is better than a on 75 % of the 40 held-out images .* interval (\d+) to (\d+) %.*", line
    )
    # Wilson's interval for 30 of 40 is 59.8 to 85.8 %.
    assert int(said[1]) == pytest.approx(59.8, abs=4)
    assert int(said[2]) == pytest.approx(85.8, abs=4)


def test_axes_that_depend_on_each_other_and_do_not_cross_in_full_have_no_averages(page):
    told = page.section("axes")
    assert "Predicts and Objective depend on each other" in told
    assert "averaged over the other axes" not in told


def test_axes_that_matter_and_averages_over_the_others():
    grid = planted()
    told = Page(render("q", [], [axes(grid, findings(grid))])).section("axes")
    assert "Steps matters" in told
    assert "NLL averaged over the other axes: mean ± 95 % interval over seeds." in told
    assert "Steps: 10 steps" in told


def test_every_run_has_its_page_in_mlflow(shared_folder):
    runs = {("mu-vlb_learned", 0): "r1", ("mu-vlb_learned", 1): "r2"}
    tracked = tracking_of("http://me:secret@host:5000", "7", runs)
    grid = dataclasses.replace(read_folder(shared_folder), tracking=tracked)
    page = Page(render("q", [], [provenance(grid, cells_of(grid))]))
    links = [(link["href"], link["text"]) for link in page.all("a") if link["href"].startswith("http")]
    assert links[0] == (tracked.link, "experiment 7 in http://host:5000")
    assert links[1:] == [(f"http://host:5000/#/experiments/7/runs/{run}", run) for run in ("r1", "r2")]


def test_what_made_the_runs_is_told(shared_folder):
    grid = read_folder(shared_folder)
    codes = ["a1"] * 30 + ["b2"] * 3
    runs = grid.runs.assign(code=codes, numerics="4", data_digest="d1")
    page = Page(render("q", [], [provenance(dataclasses.replace(grid, runs=runs), cells_of(grid))]))
    told = page.section("provenance")
    assert "a1 (30 runs), b2 (3 runs)" in told
    assert "Data digestd1" in told


def test_effective_weights_and_parameters_of_each_axis(shared_folder):
    grid = read_folder(shared_folder)
    changes, checked, *_ = besides(grid, cells_of(grid)).blocks
    assert changes.items == ("Predicts: `parameterization`.", "Objective: `objective`, `objective.space`, `variance`.")
    assert checked.items[0].startswith("Cells that differ in Predicts differ in the effective weight of each t too")
    assert checked.items[1] == "Objective declares that it changes the weight of each t."


def test_seconds_told_apart_are_counted():
    grid = costed(trained={"linear": 100.0, "cosine": 100.0, "learned": 210.0}, linear=5, cosine=5, learned=5)
    section = cost(grid, cells_of(grid), findings(grid), [])
    assert "Training times can be told apart in 2 of 3 pairs of cells" in section.blocks[0].text


@pytest.mark.parametrize(
    ("value", "text"), [(9.2e12, "9.20 T"), (145521, "146 k"), (0.0, "0"), (999.0, "999"), (5e19, "50.0 E")]
)
def test_si(value, text):
    assert si(value).replace("\u00a0", " ") == text


def test_prose_keeps_numbers_whole_and_escapes_code():
    assert (
        prose("a ± b, p = 1, NLL ↓ `<x>`") == "a\u00a0±\u00a0b, p\u00a0=\u00a01, NLL\u00a0↓\u00a0<code>&lt;x&gt;</code>"
    )
    assert prose("a ` b <") == "a ` b\u00a0&lt;"


def test_links_lead_out():
    sheet = FactTable("Runs", ("Run",), ((Link("<r>", "http://host/#/x?a=1&b=2"),),))
    (link,) = [a for a in Page(render("q", [], [Section("s", "S", (sheet,))])).all("a") if a["text"] == "<r>"]
    assert link["href"] == "http://host/#/x?a=1&b=2"


def test_the_command(tmp_path, monkeypatch, capsys):
    folder = build(tmp_path / "results" / "parameterization")
    monkeypatch.chdir(tmp_path)
    assert report.main(["grid=parameterization"]) == 0
    assert capsys.readouterr().out == "results/parameterization/report.html\n"
    from_folder = (folder / "report.html").read_bytes()
    # A store gives no sample sheets; what it gives goes where the folder would be.
    stored = dataclasses.replace(read_folder(folder), samples=None)
    monkeypatch.setattr(commands, "read_store", lambda uri, name: dataclasses.replace(stored))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert report.main(["grid=parameterization", "runs=sqlite:///runs.db"]) == 0
    assert capsys.readouterr().out == "results/parameterization/report.html\n"
    written = (tmp_path / "elsewhere" / "results" / "parameterization" / "report.html").read_text(encoding="utf-8")
    assert 'id="samples"' in from_folder.decode()
    assert 'id="samples"' not in written


def test_refusals_are_one_line(tmp_path, monkeypatch, capsys):
    build(tmp_path / "results" / "parameterization")
    monkeypatch.chdir(tmp_path)
    assert report.main(["grid=parametrization"]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'parameterization'?" in error
    assert error.count("\n") == 1
    assert report.main(["format=html"]) == 2
    assert report.main(["--help"]) == 0


@pytest.fixture(scope="module")
def latent_page(tmp_path_factory):
    folder = latent(tmp_path_factory.mktemp("r") / "latent")
    return Page(report.write_report(folder).read_text(encoding="utf-8"))


def test_figures_of_latents_have_their_place_and_a_sentence(latent_page):
    ids = [figure["id"].removeprefix("figure-") for figure in latent_page.all("figure")]
    assert ids[2:5] == ["samples", "reconstructions", "elbo"]
    assert ids[-2:] == ["compute", "cost"]
    told = latent_page.texts("figcaption")
    assert [line for line in told if line.startswith("Where the bits of an image go")]
    assert [line for line in told if line.startswith("The same test images through each autoencoder")]
    assert [line for line in told if line.startswith("What is bought by training in each space")]
    assert len(latent_page.all("img")) == len(told) == len(ids)


def test_what_is_not_comparable_is_told_where_cells_are_set_apart(latent_page):
    why = "not comparable: a VQ code has no likelihood"
    assert why in latent_page.section("table")
    assert f"NLL {why}" in latent_page.section("besides")
    assert "f = 2, VQ" in latent_page.section("besides")
    assert "Not compared, though finished: f = 2, VQ · equal steps." in latent_page.section("axes")
    assert "VQ" not in " ".join(latent_page.texts("p", **{"class": "take"}))
    assert "without this metric" not in " ".join(element["text"] for element in latent_page.all("main"))


def test_every_run_in_latents_names_its_autoencoder(latent_page, page):
    told = latent_page.section("provenance")
    assert latent_page.texts("th", scope="col")[-1] == "Autoencoder id"
    # Of f = 2 at each seed: two budgets and the VAE.
    assert [told.count(autoencoder_id("f2", seed)) for seed in (0, 1, 2)] == [3, 3, 3]
    assert "Autoencoder id" not in page.section("provenance")


def test_costs_of_latents_name_the_autoencoder(latent_page):
    heads = latent_page.texts("th", scope="col")
    assert "Training operations, autoencoder included (FLOPs)" in heads
    assert "of these the autoencoder's (FLOPs)" in heads
    assert "Operations per sample (FLOPs)" in heads
    told = latent_page.section("cost")
    assert "NLL against training, autoencoder included: f = 2 · equal steps" in told
    # Of a VAE its autoencoder is all: 4e11 operations in 12 s.
    assert "f = 2 · VAE alone400 G400 G12.0" in told
    # 4.1e12 against 3e11
    assert "Trainings differ in their operations by up to a factor of 13.7." in told


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_reads_the_verdict(text, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    seen = Page(dom(file, tmp_path / "profile"))
    assert seen.texts("p", **{"class": "take"})[0].startswith("For likelihood take ε · L, fixed isotropic Σ")


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_on_a_phone_links_lead_where_they_say_and_nothing_is_too_wide(text, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    with Browser(tmp_path / "profile") as browser:
        browser.open(file.as_uri())
        assert browser.run("return window.innerWidth") == 360
        assert browser.run("return document.scrollingElement.scrollWidth") <= 360
        for name in ("cost", "provenance"):
            browser.run("window.scrollTo(0, 0)")
            browser.click(f'nav a[href="#{name}"]')
            assert browser.run("return location.hash") == f"#{name}"
            inside = f"const y = document.getElementById('{name}').getBoundingClientRect().top; "
            assert browser.wait(inside + "return scrollY > 0 && y >= -1 && y < innerHeight")
        size = "e => parseFloat(getComputedStyle(e).fontSize)"
        sizes = browser.run(f"return [...document.querySelectorAll('p, li, td, th')].map({size})")
        assert min(sizes) >= 12
        assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
        loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
        assert all(name.startswith("data:") for name in loaded)
        browser.click("summary")
        assert browser.run("return document.querySelector('details').open")
        browser.run("document.querySelector('.zoom input').click()")
        assert browser.run("return document.images[0].clientWidth") > 600
        assert browser.run("return document.scrollingElement.scrollWidth") <= 360
