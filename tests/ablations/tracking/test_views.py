"""The pages of MLflow's UI that links open: what they chart, and on which axes."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from ablations.tracking.mlflow_views import MEANS, SEEDS, text_of, view_in

NLL = {"name": "nll/test", "decides": "likelihood", "scale": "linear"}
FID = {"name": "fid/train/digits-cnn", "decides": "samples", "scale": "log", "least": 0.0}
HEAD = {"name": "tiny", "metrics": [NLL, FID, {"name": "is/digits-cnn", "least": 1.0}], "rungs": 2}


def charts(view, kind):
    return [chart for chart in view["compareRunCharts"] if chart["type"] == kind]


def test_bars_are_of_metrics_that_begin_at_zero_alone():
    bars = charts(view_in(HEAD)[MEANS], "BAR")
    assert [bar["metricKey"] for bar in bars] == [FID["name"]]


def test_metrics_at_rungs_are_lines_over_training():
    lines = charts(view_in(HEAD, {"nll/val", FID["name"]})[MEANS], "LINE")
    assert [line["metricKey"] for line in lines] == ["nll/val", FID["name"], "train/network"]
    assert charts(view_in(HEAD | {"rungs": 0})[MEANS], "LINE")[0]["metricKey"] == "train/network"


def smoothness(chart, page):
    """The smoothness of a line as the page's `useLineChartConfig` takes it, where 70 stands for none."""
    own = chart.get("lineSmoothness", 70)
    return page.get("lineSmoothness", own) if chart.get("useGlobalLineSmoothing") else own


@pytest.mark.parametrize("key", ["globalLineChartConfig", "of a page that has none"])
def test_lines_go_through_their_points(key):
    """By MLflow's default a curve ends at an average of its last points."""
    view = view_in(HEAD, {"nll/val"})[MEANS]
    lines = charts(view, "LINE")
    assert [smoothness(line, view.get(key, {})) for line in lines] == [0] * len(lines) != []


def test_at_a_rung_no_chart_is_of_a_likelihood_that_is_taken_at_the_end():
    of = {"preliminary": True}
    shown = [charts(view_in(HEAD | {"round": of | {"rung": rung}})[MEANS], "SCATTER") for rung in (True, False)]
    assert [len(charts) for charts in shown] == [0, 1]


@pytest.mark.parametrize("name", [MEANS, SEEDS])
def test_both_views_are_grouped_by_cell_and_images_are_of_single_runs(name):
    """MLflow shows no images of means."""
    view = view_in(HEAD)[name]
    assert view["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "cell"}]
    assert bool(charts(view, "IMAGE")) == (not view["useGroupedValuesInCharts"]) == (name == SEEDS)


def test_a_view_is_kept_as_the_page_itself_does():
    view = view_in(HEAD)[MEANS]
    kind, packed = text_of(view).split(";")
    assert (kind, json.loads(zlib.decompress(base64.b64decode(packed)))) == ("deflate", view)


def test_samples_are_shown_as_they_are_at_the_end():
    """The page shows none where its slider stands at a step without any."""
    (samples,) = charts(view_in(HEAD, last=500)[SEEDS], "IMAGE")
    assert (samples["imageKeys"], samples["step"]) == (["samples"], 500)
