"""`python -m ablations.publish`: deliver to MLflow what results/ holds, after an outage or to another store."""

from __future__ import annotations

from pathlib import Path

from ablations.settings.arguments import parse_options
from ablations.settings.exits import exit_code
from ablations.tracking.mlflow_runs import head_in
from analysis.errors import InputError
from analysis.read.search import SEARCH

OPTIONS: dict[str, type] = {"grid": str, "results": str, "tracking.uri": str}

USAGE = """python -m ablations.publish [grid=NAME] [tracking.uri=URI] [results=results]

  Delivers every grid of results/, or one. What is there already is left alone, so it can be repeated."""


def main(arguments: list[str]) -> int:
    """Publish, and print a line per grid."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    given = parse_options(arguments, OPTIONS)
    results = Path(given.get("results", "results"))
    folders = [results / given["grid"]] if "grid" in given else folders_in(results)
    if not folders:
        raise InputError(f"{results} holds no results to publish: run a grid first")
    from ablations.stages.files import locked
    from ablations.tracking.mlflow_store import default_uri

    for folder in folders:
        head_in(folder)
    with locked(results / ".lock", wait=False):
        for folder in folders:
            print(deliver(folder, given.get("tracking.uri", default_uri(results)), results))
    return 0


def folders_in(results: Path) -> list[Path]:
    """Those that hold a grid's or a search's results."""
    heads = [path for name in ("grid.json", SEARCH) for path in results.glob(f"*/{name}")]
    return sorted({head.parent for head in heads})


def deliver(folder: Path, uri: str, results: Path) -> str:
    """Publish one grid; a line that says what was new and where it is."""
    from ablations.tracking.mlflow_store import TrackingError, open_tracker

    tracker = open_tracker(uri, folder.name, results)
    try:
        return f"{folder.name}: {tracker.publish(folder)} runs published  {tracker.summarise(folder)}"
    except TrackingError as error:
        raise InputError(str(error)) from error


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
