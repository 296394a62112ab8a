"""The summary run of an MLflow experiment: everything in a results folder that belongs to no single cell, as tables,
figures and report.

The newest one counts. A command whose summary was deleted, because several delivered at once, makes it anew. Its
description is that of the experiment: the question, and the answers on the folder's pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.tracking.mlflow_origin import source_of, user_of
from ablations.tracking.mlflow_stored import anew, is_gone
from analysis import read
from analysis.errors import InputError
from analysis.files import whole_files
from analysis.labels import in_markdown
from analysis.words import answers

if TYPE_CHECKING:
    from mlflow import MlflowClient

SUMMARY = "tags.kind = 'summary'"
FOLDERS = ("figures", "strips", "reconstructions")
"""The subfolders of a results folder that it carries."""

NOTE = "mlflow.note.content"
"""The tag with the description of an experiment or a run, in Markdown."""
ANSWERED = "answered"
"""The tag of an experiment with the question that its description answers; "" where that is from a preliminary
round."""


def description(question: str, said: Sequence[str], links: Mapping[str, str]) -> str:
    """The question in bold, the answers as a list, and links with their texts."""
    to = " · ".join(f"[{name}]({link})" for name, link in links.items())
    parts = [f"**{_shown(question)}**", "\n".join(f"- {_shown(line)}" for line in said), to]
    return "\n\n".join(part for part in parts if part)


def _shown(text: str) -> str:
    """Text of a folder, which may be anybody's, with its HTML escaped: MLflow would show its pictures and frames."""
    return in_markdown(text).replace("\\<", "&lt;")


def described(there: Mapping[str, str], note: str, question: str, *, answered: bool) -> dict[str, str]:
    """The tags that describe an experiment, given those that it has: an answer to its question stays until there is
    another."""
    kind = {"mlflow.experimentKind": "custom_model_development"}
    # A search asks what its confirmation's question begins with.
    if not answered and there.get(ANSWERED, "").startswith(question):
        return kind
    return kind | {NOTE: note, ANSWERED: question if answered else ""}


def said_in(folder: Path) -> list[str]:
    """The answers of a results folder, a sentence for each metric; none where it cannot be read: the files are there to
    be looked at."""
    try:
        return answers(read(folder))
    except InputError:
        return []


def origin(head: Mapping[str, Any]) -> dict[str, str]:
    """The tags of the origin of a folder's pages, by its grid.json."""
    command = str(head.get("command") or "").removeprefix("python -m ")
    return source_of(command.partition(" ")[0] or "ablations.run", str(head.get("code") or "")) | user_of({})


def delivered(client: MlflowClient, experiment: str, folder: Path, tags: Mapping[str, str]) -> str:
    """The id of a new summary run, with these tags, of a results folder; all earlier ones are deleted."""
    made: list[str] = []

    def deliver() -> str:
        run = client.create_run(experiment, tags=dict(tags), run_name="summary")
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
