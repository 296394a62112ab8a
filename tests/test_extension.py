"""The example of a package of one's own, installed and run as its author would: checks and a grid."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import analysis
from ablations.driver import run
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


@pytest.mark.slow
def test_its_metric_and_origins_reach_rows_table_verdict_and_report(ran):
    found = analysis.read(ran)
    assert set(found.runs["status"]) == {"finished"}
    assert found.runs["data.origin"].str.startswith("ablations-stripes 0.1.0 ").all()
    assert found.runs["straightness/samples"].between(0, 1).all()
    assert "straightness/samples" in set(found.comparisons["metric"])
    table = (ran / "table.md").read_text()
    assert "Straight (share) ↑" in table
    assert "attention over all patches draws straighter stripes" in table
    assert "For straight stripes" in (ran / "report.html").read_text()
