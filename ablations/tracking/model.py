"""A trained cell as a run's model in MLflow: what the cell is, and its weights in a form that cannot run code.

    cell.json                the cell's choices, its seed, and the stages that hold what it learned
    <stage>/*.safetensors    what those stages left, of all weights the average that the cell evaluates; and the
                             weights of another network that guides its samples

`python -m ablations.sample model=runs:/RUN/model n=16` draws samples. The cell's data have to be at hand: they say what
a value means.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ablations.engine.files import STAGE
from ablations.engine.journal import Journal
from ablations.settings.cell import Cell
from ablations.settings.identity import parameters
from ablations.settings.making import cell_of
from ablations.stages.artifacts import FIT, GUIDE, WEIGHTS, read_artifact, write_artifact
from ablations.stages.restore import Model, Parts, averaged_weights, load
from ablations.stages.samples import Guided, guide_weights, settled, with_guide
from ablations.tracking.store import SQLITE, mlflow, reachable
from analysis.errors import InputError
from analysis.files import read_json, write_json
from diffusion_core.averages import Tracked

_CELL = "cell.json"
PARTS = {"training", "fit", "autoencoder"}
"""The stages whose files a model holds."""


def write_model(folder: Path, cell: Cell, parts: Parts, journal: Journal) -> None:
    """Write a trained cell into a folder; InputError where its weights are missing."""
    cell = settled(cell, journal, parts)
    for stage, name in ((parts.training, WEIGHTS), (parts.autoencoder, WEIGHTS), (parts.fit, FIT)):
        if stage is not None:
            tensors, words = read_artifact(journal.folder(stage), name)
            if stage == parts.training and cell.horizon and not isinstance(cell.average, Tracked):
                # The model has this one for its average.
                own = averaged_weights(cell, journal.folder(stage))
                tensors |= {f"average/{key}": value for key, value in own.items()}
            (folder / stage).mkdir(parents=True, exist_ok=True)
            kept = {key: value for key, value in tensors.items() if not key.startswith("learner/")}
            write_artifact(folder / stage, name, kept, **{key: value for key, value in words.items() if key != STAGE})
    # A scale of 1, which tuning may have chosen, asks for no guide.
    if cell.guidance.scale != 1 and (guide := guide_weights(cell, journal, parts)) is not None:
        write_artifact(folder / parts.training, GUIDE, guide)
    named = {name: value for name, value in asdict(parts).items() if name in PARTS}
    write_json(folder / _CELL, {"parameters": parameters(cell), "seed": cell.seed, "parts": named})


def read_model(folder: Path, device: torch.device) -> tuple[Cell, Model | Guided]:
    """The cell and its trained model; InputError where the folder holds no such model."""
    content = read_json(folder / _CELL)
    if not isinstance(content, dict) or content.keys() != {"parameters", "seed", "parts"}:
        raise InputError(f"{folder} holds no model of this suite ({_CELL} is missing or damaged): give model=FOLDER")
    parts = content["parts"]
    # A name that leads to another folder would be read there.
    if parts.keys() != PARTS or not all(re.fullmatch(r"\w+", str(part)) for part in parts.values()):
        raise InputError(f"{folder / _CELL} names parts that lie elsewhere, or none: {parts!r}")
    cell = cell_of(content["parameters"], content["seed"])
    data, place = cell.data.load(), folder / parts["training"]
    model = load(replace(cell, average=Tracked()), data, Journal(folder), Parts(**parts), device)
    guide = read_artifact(place, GUIDE)[0] if (place / GUIDE).exists() else None
    return cell, with_guide(cell, data, model, guide)


def downloaded(model: str, uri: str) -> Path:
    """The folder of a model, given as a folder or as runs:/RUN/model of the store at `uri`; InputError where it is
    neither, TrackingError where the store does not have it."""
    if Path(model).is_dir():
        return Path(model)
    if not model.startswith("runs:/"):
        raise InputError(f"model={model} is no folder, and no name that MLflow gives to one: runs:/RUN/model")
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        raise InputError(f"model={model}: there is no store {uri}: give results=FOLDER or tracking.uri=URI")
    with reachable(uri):
        return Path(mlflow().artifacts.download_artifacts(artifact_uri=model, tracking_uri=uri))
