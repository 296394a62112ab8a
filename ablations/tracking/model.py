"""A trained cell as an MLflow model: what the cell is, and its weights in a form that cannot run code.

    MLmodel                  MLflow's description: that this module loads it
    cell.json                the cell's choices, its seed, and the stages that hold what it learned
    <stage>/*.safetensors    what those stages left, of all weights the average that the cell evaluates; and the
                             weights of another network that guides its samples

`mlflow.pyfunc.load_model("runs:/…/model").predict(pd.DataFrame({"n": [16]}))` draws samples, and so does
`python -m ablations.sample model=runs:/…/model n=16`. The cell's data have to be at hand: they say what a value means.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ablations.engine.files import STAGE
from ablations.engine.journal import Journal
from ablations.settings.cell import Cell
from ablations.settings.identity import parameters
from ablations.settings.making import cell_of
from ablations.stages.artifacts import FIT, GUIDE, WEIGHTS, read_artifact, write_artifact
from ablations.stages.restore import Model, Parts, averaged_weights, load
from ablations.stages.samples import Guided, draw_samples, guide_weights, settled, with_guide
from analysis.errors import InputError
from analysis.files import read_json, write_json, write_text
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
            place = folder / stage
            place.mkdir(parents=True, exist_ok=True)
            kept = {key: value for key, value in tensors.items() if not key.startswith("learner/")}
            write_artifact(place, name, kept, **{key: value for key, value in words.items() if key != STAGE})
    guide = guide_weights(cell, journal, parts)
    if guide is not None:
        write_artifact(folder / parts.training, GUIDE, guide)
    named = {name: value for name, value in asdict(parts).items() if name in PARTS}
    write_json(folder / _CELL, {"parameters": parameters(cell), "seed": cell.seed, "parts": named})
    flavor = {"python_function": {"loader_module": "ablations.tracking.model", "data": "."}}
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    # JSON is YAML, which is what MLflow reads here.
    write_text(folder / "MLmodel", json.dumps({"flavors": flavor, "utc_time_created": made}))


def read_model(folder: Path, device: torch.device) -> tuple[Cell, Model | Guided]:
    """The cell and its trained model; InputError where the folder holds no such model."""
    content = read_json(folder / _CELL)
    if not isinstance(content, dict) or content.keys() != {"parameters", "seed", "parts"}:
        raise InputError(f"{folder} holds no model of this suite ({_CELL} is missing or damaged): give model=FOLDER")
    parts = content["parts"]
    if not isinstance(parts, dict) or parts.keys() != PARTS or not _are_ids(parts):
        raise InputError(f"{folder / _CELL} names parts that lie elsewhere, or none: {parts!r}")
    cell = cell_of(content["parameters"], content["seed"])
    evaluated = replace(cell, average=Tracked())
    data, place = cell.data.load(), folder / parts["training"]
    model = load(evaluated, data, Journal(folder), Parts(**parts), device)
    guide = read_artifact(place, GUIDE)[0] if (place / GUIDE).exists() else None
    return cell, with_guide(cell, data, model, guide)


def _are_ids(parts: dict[str, object]) -> bool:
    """True where all parts have names like stages' ids, so that none leads to another folder."""
    named = [name for name in parts.values() if name is not None]
    return all(isinstance(name, str) and re.fullmatch(r"\w+", name) for name in named)


class TrainedCell:
    """A trained cell as MLflow's python function: each row of the input asks for `n` samples of a `seed`."""

    def __init__(self, cell: Cell, model: Model | Guided) -> None:
        self.cell = cell
        self.model = model

    def predict(self, given: pd.DataFrame, params: dict[str, object] | None = None) -> NDArray[np.generic]:
        """Samples as stored values [Σ n, …], of seed 0 where a row names none; ValueError where they are not finite."""
        drawn = []
        for row in given.to_dict("records"):
            cell = replace(self.cell, seed=int(row.get("seed", 0)))
            samples = draw_samples(cell, self.model, int(row["n"]), lambda share: None)
            if samples is None:
                raise ValueError("the samples of this model are not finite: its training diverged")
            drawn.append(samples.cpu().numpy())
        return np.concatenate(drawn)


def _load_pyfunc(path: str) -> TrainedCell:
    """The entry by which MLflow loads it."""
    return TrainedCell(*read_model(Path(path), torch.device("cpu")))
