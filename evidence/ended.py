"""The outcome of a command, for `evidence.reliability`: numbers in files and store but for costs, stages made again."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError, safe_open

from ablations.engine.files import CHECKPOINT, STATE


def numbers(results: Path) -> dict[str, str]:
    """All that files and store hold but for costs, and the digest of each stage's tensors, by name."""
    from analysis.curves import read_curves
    from analysis.read.runs import read_folder
    from analysis.schema import CURVES_FILE

    held = {f"{path.parent.name}/{path.name}": _without_costs(path) for path in sorted(results.glob("[!.]*/*.csv"))}
    places = [path.parent for path in results.glob(f"[!.]*/{CURVES_FILE}")]
    held |= {f"{place.name}/{CURVES_FILE}": read_curves(place).to_csv() for place in places}
    for path in sorted(results.glob(".stages/*/*.safetensors")):
        # One that a command left which was killed as it took it away is nobody's.
        if path.name not in (CHECKPOINT, STATE):
            held[f"{path.parent.name}/{path.name}"] = _digest(path)
    for folder in (path.parent for path in sorted(results.glob("*/runs.csv"))):
        with TemporaryDirectory() as place:
            stored = read_folder(downloaded(f"sqlite:///{results / 'mlflow.db'}", folder.name, Path(place)))
            same = read_folder(folder)
            for frame in ("runs", "curves"):
                alike = getattr(stored, frame).to_csv() == getattr(same, frame).to_csv()
                held[f"{folder.name}/the store's {frame}"] = "those of the folder" if alike else "others"
    for folder in (path.parent for path in results.glob("*/trials.csv")):
        held[f"{folder.name}/the store's trials"] = "\n".join(sorted(_trials(results, folder.name)))
    return held


def downloaded(uri: str, name: str, place: Path) -> Path:
    """The results folder that the newest summary run of an experiment carries, downloaded to a place."""
    from mlflow import MlflowClient

    place.mkdir(exist_ok=True)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None, "it was delivered"
    query, newest = "tags.kind = 'summary'", ["attributes.start_time DESC"]
    run, *_ = client.search_runs([experiment.experiment_id], query, order_by=newest)
    return Path(client.download_artifacts(run.info.run_id, "", str(place)))


def _trials(results: Path, name: str) -> Iterator[str]:
    """The trials of a search in the store: number, status, and metrics but for costs."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None, "it was delivered"
    for run in client.search_runs([experiment.experiment_id], "tags.kind = 'trial'"):
        metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith(("cost/", "system/"))}
        yield f"{run.data.tags['trial']} {run.info.status} {sorted(metrics.items())}"


def finished_in(results: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each finished stage's result, which tell it from another in its place."""
    files = {path.parent.name: path.stat() for path in results.glob(".stages/*/result.json")}
    return {stage: (file.st_ino, file.st_mtime_ns) for stage, file in files.items()}


def made_again(before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]], torn: set[str]) -> Iterator[str]:
    """Stages that were finished before a fault and are not, or otherwise, but for those of which a file was torn, which
    whoever reads it next finds out."""
    changed = [stage for stage, result in before.items() if now.get(stage) != result and stage not in torn]
    if changed:
        yield f"finished stages were made again: {', '.join(changed)}"


def _digest(path: Path) -> str:
    """The hash of a file's tensors, whatever it says of them."""
    digest = hashlib.sha256()
    try:
        with safe_open(path, framework="numpy") as file:
            for name in sorted(file.keys()):
                digest.update(name.encode() + file.get_tensor(name).tobytes())
    except SafetensorError as error:
        return f"unreadable: {error}"
    return digest.hexdigest()


def _without_costs(path: Path) -> str:
    """A CSV file without what its runs cost, and which code and processor made it."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    kept = [
        i
        for i, name in enumerate(head)
        if not name.startswith("cost/") and name not in ("code", "seconds", "first_result")
    ]
    return "\n".join(",".join(line[i] for i in kept) for line in [head, *lines])
