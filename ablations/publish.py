"""`python -m ablations.publish`: deliver the content of results/ to MLflow, after an outage or to another store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from ablations.settings.request import check_results
from analysis.errors import InputError
from analysis.folders import folders_in, search_alone
from analysis.options import Option, folder_name, run
from analysis.plain import line

PURPOSE = "Deliver the grids of a results folder to MLflow. What is there already is left alone, so it can be repeated."
OPTIONS = {
    "grid": Option("a grid's or a search's folder in results/, by default every one"),
    "tracking.uri": Option("the tracking store, by default sqlite:///RESULTS/mlflow.db"),
    "results": Option("the results folder", "results"),
}


def main(arguments: list[str]) -> int:
    """The command; its exit code, which is 1 where folders were left out."""
    left: list[Path] = []
    code = run("ablations.publish", PURPOSE, OPTIONS, lambda given: left.extend(publish(given)), arguments)
    return code or int(bool(left))


def publish(given: dict[str, Any]) -> list[Path]:
    """Publish, and print a line per grid; the folders among several that cannot be read."""
    results = Path(given["results"])
    folders = [folder for folder in folders_in(results) if folder.parent == results]
    folders = [results / folder_name("grid", given["grid"])] if given["grid"] else folders
    if not folders:
        raise InputError(f"{results} holds no results to publish: run a grid first")
    check_results(folders[0].parent)
    from ablations.engine.folder_lock import FolderLock
    from ablations.tracking.mlflow_client import TrackingError
    from ablations.tracking.mlflow_runs import head_in
    from ablations.tracking.uris import default_uri

    if given["grid"]:
        head_in(folders[0])
    uri, left = given["tracking.uri"] or default_uri(results), []
    for folder in folders:
        try:
            _check(folder)
            with FolderLock(folder).held():
                print(deliver(folder, uri, results))
        except InputError as error:
            # A store that does not answer takes none of the others either.
            if len(folders) == 1 or isinstance(error.__cause__, TrackingError):
                raise
            print(f"error: {line(str(error))}", file=sys.stderr)
            left.append(folder)
    return left


def _check(folder: Path) -> None:
    """InputError where the description of a results folder cannot be read; its tables are read when they are
    delivered."""
    from analysis.grid_json import parse_meta
    from analysis.read.search import read_search

    head = folder / "grid.json"
    read_search(folder) if search_alone(folder) else parse_meta(head.read_bytes(), str(head))


def deliver(folder: Path, uri: str, results: Path) -> str:
    """Publish one grid; a line that says what was new and where it is. A report whose links change by that is written
    anew."""
    from ablations.driver.pages import write_pages
    from ablations.tracking.mlflow_client import TrackingError
    from ablations.tracking.mlflow_store import open_tracker

    tracker = open_tracker(uri, folder.name, results)
    before = _links(folder)
    try:
        new = tracker.publish(folder)
        if before != _links(folder) and (folder / "report.html").exists():
            write_pages(folder)
        return f"{folder.name}: {new} runs published  {tracker.summarise(folder).link}"
    except TrackingError as error:
        raise InputError(str(error)) from error


def _links(folder: Path) -> bytes:
    """The links of a results folder to its runs in the store, as its report has them."""
    place = folder / "tracking.json"
    return place.read_bytes() if place.exists() else b""


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
