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
    strict = ["-q", "-W", "--keep-going", "-d", str(tmp_path / "read"), "-c", "docs", "-D", "reports=rate"]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *strict, ".", str(site)], cwd=ROOT, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    sources = ["README.md", "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("evidence/*.md")]
    assert {(ROOT / page).relative_to(ROOT).with_suffix(".html").as_posix() for page in sources} <= pages.keys()
    loaded = {
        name: re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', text)
        for name, text in pages.items()
    }
    assert {name: found for name, found in loaded.items() if found} == {}
    assert 'id="diffusion_core.schedules.Cosine"' in pages["docs/api.html"]
    assert "ablations.run_grid" in re.sub("<[^>]*>", "", pages["docs/first_hour.html"])
    assert 'href="../../rate/report.html"' in pages["results/committed/rate/table.html"]
    assert "<svg" in pages["results/rate/report.html"] or "data:image/png" in pages["results/rate/report.html"]
