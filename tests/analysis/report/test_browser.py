"""The report in a headless browser."""

import json

import pytest
from PIL import Image

from analysis import figures
from analysis.report import page
from tests.analysis.report.browser import CHROMIUM, DRIVER, Browser
from tests.analysis.report.folders import build
from tests.analysis.report.pages import page_of

MEANS = (
    "return [...document.querySelectorAll('#table tbody tr:not([hidden]) td:nth-child(3)')]"
    ".map(e => parseFloat(e.textContent)).filter(x => !isNaN(x))"
)


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_on_a_phone_tables_sort_and_filter_and_nothing_is_too_wide_or_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"metrics": "values"})
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


LINES = [
    {"names": ["ε"], "color": "#0173b2", "dashes": [], "kind": "band", "seeds": ["7", "8"], "x": [0, 50, 100]},
    {"names": ["x₀</script>"], "color": "#d55e00", "dashes": [4, 2], "kind": "points", "seeds": ["7"], "x": [100]},
]
LINES[0]["y"], LINES[1]["y"] = [[3.0, 2.0, 1.0], [3.2, None, 1.2]], [[2.5]]
CELLS = [{"names": ["ε", name], "text": f"ε · {name}: 2.5 ± 0.1; cost: 3"} for name in ("L", "MSE")]
COST = LINES[0] | {"kind": "points", "seeds": ["0"], "x": [1, 3], "y": [[2.0, 2.5]], "points": CELLS}
PANELS = [{"title": "", "x": "step", "y": "loss", "log": [False, log], "lines": LINES} for log in (False, True)]
AT = "const at = document.querySelector('svg[role=img]'), r = at.getBoundingClientRect(); "
MOVE = (
    "at.dispatchEvent(new PointerEvent('pointer{}', "
    "{{pointerType: 'mouse', clientX: r.left + {}, clientY: r.top + {}}})); "
)
DRAWN = "return [...document.querySelectorAll('svg svg')].map(e => e.childElementCount)"


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_lines_tell_their_seeds_hide_by_name_and_zoom_and_without_a_script_are_a_picture(tmp_path):
    Image.new("RGB", (90, 60)).save(tmp_path / "training.png")
    (tmp_path / "training.json").write_text(json.dumps(PANELS), encoding="utf-8")
    block = page.figure(tmp_path / "training.png", "The loss.")
    assert block.count("<img") == 1
    assert block.count("</script>") == 1
    html = page.render("Which?", [], [], (), [page.Part("curves", "Curves", [block], opened=True)])
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    with Browser(tmp_path / "profile", phone=False) as browser:
        browser.open((tmp_path / "report.html").as_uri())
        assert browser.run("return document.querySelectorAll('#curves img').length") == 0
        assert browser.run(DRAWN) == [3, 3], "a band with its mean, and a dot, in each panel"
        told = "return document.querySelector('.told').textContent"
        browser.run(f"{AT}const k = r.width / 380; " + MOVE.format("move", "66 * k", "r.height * 0.2"))
        assert browser.run(told) == "ε, seed 7: 3 at 0"
        browser.click(".names button:nth-child(2)")
        assert browser.run(DRAWN) == [2, 2]
        ticks = "return [...document.querySelector('svg[role=img]').querySelectorAll('text')].map(e => e.textContent)"
        every = browser.run(ticks)
        drag = MOVE.format("down", 120, 30) + MOVE.format("up", 200, 90)
        browser.run(AT + drag)
        assert browser.run(ticks) != every
        browser.run(AT + "at.dispatchEvent(new MouseEvent('dblclick'))")
        assert browser.run(ticks) == every


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_a_point_tells_its_cell_and_goes_with_any_of_its_levels(tmp_path):
    Image.new("RGB", (90, 60)).save(tmp_path / "cost.png")
    lines = [LINES[0] | {"names": ["MSE"]}, COST]
    panel = {"title": "", "x": "cost", "y": "NLL", "log": [False, False], "lines": lines}
    (tmp_path / "cost.json").write_text(json.dumps([panel]), encoding="utf-8")
    html = page.render(
        "Which?", [], [], (), [page.Part("c", "C", [page.figure(tmp_path / "cost.png", "Cost.")], "", True)]
    )
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    with Browser(tmp_path / "profile", phone=False) as browser:
        browser.open((tmp_path / "report.html").as_uri())
        dot = "const c = [...document.querySelectorAll('svg svg circle')].at(-1).getBoundingClientRect(); "
        browser.run(f"{AT}{dot}" + MOVE.format("move", "c.left + 3 - r.left", "c.top + 3 - r.top"))
        assert browser.run("return document.querySelector('.told').textContent") == CELLS[1]["text"]
        browser.click(".names button:nth-child(1)")
        assert browser.run("return document.querySelectorAll('svg svg circle').length") == 1, "ε · L is left"


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_a_slider_shows_samples_over_steps_and_paper_the_still_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"samples": "pictures"})
    folder = build(tmp_path / "targets")
    assert page_of(folder, drawn=True).all("script", type="application/json") == []
    for step, grey in ((100, 10), (300, 30)):
        Image.new("L", (37, 73), grey).save(folder / "samples" / f"epsilon-mse-0-at-{step}.png")
    page_of(folder, drawn=True)
    state = """const all = css => [...document.querySelectorAll('#samples ' + css)].map(e => e.textContent);
        const shown = css => getComputedStyle(document.querySelector('#samples ' + css)).display !== 'none';
        return [all('output')[0], all('.sheets > div'), shown('.still'), shown('.sheets')]"""
    with Browser(tmp_path / "profile") as browser:
        browser.open((folder / "report.html").as_uri())
        browser.run("document.querySelector('#samples').parentElement.open = true")
        assert browser.run(state) == ["step 500", ["held-out", "ε · MSEstep 500"], False, True]
        (slider,) = browser._ask("POST", "/element", {"using": "css selector", "value": ".over input"}).values()
        browser._ask("POST", f"/element/{slider}/value", {"text": "\ue012"})  # the left arrow key
        assert browser.run(state)[:2] == ["step 300", ["held-out", "ε · MSEstep 300"]]
        assert browser.run("return document.scrollingElement.scrollWidth") == 360
        media = {"cmd": "Emulation.setEmulatedMedia", "params": {"media": "print"}}
        browser._ask("POST", "/chromium/send_command_and_get_result", media)
        assert browser.run(state)[2:] == [True, False]
