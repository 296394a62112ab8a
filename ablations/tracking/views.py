"""The pages of MLflow's UI that links to a grid and a search open: charts and their metrics, as the UI keeps them.

This is the one module that knows what MLflow does not document: the state of its page, as JSON in tags of an experiment
(github.com/mlflow/mlflow, RunsChartsCardConfig). A grid has three pages: the means of its cells, a dot for each seed by
cell, and the samples of its first seed side by side, of which MLflow shows ten. MLflow's bars begin at 0, which hides
the differences in a likelihood: of several metrics only those whose least value is 0 have bars, others have dots.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from typing import Any

from analysis.schema import SEARCH

MEANS, SEEDS, SAMPLES = "grid", "seeds", "samples"
View = dict[str, Any]
UNSMOOTHED = {"lineSmoothness": 0}
"""Lines go through their points: by default MLflow smooths them, so that a curve ends at none of its values."""
LOSS, BOUND = "train/network", "nll/val"
"""The curves that every grid may have: the loss, and the bound at its rungs."""


def tags_of(views: Mapping[str, View]) -> dict[str, str]:
    """The tags of an experiment that hold its views, packed as the page does, since a tag is short; and by which the
    page opens on runs."""
    kept = {
        name: base64.b64encode(zlib.compress(json.dumps(view).encode(), 9)).decode() for name, view in views.items()
    }
    tags = {f"mlflow.sharedViewState.{name}": f"deflate;{text}" for name, text in kept.items()}
    return tags | {"mlflow.experimentKind": "custom_model_development"}


def view_in(head: Mapping[str, Any], lines: Collection[str] = (), last: int = 0) -> dict[str, View]:
    """The views of a folder by its grid.json: of a search alone, or of a grid. `lines` are the metrics that were scored
    during its trainings, and `last` is the step whose samples the page shows first."""
    if not head.get("cells") and SEARCH in head:
        return view_of_search(head[SEARCH])
    names = [metric["name"] for metric in head["metrics"]]
    grouped = {"groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "cell"}]}}
    dots = [_scatter(name, ("cell", "PARAM"), f"{name} by cell") for name in names]
    # Else every choice of a run is listed above its image.
    samples = _chart("IMAGE", "samples") | {"imageKeys": ["samples"], "step": last, "showRunParams": False}
    single = grouped | {"useGroupedValuesInCharts": False, "searchFilter": "tags.kind = 'cell'"}
    first = {"groupBy": None, "searchFilter": f"tags.kind = 'cell' and tags.seed = '{head['seeds'][0]}'"}
    return {
        MEANS: grouped | {"useGroupedValuesInCharts": True} | _page(head["name"], _of_means(head, names, lines)),
        SEEDS: single | _page(head["name"], dots, columns=2, cardHeight=480),
        SAMPLES: single | first | _page(head["name"], [samples], columns=1, cardHeight=900),
    }


def view_of_search(search: Mapping[str, Any]) -> dict[str, View]:
    """A search's view: parameters and objectives of the trials as parallel coordinates, and each objective against each
    parameter."""
    objectives = [objective["name"] for objective in search["objectives"]]
    searched = [parameter["name"] for parameter in search["parameters"]]
    against = [_scatter((name, "PARAM"), to, f"{to} against {name}") for to in objectives for name in searched]
    return {MEANS: _page("search", [_parallel(objectives, searched), *against])}


def _of_means(head: Mapping[str, Any], names: list[str], lines: Collection[str]) -> list[View]:
    deciding = [metric["name"] for metric in head["metrics"] if metric.get("decides")][:2]
    curves = [BOUND] if head.get("rungs") or BOUND in lines else []
    curves += [name for name in names if name in lines and name not in curves]
    bars = [metric["name"] for metric in head["metrics"] if metric.get("least") == 0 and metric["name"] not in curves]
    logarithmic = {"scaleType": "log", "useGlobalLineSmoothing": True, **UNSMOOTHED}
    return [
        *([_parallel(names, [])] if names[1:] else []),
        *([_scatter(deciding[0], deciding[1], " and ".join(deciding))] if deciding[1:] else []),
        *(_chart("LINE", name) | logarithmic for name in curves),
        *(_chart("BAR", name) for name in (bars if names[1:] else names)),
        _chart("LINE", LOSS) | logarithmic,
    ]


def _parallel(metrics: list[str], parameters: list[str]) -> View:
    shown = {"selectedParams": parameters, "selectedMetrics": metrics, "showAllRuns": False, "displayName": ""}
    return _chart("PARALLEL", metrics[0]) | shown


def _scatter(x: str | tuple[str, str], y: str | tuple[str, str], name: str) -> View:
    """A dot for each run or group; an axis is a metric, or a (parameter, "PARAM")."""
    axes = [
        dict(zip(("key", "type"), (axis, "METRIC") if isinstance(axis, str) else axis, strict=True)) for axis in (x, y)
    ]
    return _chart("SCATTER", name) | {"xaxis": axes[0], "yaxis": axes[1]}


def _page(name: str, charts: list[View], **size: int) -> View:
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


def _chart(kind: str, name: str) -> View:
    chart: View = {"type": kind, "uuid": f"{kind}-{name}", "metricSectionId": "grid", "displayName": name}
    chart |= {"metricKey": name, "selectedMetricKeys": [name], "runsCountToCompare": 100}
    return chart | {"deleted": False, "isGenerated": False}
