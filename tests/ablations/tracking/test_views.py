"""The pages of MLflow's UI that links open: what they chart, on which axes, and what a browser shows of them."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from ablations.tracking.tracker import Tracker
from ablations.tracking.views import MEANS, SAMPLES, SEEDS, tags_of, view_in
from tests.ablations.tracking.test_tracker import told
from tests.analysis.folders import FID
from tests.analysis.report.browser import CHROMIUM, DRIVER, Browser
from tests.mlflow_server import mlflow_server

NLL = {"name": "nll/test", "decides": "likelihood", "scale": "linear"}
QUALITY = {"name": FID, "decides": "samples", "scale": "log", "least": 0.0}
HEAD = {"name": "tiny", "seeds": [7, 8], "metrics": [NLL, QUALITY, {"name": "is/digits-cnn", "least": 1.0}], "rungs": 2}


def charts(view, kind):
    return [chart for chart in view["compareRunCharts"] if chart["type"] == kind]


def test_bars_are_of_metrics_that_begin_at_zero_alone_and_metrics_at_rungs_are_lines():
    assert [bar["metricKey"] for bar in charts(view_in(HEAD)[MEANS], "BAR")] == [FID]
    alone = view_in(HEAD | {"metrics": [NLL]})[MEANS]
    assert [bar["metricKey"] for bar in charts(alone, "BAR")] == ["nll/test"], "else nothing would show it"
    lines = charts(view_in(HEAD, {"nll/val", FID})[MEANS], "LINE")
    assert [line["metricKey"] for line in lines] == ["nll/val", FID, "train/network"]


@pytest.mark.parametrize("name", [MEANS, SEEDS])
def test_both_views_of_metrics_are_grouped_by_cell(name):
    view = view_in(HEAD)[name]
    assert view["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "cell"}]
    assert view["useGroupedValuesInCharts"] == (name == MEANS)


def test_images_are_of_the_single_runs_of_one_seed_at_their_end():
    """MLflow shows no images of means, ten at once at most, and none where its slider stands at a step without any."""
    view = view_in(HEAD, last=500)[SAMPLES]
    assert [image["step"] for image in charts(view, "IMAGE")] == [500]
    assert (view["groupBy"], view["searchFilter"]) == (None, "tags.kind = 'cell' and tags.seed = '7'")


def test_a_view_is_kept_as_the_page_itself_does():
    views = view_in(HEAD)
    kind, packed = tags_of(views)["mlflow.sharedViewState.grid"].split(";")
    assert (kind, json.loads(zlib.decompress(base64.b64decode(packed)))) == ("deflate", views[MEANS])


TEXT = "return document.body.innerText"
DRAWN = "return document.querySelectorAll('.js-plotly-plot .main-svg, [data-testid*=chart] canvas').length"
IMAGES = "return [...document.querySelectorAll('img')].filter(e => e.naturalWidth > 100).length"


@pytest.mark.thorough
@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver")
def test_a_browser_shows_charts_of_cells_then_dots_of_seeds_and_samples_side_by_side(tmp_path):
    folder = told(tmp_path)
    with mlflow_server(tmp_path) as address, Browser(tmp_path / "profile", phone=False) as browser:
        tracker = Tracker(address, "tiny", tmp_path / ".artifacts")
        assert tracker.publish(folder) == 2
        link = tracker.summarise(folder)
        browser.open(link)
        assert browser.wait(f"{DRAWN} > 2", 60)
        parts = ("Which?", "Group: μ", "Group: ε", "nll/val", "train/network")
        assert [part for part in parts if part not in browser.run(TEXT)] == []
        browser.open(link.replace("ShareKey=grid", "ShareKey=seeds"))
        assert browser.wait(f"{DRAWN} > 0", 60)
        assert "nll/test vs. cell" in browser.run(TEXT)
        browser.open(link.replace("ShareKey=grid", "ShareKey=samples"))
        assert browser.wait(f"{IMAGES} == 2", 60), "both cells side by side"
