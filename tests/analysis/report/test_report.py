"""The page of a hand-made grid has what a reader needs, and nothing that acts or loads."""

import json
import re
import shlex

import pytest

from analysis.report.__main__ import main
from tests.analysis.folders import IS, axis_of
from tests.analysis.report.folders import CELLS, LEVELS, build
from tests.analysis.report.pages import page_of

MU = {"target": "mu"}
CLAIM = {"claim": "ε is better", "source": "DDPM", "metric": "fid", "better": {"target": "epsilon"}, "than": MU}
ROUND = {"number": 1, "of": 3, "seeds": 2, "preliminary": True, "finished": 4, "trainings": 12}
MLFLOW = {"uri": "sqlite:///mlflow.db", "experiment": "1", "link": "http://127.0.0.1:5000/#/1", "runs": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    contrary = CLAIM | {"better": {"loss": "bound"}, "than": {"loss": "mse"}}
    folder = tmp_path_factory.mktemp("r") / "targets"
    build(folder, expects=[CLAIM, contrary, CLAIM | {"than": {"target": "v"}}])
    (folder / "tracking.json").write_text(json.dumps(MLFLOW), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return page_of(folder, drawn=True)


def test_the_first_screen_says_what_to_take_and_shows_it(page):
    assert page.takes == ["For likelihood, at this budget, take ε · L.", "For samples, at this budget, take ε · MSE."]
    assert "NLL: ε · L is the best of 4, 2.40 ± 0.02 bits/dim." in page.parts["verdict"]
    assert "μ̃ · MSE is worse than ε · MSE by a factor of 1.20" in page.parts["verdict"], (
        "the nearest of its comparisons"
    )
    assert page.texts("figcaption")[1:3] == ["Samples of ε · MSE, the best in FID.", "Real images, held out."]
    assert page.texts("h1") == ["Which target is better, μ or ε?"]


def test_the_parts_follow_in_order_and_say_how_to_go_on(page):
    parts = "verdict table seeds comparisons published axes samples cost provenance further legend"
    assert list(page.parts) == parts.split()
    assert ["Table" in part["text"] for part in page.all("details", open=None)] == [True]
    assert {"equal", "cannot tell", "bold", "°", "±"} <= {row[0] for row in page.table("legend")}
    start = "python -m ablations.run grid=targets"
    ways = {f"{start} seeds=6", f"{start} seeds=3 training.steps=1000 name=targets-longer"}
    assert ways < {command for _, command in page.table("further")}
    assert "4.0 min of computing for a seed of all cells" in " ".join(page.texts("summary"))


def test_comparisons_are_one_table_and_claims_another(page):
    head, *told = page.table("comparisons")
    assert head == ["Metric", "a", "b", "a − b, or a/b", "p, or looks", "a is", "Seeds to tell", "Declared"]
    assert len(told) == 6, "three cells against the baseline, in two metrics"
    # ε · L − ε · MSE is −0.08, −0.11, −0.11: mean −0.10, half-width 4.30 · 0.0173/√3
    assert told[0][:4] == ["NLL", "ε · L", "ε · MSE", "−0.10 ± 0.04 bits/dim"]
    assert told[0][4:] == ["0.02", "better", "", "not recorded"]
    assert [row[-2] for row in page.table("published")[1:]] == ["as published", "contrary", "not tested"]
    assert "of 3 claims 1 as published, 1 contrary and 1 not tested" in " ".join(page.texts("summary"))
    # ε is 2.50 and 2.40
    assert any(row[:3] == ["NLL", "Target", "ε"] and row[3].startswith("2.45 ±") for row in page.table("axes"))


def test_nothing_is_loaded_and_links_lead_somewhere(folder, page):
    before = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|url\(|@import)\W{0,2}(?:https?:)?//", before)
    links = {a["href"] for a in page.all("a")}
    assert links >= {"runs.csv", "grid.json", "#legend", MLFLOW["link"]}
    assert all((folder / link).is_file() for link in links if "#" not in link)
    page_of(folder)
    assert (folder / "report.html").read_text(encoding="utf-8") == before, "the same results give the same page"


def test_what_users_write_is_text(tmp_path):
    evil = "<script>alert(1)</script> `x` \" ' & {{ 7 * 7 }}"
    texts = {"question": evil, "data": evil, "command": f"run {shlex.quote(evil)}", "footnotes": [evil]}
    axes = [axis_of(name, evil, {level: level + evil for level in levels}) for name, levels in LEVELS.items()]
    page = page_of(build(tmp_path / "g", **texts, axes=axes, expects=[CLAIM | {"claim": evil, "source": evil}]))
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for element in page.elements for name in element)
    assert "{{ 7 * 7 }}" in page.texts("h1")[0]


@pytest.mark.parametrize(
    ("cells", "changes", "take"),
    [
        ({levels: values[:1] for levels, values in CELLS.items()}, {}, "For likelihood no verdict; best value: ε · L."),
        ({("mu", "mse"): CELLS["mu", "mse"]}, {}, "For likelihood: nothing to choose between."),
        ({("mu", "mse"): [{IS: 7.0}] * 3}, {}, "No verdict: no cell has a metric that decides."),
        (CELLS, {"round": ROUND}, "For likelihood so far ε · L leads."),
    ],
)
def test_a_grid_that_has_no_plain_answer(tmp_path, cells, changes, take):
    assert page_of(build(tmp_path / "g", cells, **changes)).takes[0].strip() == take


def test_rows_have_answers_of_their_own(tmp_path):
    page = page_of(build(tmp_path / "g", primary=[{"compare": MU, "at": {"loss": ["mse", "bound"]}}]))
    assert page.takes[0] == "For likelihood, by Loss, the best mean: ε at MSE and L."
    assert "NLL at MSE: ε is the best of 2, 2.50 ± 0.02 bits/dim." in page.parts["verdict"]


def test_no_page_before_the_first_round(tmp_path):
    folder = build(tmp_path / "g", round=ROUND | {"number": 0, "seeds": 0})
    assert main([f"runs={folder}"]) == 0
    assert not (folder / "report.html").exists()
