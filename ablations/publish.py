"""`python -m ablations.publish`: deliver the content of results/ to MLflow, after an outage or to another store."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ablations.settings.request import check_results
from analysis.errors import InputError
from analysis.shell import Option, exit_code, folder_name, run

PURPOSE = "Deliver the grids and searches of a results folder to MLflow. What is there already is left alone."
OPTIONS = {
    "grid": Option("a grid's or a search's folder in results/, by default every one"),
    "tracking.uri": Option("the tracking store, by default sqlite:///RESULTS/mlflow.db"),
    "results": Option("the results folder", "results"),
}


def publish(given: dict[str, Any]) -> None:
    """Deliver folder after folder, with a line for each. A report whose links change by that is drawn anew."""
    results = Path(given["results"])
    every = sorted(path.parent for path in results.glob("[!.]*/grid.json"))
    folders = [results / folder_name("grid", given["grid"])] if given["grid"] else every
    if not folders:
        raise InputError(f"{results} holds no results to publish: run a grid first")
    check_results(folders[0].parent)
    from ablations.engine.journal import results_lock
    from ablations.tracking.runs import head_in
    from ablations.tracking.store import TrackingError
    from ablations.tracking.tracker import open_tracker
    from analysis import pages
    from analysis.files import read_json

    for folder in folders:
        head_in(folder)
        tracker = open_tracker(given["tracking.uri"], folder.name, results)
        with results_lock(folder):
            try:
                before, new = read_json(folder / "tracking.json"), tracker.publish(folder)
                if before != read_json(folder / "tracking.json") and (folder / "report.html").exists():
                    pages.write_pages(folder)
                print(f"{folder.name}: {new} runs published  {tracker.summarise(folder)}")
            except TrackingError as error:
                raise InputError(str(error)) from error


main = partial(run, "ablations.publish", PURPOSE, OPTIONS, publish)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
