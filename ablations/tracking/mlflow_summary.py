"""The summary run of an MLflow experiment: all of a results folder that is no cell's own, as tables, figures, report.

The newest one counts, for every command: one that several deliver at once is made anew by whoever lost its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablations.tracking.mlflow_stored import anew, is_gone
from analysis.format.files import whole_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

SUMMARY = "tags.kind = 'summary'"
FOLDERS = ("figures", "strips", "reconstructions")
"""Those of a results folder that it carries."""


def delivered(client: MlflowClient, experiment: str, folder: Path, tags: dict[str, str]) -> str:
    """The id of a new summary run, with these tags, of a results folder: in the place of all earlier ones."""
    made: list[str] = []

    def deliver() -> str:
        run = client.create_run(experiment, tags=tags, run_name="summary")
        made.append(run.info.run_id)
        for path in sorted(folder.iterdir()):
            if path.is_file() or path.name in FOLDERS:
                for file in whole_files(path):
                    place = file.relative_to(folder).parent
                    client.log_artifact(made[-1], str(file), None if place == Path() else place.as_posix())
        client.set_terminated(made[-1], "FINISHED")
        # Not the later ones: of two that are delivered at once one stays, and the same for both.
        for other in client.search_runs([experiment], SUMMARY):
            if (other.info.start_time, other.info.run_id) < (run.info.start_time, made[-1]):
                client.delete_run(other.info.run_id)
        return made[-1]

    return anew(deliver, lambda: bool(made) and is_gone(client, made[-1]))
