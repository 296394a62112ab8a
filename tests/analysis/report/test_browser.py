"""The report in a headless browser."""

import pytest

from analysis import figures
from tests.analysis.report.browser import CHROMIUM, DRIVER, Browser
from tests.analysis.report.folders import build
from tests.analysis.report.pages import page_of

MEANS = (
    "return [...document.querySelectorAll('#table tbody tr:not([hidden]) td:nth-child(3)')]"
    ".map(e => parseFloat(e.textContent)).filter(x => !isNaN(x))"
)


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_on_a_phone_tables_sort_filter_and_fold_and_nothing_is_too_wide_or_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"metrics": "rows"})
    known = {"nll/test": [{"label": "uniform code", "value": 1.0}, {"label": "histogram", "value": 4.0}]}
    page_of(build(tmp_path / "targets", baselines=known), drawn=True)
    with Browser(tmp_path / "profile") as browser:
        browser.open((tmp_path / "targets" / "report.html").as_uri())
        assert browser.run("return [window.innerWidth, document.scrollingElement.scrollWidth]") == [360, 360]
        browser.run("location.hash = 'legend'")
        assert browser.wait("return document.getElementById('legend').clientHeight > 100"), "it unfolds"
        loaded = "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:'))"
        assert browser.run(f"return {loaded}") == []

        assert browser.run(MEANS) == [2.50, 2.40, 2.70, 2.60, 1.0, 4.0]
        browser.click("#table th:nth-child(3) .sort")
        assert browser.run(MEANS) == [2.40, 2.50, 2.60, 2.70, 1.0, 4.0], "known values stay below"
        browser.click("#table th:nth-child(3) .sort")
        assert browser.run(MEANS) == [2.70, 2.60, 2.50, 2.40, 4.0, 1.0]
        box = "const box = document.querySelector('#table input[type=search]'); box.value = 'μ̃'; "
        browser.run(f"{box}box.dispatchEvent(new Event('input'))")
        assert browser.run(MEANS) == [2.70, 2.60]
        browser.click("#table .tools summary")
        browser.click("#table .tools label:nth-of-type(2) input")
        heads = browser.run("return [...document.querySelectorAll('#table th:not([hidden])')].map(e => e.textContent)")
        assert [head.strip() for head in heads] == ["Target", "Loss", "FID ↓"]
