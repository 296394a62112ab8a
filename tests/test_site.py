"""The site is built of the pages that are here, without a warning, loads nothing from elsewhere, and finds docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis.report.browser import CHROMIUM, DRIVER, Browser

ROOT = Path(__file__).parents[1]
pytest.importorskip("sphinx")
pytestmark = pytest.mark.thorough
DONE = "return !document.querySelector('#search-progress')?.textContent && !!document.querySelector('.search-summary')"
FIRST = "return document.querySelector('ul.search a')?.getAttribute('href')"
FOUND = {
    "resume": "docs/running.html",
    "Ctrl-C": "docs/running.html",
    "wandb": "docs/running.html",
    "LaTeX": "docs/running.html",
    "MLflow": "docs/running.html#mlflow",
    "FID": "docs/numbers.html#fid",
    "GPU": "docs/gpu.html#gpu",
    "SLURM": "docs/scale.html",
    "diffusers": "docs/checkpoints.html#to-diffusers",
    "plugin": "docs/extending.html",
}
"""What people type, and what the search gives first."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = ["-q", "-W", "-d", str(folder / "read"), "-c", "docs", "-D", "reports=rate", ".", str(folder / "site")]
    built = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "site"


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site):
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    sources = ["README.md", "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("evidence/*.md")]
    assert {(ROOT / page).relative_to(ROOT).with_suffix(".html").as_posix() for page in sources} <= pages.keys()
    elsewhere = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>""")
    assert {name: found for name, text in pages.items() if (found := elsewhere.findall(text))} == {}
    assert 'id="diffusion_core.schedules.Cosine"' in pages["docs/api.html"]
    assert "ablations.run(" in re.sub("<[^>]*>", "", pages["docs/first_hour.html"])
    assert 'href="../../rate/report.html"' in pages["results/committed/rate/table.html"]
    assert "<table" in pages["results/rate/report.html"]
    assert '<iframe src="results/rate/report.html"' in pages["index.html"]


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_the_search_finds_what_people_type_on_a_page_of_docs_first(site, tmp_path):
    with Browser(tmp_path) as browser:
        first = {}
        for words in FOUND:
            browser.open(f"{(site / 'search.html').as_uri()}?q={words}")
            assert browser.wait(DONE, 30), words
            first[words] = browser.run(FIRST)
    assert first == FOUND
