"""The pages of MLflow's UI that links to a grid and a search open, as the UI's state: charts and their metrics.

A grid has two. One charts the means of its cells; the other has a dot for each seed, by cell, and the samples, which
MLflow shows for single runs only. MLflow's bars begin at 0, and so do the linear axes of means, which hides the
differences in a likelihood: so only a metric whose least value is 0 has bars, and others have axes that fit their
values.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection
from typing import Any

from ablations.tracking.mlflow_images import SAMPLES
from analysis.schema import SEARCH

VIEW = "mlflow.sharedViewState."
"""The beginning of the experiment's tags that hold views."""
MEANS, SEEDS = "grid", "seeds"
"""The names of a grid's views in links."""
View = dict[str, Any]
UNSMOOTHED = {"lineSmoothness": 0}
"""The setting by which MLflow draws a line through its points, of a page and of a chart."""
LOSS, BOUND = "train/network", "nll/val"
"""The curves that every grid may have: the loss, and the bound at its rungs."""


def text_of(view: View) -> str:
    """A view in the form in which the UI stores it: its JSON is longer than a tag may be."""
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(view).encode(), 9)).decode()


def view_in(head: dict[str, Any], rungs: Collection[str] = (), last: int = 0) -> dict[str, View]:
    """The views of a folder by its grid.json, with that of its search where it has one; `rungs` are the metrics that
    were scored during its trainings, and `last` is the step whose samples the page shows first."""
    return view(head, rungs, last) if head.get("cells") or SEARCH not in head else view_of_search(head[SEARCH])


def view_of_search(head: dict[str, Any]) -> dict[str, View]:
    """A search's view: parameters and objectives of the trials as parallel coordinates, and each objective against each
    parameter."""
    objectives = [objective["name"] for objective in head["objectives"]]
    searched = [parameter["name"] for parameter in head["parameters"]]
    against = [
        _scatter(_axis(name, "PARAM"), _axis(objective), f"{objective} against {name}")
        for objective in objectives
        for name in searched
    ]
    return {MEANS: _page("search", [_parallel(objectives, searched), *against])}


def view(head: dict[str, Any], rungs: Collection[str] = (), last: int = 0) -> dict[str, View]:
    """A grid's views: the means of its cells, and each seed."""
    names = [metric["name"] for metric in head["metrics"]]
    grouped = {"groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "cell"}]}}
    dots = [_scatter(_axis(name), _axis("cell", "PARAM"), f"{name} by cell") for name in names]
    # Else every choice of a run is listed above its image.
    samples = _chart("IMAGE", SAMPLES) | {"imageKeys": [SAMPLES], "step": last, "showRunParams": False}
    shown = grouped | {"useGroupedValuesInCharts": False, "searchFilter": "tags.kind = 'cell'"}
    return {
        MEANS: grouped | {"useGroupedValuesInCharts": True} | _page(head["name"], _of_means(head, names, rungs)),
        SEEDS: shown | _page(head["name"], [samples, *dots], columns=2, cardHeight=480),
    }


def _of_means(head: dict[str, Any], names: list[str], rungs: Collection[str]) -> list[dict[str, Any]]:
    deciding = [metric["name"] for metric in head["metrics"] if metric.get("decides")]
    # At a rung there is no likelihood of test data yet, and MLflow shows an empty chart of it.
    charted = deciding if not (head.get("round") or {}).get("rung") else []
    both = [_scatter(_axis(charted[0]), _axis(charted[1]), " and ".join(charted[:2]))] if charted[1:] else []
    curves = [BOUND] if head.get("rungs") or BOUND in rungs else []
    curves += [name for name in names if name in rungs and name not in curves]
    bars = [metric["name"] for metric in head["metrics"] if metric.get("least") == 0 and metric["name"] not in curves]
    return [
        *([_parallel(names, [])] if names[1:] else []),
        *both,
        *(_line(name) for name in curves),
        *(_chart("BAR", name) for name in bars),
        _line(LOSS),
    ]


def _line(metric: str) -> dict[str, Any]:
    """A curve through its true values, which the page's own control still smooths. Without a number MLflow smooths it
    by 70 of 100, and its end is none of the values."""
    return _chart("LINE", metric) | {"scaleType": "log", "useGlobalLineSmoothing": True, **UNSMOOTHED}


def _parallel(metrics: list[str], parameters: list[str]) -> dict[str, Any]:
    return _chart("PARALLEL", metrics[0]) | {
        "selectedParams": parameters,
        "selectedMetrics": metrics,
        "showAllRuns": False,
        "displayName": "",
    }


def _scatter(x: dict[str, str], y: dict[str, str], name: str) -> dict[str, Any]:
    return _chart("SCATTER", f"{x['key']}-{y['key']}") | {"xaxis": x, "yaxis": y, "displayName": name}


def _axis(key: str, kind: str = "METRIC") -> dict[str, str]:
    return {"key": key, "type": kind}


def _page(name: str, charts: list[dict[str, Any]], **size: int) -> View:
    """A page of charts, three in a row and 360 pixels high where no `size` is given."""
    section = {"uuid": "grid", "name": name, "display": True, "isReordered": False, "deleted": False} | size
    return {
        "compareRunCharts": charts,
        "compareRunSections": [section | {"isGenerated": False}],
        "isAccordionReordered": True,
        "globalLineChartConfig": {"xAxisKey": "step", "selectedXAxisMetricKey": "", **UNSMOOTHED},
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
    }


def _chart(kind: str, metric: str) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{kind}-{metric}",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "metricSectionId": "grid",
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
        "displayName": metric,
    }
