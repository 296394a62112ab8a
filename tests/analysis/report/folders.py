"""A grid of two targets × two losses at three seeds, and a search of two parameters, made by hand."""

import json

import pandas as pd
from PIL import Image

from tests.analysis.folders import FID, METRICS, NLL, axis_of, make_folder

MEANS = {
    ("epsilon", "mse"): (2.50, 20.0, (-1, 0, 1)),
    ("epsilon", "bound"): (2.40, 40.0, (1, -1, 0)),
    ("mu", "mse"): (2.70, 24.0, (0, 1, -1)),
    ("mu", "bound"): (2.60, 60.0, (1, 0, -1)),
}
"""Levels → means of NLL and FID, and the steps of 0.01 and 0.3 by which seeds 0, 1, 2 lie off them."""
SAME = {"cost/train_seconds": 60, "training.steps": "500", "training.batch": "64"}
CELLS = {
    levels: [{NLL: nll + 0.01 * step, FID: fid + 0.3 * step} | SAME for step in steps]
    for levels, (nll, fid, steps) in MEANS.items()
}
LEVELS = {"target": {"epsilon": "ε", "mu": "μ̃"}, "loss": {"mse": "MSE", "bound": "L"}}


def build(folder, cells=CELLS, **meta):
    """The results folder of the grid, or of other cells of it."""
    told = {"name": "targets", "question": "Which target is better, mu or epsilon?", "shape": [1, 8, 8]}
    told |= {"axes": [axis_of(name, name.capitalize(), levels) for name, levels in LEVELS.items()]}
    told |= {"cells": {"-".join(cell): dict(zip(LEVELS, cell, strict=True)) for cell in cells}}
    told |= {
        "baseline": {"target": "epsilon", "loss": "mse"},
        "command": "python -m ablations.run grid=targets seeds=3",
    }
    make_folder(folder, cells, metrics=(NLL, FID), **told | meta)
    (folder / "samples").mkdir()
    for name in ("epsilon-mse-0", "held-out"):
        Image.new("L", (37, 73), 128).save(folder / "samples" / f"{name}.png")
    return folder


PARAMETERS = [
    {"name": "schedule.beta_1", "label": "β_1", "kind": "float", "log": True},
    {"name": "schedule", "label": "schedule", "kind": "choice"},
]
TRIALS = {
    "param.schedule.beta_1": [1e-4, 2e-4, 9.9e-4, 5e-5],
    "param.schedule": ["linear", "cosine", "cosine", "linear"],
    "nll/val": [2.40, 2.31, 2.35, None],
    "status": ["finished", "finished", "finished", "pruned"],
}
OBJECTIVE = METRICS[NLL] | {"name": "nll/val"}


def search(folder, trials=None, **changes):
    """The results folder of the search, which has confirmed nothing; its last trial was pruned."""
    head = {"name": "search-s", "question": "Which β_1?", "data": "digits", "objectives": [OBJECTIVE]}
    head |= {"parameters": PARAMETERS, "sampler": "tpe", "seeds": [0], "pruner": "median"}
    head |= {"default": {"schedule.beta_1": "0.0001", "schedule": "linear"}, "trained_steps": 350, "full_steps": 400}
    head |= {"winners": [{"level": "found", "label": "found by search", "trial": 1, "values": {"nll/val": 2.31}}]}
    head |= {"importances": {"nll/val": {"schedule": 0.75, "schedule.beta_1": 0.25}}}
    folder.mkdir(parents=True)
    (folder / "grid.json").write_text(json.dumps({"search": head | changes}), encoding="utf-8")
    rows = pd.DataFrame(TRIALS | (trials or {})).assign(cell_id="c", reason="")
    rows.to_csv(folder / "trials.csv", index_label="trial")
    return folder


def confirmation(folder, **changes):
    """The results folder of the grid that confirms it: the default and the winner at seeds 1, 2, 3."""
    searched = json.loads((search(folder, **changes) / "grid.json").read_text(encoding="utf-8"))
    values = {"default": (2.40, 2.42, 2.41), "found": (2.32, 2.36, 2.31)}
    cells = {at: {i + 1: {"nll/val": x, NLL: x + 0.05} for i, x in enumerate(of)} for at, of in values.items()}
    choices = {at: {"choice": at} for at in values}
    searched |= {"axes": [axis_of("choice", "Choice", list(values))], "cells": choices, "baseline": choices["default"]}
    return make_folder(folder, cells, **searched)
