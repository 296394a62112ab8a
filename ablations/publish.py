"""`python -m ablations.publish`: deliver to MLflow what results/ holds, after an outage or to another store."""

from __future__ import annotations

from pathlib import Path

from ablations import config
from ablations.commands import exit_code
from analysis.errors import InputError

OPTIONS: dict[str, type] = {"grid": str, "results": str, "tracking.uri": str}

USAGE = """python -m ablations.publish [grid=NAME] [tracking.uri=URI] [results=results]

  Delivers every grid of results/, or one. What is there already is left alone, so it can be repeated."""


def main(arguments: list[str]) -> int:
    """Publish, and print a line per grid."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    given = config.parse_options(arguments, OPTIONS)
    results = Path(given.get("results", "results"))
    folders = [results / given["grid"]] if "grid" in given else [p.parent for p in sorted(results.glob("*/grid.json"))]
    if not folders:
        raise InputError(f"{results} holds no results to publish: run a grid first")
    from ablations.run import default_uri, open_tracker
    from ablations.tracking import TrackingError

    for folder in folders:
        tracker = open_tracker(given.get("tracking.uri", default_uri(results)), folder.name, results)
        try:
            count = tracker.publish(folder)
            print(f"{folder.name}: {count} runs published  {tracker.summarise(folder)}")
        except TrackingError as error:
            raise InputError(str(error)) from error
    return 0


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
