"""The pages of MLflow's UI that links to a grid and a search open, as their state: which charts of which metrics."""

from __future__ import annotations

from typing import Any

from analysis.format.names import SEARCH

VIEW = "mlflow.sharedViewState.grid"
"""The experiment's tag that holds it."""


def view_in(head: dict[str, Any]) -> dict[str, Any]:
    """The state of the UI's page for the folder of a grid.json: that of its search where it has one."""
    return view_of_search(head[SEARCH]) if SEARCH in head else view(head)


def view_of_search(head: dict[str, Any]) -> dict[str, Any]:
    """The state of the UI's page: the trials' parameters and objectives as parallel coordinates, and each objective
    against each parameter, run by run."""
    objectives = [objective["name"] for objective in head["objectives"]]
    searched = [parameter["name"] for parameter in head["parameters"]]
    parallel = _chart("PARALLEL", objectives[0]) | {
        "selectedParams": searched,
        "selectedMetrics": objectives,
        "showAllRuns": False,
        "displayName": "",
    }
    against = [_scatter(name, objective) for objective in objectives for name in searched]
    return _page("search", [parallel, *against])


def _scatter(parameter: str, metric: str) -> dict[str, Any]:
    return _chart("SCATTER", f"{parameter}-{metric}") | {
        "xaxis": {"key": parameter, "type": "PARAM"},
        "yaxis": {"key": metric, "type": "METRIC"},
        "displayName": f"{metric} against {parameter}",
    }


def view(head: dict[str, Any]) -> dict[str, Any]:
    """The state of the UI's page: the grid's metrics as bars and the training curves, grouped by cell."""
    bars = [_chart("BAR", metric["name"]) for metric in head["metrics"]]
    charts = [*bars, _chart("LINE", "train/network") | {"scaleType": "log"}]
    grouped = {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "cell"}]}
    return {"groupBy": grouped, "useGroupedValuesInCharts": True} | _page(head["name"], charts)


def _page(name: str, charts: list[dict[str, Any]]) -> dict[str, Any]:
    section = {"uuid": "grid", "name": name, "display": True, "isReordered": False, "deleted": False}
    return {
        "compareRunCharts": charts,
        "compareRunSections": [section | {"isGenerated": False}],
        "isAccordionReordered": True,
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
