"""The example of a package of one's own, installed and run as its author would: checks, a grid, a search."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import analysis
from ablations import check
from ablations.driver import pages, run
from ablations.search import __main__ as search
from ablations.settings import grammar
from ablations.settings.plugins import REGISTERED, offers

EXAMPLE = Path(__file__).parents[1] / "examples" / "extension"
QUICK = ["seeds=2", "horizon=5", "training.steps=6", "training.warmup=2"]
QUICK += ["evaluation.exact=1", "evaluation.strata=1", "evaluation.fit=2"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder where pip has put the package, without anything of this repository."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    offline = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder / "site"), str(folder / "source")]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "site")
        patch.chdir(folder)
        offers.cache_clear()
        grammar.use(None)
        yield folder
    REGISTERED.clear()
    offers.cache_clear()
    grammar.use(None)


@pytest.fixture(scope="module")
def ran(installed, store):
    """A small run of its grid, by worker processes."""
    (installed / "results").mkdir()
    shutil.copy(store, installed / "results" / "mlflow.db")
    words = ["schedule=laplace", "network.channels=8", "network.width=16", "launcher.workers=2"]
    assert run.main(["grid=stripes", "name=tiny", *QUICK, *words]) == 0
    return installed / "results" / "tiny"


@pytest.mark.thorough
def test_nothing_is_wrong_with_what_it_offers(installed):
    assert set(offers()) == {
        ("data", "stripes"),
        ("metric", "straightness"),
        ("network", "transformer"),
        ("schedule", "laplace"),
    }
    assert {(point.dist.name, point.dist.version) for point in offers().values()} == {("ablations-stripes", "0.1.0")}


@pytest.mark.thorough
def test_its_choices_pass_the_checks_of_those_that_ship(installed, capsys):
    words = ["schedule=laplace", "network=transformer", "data=stripes", "metric=straightness"]
    assert check.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.removesuffix(" passes its checks") for line in lines] == [
        "schedule=laplace",
        "network=transformer",
        "data=stripes",
        "metric=straightness on data=stripes",
    ]


@pytest.mark.slow
def test_every_row_says_which_package_and_source_made_it(ran):
    with (ran / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["finished"] * 4
    for row in rows:
        assert row["data.origin"].startswith("ablations-stripes 0.1.0 ")
        assert (row["network.origin"] != "") is (row["network"] == "transformer")
        assert row["schedule.origin"].startswith("ablations-stripes 0.1.0 ")
        assert 0 <= float(row["straightness/samples"]) <= 1


@pytest.mark.slow
def test_its_metric_reaches_table_figures_verdict_claim_and_report(ran):
    shown = {metric["name"]: metric for metric in json.loads((ran / "grid.json").read_text())["metrics"]}
    assert shown["straightness/samples"]["label"] == "Straight"
    table = (ran / "table.md").read_text()
    assert "Straight (share) ↑" in table
    assert "attention over all patches draws straighter stripes" in table
    assert "straightness/samples" in set(analysis.read(ran).comparisons["metric"])
    page = (ran / "report.html").read_text()
    assert "For straight stripes" in page
    assert (ran / "figures" / "metrics.png").stat().st_size > 0


@pytest.mark.slow
def test_a_search_over_the_fields_of_its_schedule_by_its_study(installed, store, monkeypatch):
    monkeypatch.setattr(pages, "write_pages", lambda folder: "")
    words = ["horizon=10", "training.steps=40", "training.warmup=5", "evaluation.exact=2", "evaluation.strata=2"]
    words += ["trials=2", "confirm=2", "study.pruner=none", "evaluation.quality=[]", "launcher=serial"]
    words += ["network.channels=8", "network.multipliers=[1]", "network.attention=[]"]
    (installed / "searched").mkdir(exist_ok=True)
    shutil.copy(store, installed / "searched" / "mlflow.db")
    assert search.main(["study=laplace", "name=where", "results=searched", *words]) == 0
    head = json.loads((installed / "searched" / "where" / "grid.json").read_text())["search"]
    assert {parameter["name"] for parameter in head["parameters"]} == {"schedule.mu", "schedule.b"}
    assert head["winners"]
