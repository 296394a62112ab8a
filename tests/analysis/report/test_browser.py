"""The report in a headless browser."""

import pytest

from tests.analysis.report.browser import CHROMIUM, DRIVER, Browser, dom
from tests.analysis.report.pages import Page


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_reads_the_verdict(text, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    seen = Page(dom(file, tmp_path / "profile"))
    assert seen.texts("p", **{"class": "take"})[0].startswith("For likelihood take ε · L (fixed isotropic Σ)")


@pytest.mark.thorough
@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_on_a_phone_parts_unfold_tables_sort_and_nothing_is_too_wide(text, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(text, encoding="utf-8")
    with Browser(tmp_path / "profile") as browser:
        browser.open(file.as_uri())
        assert browser.run("return window.innerWidth") == 360
        assert browser.run("return document.scrollingElement.scrollWidth") <= 360
        for name in ("cost", "provenance"):
            browser.run(f"window.scrollTo(0, 0); location.hash = '{name}'")
            assert browser.run(f"return document.getElementById('{name}').parentElement.open"), (
                "a link unfolds its part"
            )
            inside = f"const y = document.getElementById('{name}').getBoundingClientRect().top; "
            assert browser.wait(inside + "return scrollY > 0 && y >= -1 && y < innerHeight")
        size = "e => parseFloat(getComputedStyle(e).fontSize)"
        sizes = browser.run(f"return [...document.querySelectorAll('p, li, td, th')].map({size})")
        assert min(sizes) >= 12
        assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
        loaded = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
        assert all(name.startswith("data:") for name in loaded)
        browser.run("window.scrollTo(0, 0)")
        means = (
            "return [...document.querySelector('#table tbody').querySelectorAll('tr:not([hidden]) td:nth-of-type(1)')]"
            ".map(e => parseFloat(e.textContent)).filter(x => !isNaN(x))"
        )
        before = browser.run(means)
        browser.run("document.querySelectorAll('#table .sort')[1].click()")
        assert browser.run(means) == sorted(before)
        browser.run("document.querySelectorAll('#table .sort')[1].click()")
        assert browser.run(means) == sorted(before, reverse=True)
        browser.run(
            "const box = document.querySelector('#table input[type=search]'); box.value = 'fixed isotropic'; "
            "box.dispatchEvent(new Event('input'))"
        )
        assert len(browser.run(means)) < len(before)
        browser.run("document.querySelector('#table .columns input').click()")
        assert browser.run("return document.querySelector('#table tbody td').hidden")
        browser.run("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
        assert browser.run("return window.ran === undefined"), "the policy lets no other script run"
        browser.click(".card img")
        assert browser.run("return document.images[0].clientWidth") > 600
        assert browser.run("return document.scrollingElement.scrollWidth") <= 360
