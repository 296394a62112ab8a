"""Golden digits: what tiny trainings and cells of real size came to, by kind of machine.

One id means the same digits on machines of one kind, as long as NUMERICS stays. `golden_digits.json` holds kind of
machine → group (tiny, real) → cell → number → digits. On another kind of machine this records them:

    python -m tests.ablations.golden tiny real
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import ablations
from ablations.engine.journal import Journal
from ablations.engine.workers import perform_all
from ablations.results.csv_text import number
from ablations.stages.devices import hardware_id
from analysis.results import read_curves
from evidence.reproduced import is_measured
from tests.ablations.cells import training_of
from tests.ablations.conftest import TINY, over, result_of, rows, stages_of_cell
from tests.ablations.search.conftest import POINTS

FILE = Path(__file__).with_name("golden_digits.json")
Digits = dict[str, str]
"""Number → its digits, as a table or Python writes them."""

FLOAT32 = "training.precision=float32"
SHORT = ["training.steps=20", "training.report_every=10", "training.batch=64"]
SHORT += ["evaluation.exact=2", "evaluation.strata=2", "evaluation.quality=[]", "evaluation.rungs=0"]
SMALL = [*over(TINY, *SHORT), "schedule=linear"]
ON_POINTS = [
    *over((word for word in POINTS if word.startswith(("data", "network", "horizon", "evaluation"))), *SHORT),
    *["schedule=log_snr_linear", "training.warmup=10"],
]
TRAINED = {
    "epsilon": [*SMALL, "parameterization=epsilon", FLOAT32],
    "learned variance": over(
        SMALL, "parameterization=x0", "schedule=cosine", "objective=hybrid", "variance=learned_diagonal", FLOAT32
    ),
    "latents": [*SMALL, "space=latents", "space.f=2", "space.channels=2", "space.steps=20", FLOAT32],
    "points": [*ON_POINTS, FLOAT32],
    "points beside others": [*ON_POINTS, FLOAT32],
    # Products of attention round otherwise in bf16, by strides that a network alone leaves open.
    "attention in bf16": over(SMALL, "parameterization=x0", "network.attention=[8]", "training.precision=bf16"),
}
"""Tiny cell → the words of its command; beside others, its training shares its steps with those of two more seeds."""

REAL = {
    "learned variance": [
        *["parameterization=mu", "objective=vlb", "variance=learned_diagonal", "training.steps=200"],
        *["evaluation.strata=16", "evaluation.rungs=1", "evaluation.sets=2"],
    ],
    "latents": [
        *["space=latents", "space.f=2", "space.channels=2", "space.kl_weight=0.3", "variance=analytic_mse"],
        *["budget=flops", "training.steps=500", "evaluation.sets=4"],
    ],
    "wsd": [
        *["training.rate=wsd", "training.learning_rate=0.008", "training.batch=64", "training.warmup=100"],
        *["training.steps=1200", "training.report_every=50"],
        *["evaluation.strata=16", "evaluation.rungs=1", "evaluation.sets=2"],
    ],
}
"""Cell of a committed grid (parameterization, latent, rate) → the words of its command but what all have."""


def tiny(name: str, root: Path) -> Digits:
    """What a tiny cell comes to whose files lie in this folder."""
    words = TRAINED[name]
    if name.endswith("beside others"):
        seeds = [training_of(stages_of_cell(*words, f"first_seed={seed}")) for seed in range(3)]
        assert len({stage.shape_key("cpu") for stage in seeds}) == 1
        assert perform_all(seeds, Journal(root), "cpu") == ["finished"] * len(seeds)
    results = [result_of(stage, root) for stage in stages_of_cell(*words)]
    return {key: repr(value) for result in results for key, value in result.metrics.items() if is_measured(key)}


def real(name: str, root: Path) -> Digits:
    """The row of a cell of real size in runs.csv, but what it cost, and its rungs' curves."""
    words = [*REAL[name], "horizon=100", "seeds=1", "first_seed=100", "launcher=serial", "threads=1"]
    with contextlib.redirect_stdout(io.StringIO()):
        ablations.run(*words, f"results={root}", "name=golden")
    (row,) = rows(root / "golden")
    curves = read_curves(root / "golden")
    rungs = curves[curves["curve"].str.startswith("rung/")].itertuples()
    measured = {key: value for key, value in row.items() if key in ("cell_id", "training_id") or is_measured(key)}
    return measured | {f"{point.curve} at {number(point.x)}": number(point.y) for point in rungs}


GROUPS: dict[str, tuple[Callable[[str, Path], Digits], dict[str, list[str]]]] = {
    "tiny": (tiny, TRAINED),
    "real": (real, REAL),
}


def recorded() -> dict[str, dict[str, dict[str, Digits]]]:
    """The digits that were recorded on all kinds of machine."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def record(group: str) -> None:
    """Write this kind of machine's digits of a group into the file."""
    make, cells = GROUPS[group]
    found = {}
    for name in cells:
        with TemporaryDirectory() as folder:
            found[name] = make(name, Path(folder))
    every = recorded()
    every.setdefault(hardware_id(torch.device("cpu")), {})[group] = found
    FILE.write_text(json.dumps(every, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for asked in sys.argv[1:]:
        record(asked)
