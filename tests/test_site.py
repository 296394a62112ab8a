"""The site is built of the pages that are here, without a warning, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("sphinx")


@pytest.mark.thorough
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    words = ["-q", "-W", "-d", str(tmp_path / "read"), "-c", "docs", "-D", "reports=rate", ".", str(site)]
    built = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    sources = ["README.md", "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("evidence/*.md")]
    assert {(ROOT / page).relative_to(ROOT).with_suffix(".html").as_posix() for page in sources} <= pages.keys()
    elsewhere = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>""")
    assert {name: found for name, text in pages.items() if (found := elsewhere.findall(text))} == {}
    assert 'id="diffusion_core.schedules.Cosine"' in pages["docs/api.html"]
    assert "ablations.run_grid" in re.sub("<[^>]*>", "", pages["docs/first_hour.html"])
    assert 'href="../../rate/report.html"' in pages["results/committed/rate/table.html"]
    assert "<table" in pages["results/rate/report.html"]
