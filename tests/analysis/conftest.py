"""Synthetic grids whose numbers are known: 11 cells at 3 seeds, one diverged, one diverged at one seed only.

Every metric of a cell is a mean and a step: seeds 0, 1, 2 read mean − step, mean, mean + step, so their standard
deviation is the step and the 95 % half-width is 4.302653 · step / √3 = 2.484138 · step.
"""

import csv
import functools
import gc
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.stats.multitest  # noqa: F401
from PIL import Image
from rich.console import Console

from analysis import curves as curve_file
from analysis.exports import answers_json
from analysis.findings.answers import Answers
from analysis.read.runs import read_folder
from analysis.schema import CURVES, CURVES_FILE, VERSIONS
from analysis.tables import render


def axis_of(name, label, levels):
    """An axis of grid.json, its levels called by their names, or as a mapping of these says."""
    called = levels if isinstance(levels, dict) else dict(zip(levels, levels, strict=True))
    return {"name": name, "label": label, "levels": [{"name": level, "label": text} for level, text in called.items()]}


SEEDS = (0, 1, 2)
NLL, FID, IS = "nll/test", "fid/train/digits-cnn", "is/digits-cnn"
AXES = [
    axis_of("parameterization", "Target", {"mu": "μ̃", "epsilon": "ε", "x0": "x₀"}),
    axis_of(
        "loss",
        "Objective",
        {
            "vlb_learned": "L (learned diagonal Σ)",
            "vlb_fixed": "L (fixed isotropic Σ)",
            "simple": "unweighted MSE",
            "weighted": "MSE at ε-weight 1",
        },
    ),
]
LOSSES = {
    "vlb_learned": ("vlb", "learned_diagonal"),
    "vlb_fixed": ("vlb", "beta"),
    "simple": ("simple", "beta"),
    "weighted": ("weighted", "beta"),
}
# (parameterization, loss) → mean of NLL, FID, IS
MEANS = {
    ("mu", "vlb_learned"): (2.61, 48.0, 7.2),
    ("mu", "vlb_fixed"): (2.58, 41.0, 7.4),
    ("mu", "simple"): (3.9, 1234.0, 1.3),
    ("mu", "weighted"): (2.55, 25.0, 8.0),
    ("epsilon", "vlb_learned"): (2.6, 52.0, 7.1),
    ("epsilon", "vlb_fixed"): (2.5, 37.0, 7.5),
    ("epsilon", "simple"): (2.54, 20.0, 8.4),
    ("x0", "vlb_learned"): (2.62, 55.0, 7.0),
    ("x0", "vlb_fixed"): (2.59, 50.0, 7.3),
    ("x0", "simple"): (2.7, 31.0, 7.9),
    ("x0", "weighted"): (2.56, 27.0, 8.1),
}
STEPS = (0.02, 1.0, 0.1)
DIVERGED = ("mu", "simple")
PARTLY = ("x0", "vlb_learned")
# Reversed over the seeds, so that its differences to the best vary by 2 · step.
REVERSED = ("mu", "weighted")
KNOWN = {
    "": {},
    "nll/": {"decides": "likelihood", "relevant": 0.01},
    "nll/test_": {},
    "nll/test_reconstruction": {"part": "autoencoder"},
    "nll/test_entropy": {"part": "autoencoder"},
    "nll_continuous/": {"part": "diffusion"},
    "bound_variance/": {"part": "diffusion", "scale": "log"},
    "fid/": {"decides": "samples", "scale": "log", "relevant": 0.05, "least": 0.0},
    "energy_distance/": {"decides": "samples", "least": 0.0},
    "rfid/": {"part": "autoencoder", "scale": "log", "least": 0.0},
    "psnr/": {"part": "autoencoder"},
    "cost/train_": {"part": "diffusion"},
    "cost/autoencoder_": {"part": "autoencoder"},
}
"""How a name begins → what the suite writes of the metric; the longest beginning counts."""


def described(metric):
    """A metric's entry, completed by what the suite writes of it."""
    return KNOWN[max((start for start in KNOWN if metric["name"].startswith(start)), key=len)] | metric


def known(label, value):
    """A known value of a metric."""
    return {"label": label, "value": value}


def meta(**changes):
    """grid.json, its metrics described."""
    head = {
        "name": "parameterization",
        "question": "Which target is better, and does it depend on the loss?",
        "layout": "ddpm_table_2",
        "data": "digits",
        "command": "python -m ablations.run grid=parameterization",
        "seconds": 480.2,
        "seeds": list(SEEDS),
        "continued": False,
        "horizon": 100,
        "code": "0.1.0+abc123",
        "axes": AXES,
        "baseline": {"parameterization": "epsilon", "loss": "simple"},
        "metrics": [
            {"name": NLL, "label": "NLL", "unit": "bits/dim", "direction": "min", "decimals": 2},
            {"name": FID, "label": "FID", "direction": "min", "decimals": 1},
            {"name": IS, "label": "IS", "direction": "max", "decimals": 2},
        ],
        "floors": {FID: known("held-out images, n = 450", 5.12), IS: known("held-out images, n = 450", 9.31)},
        "baselines": {
            NLL: [known("uniform code", 4.0875), known("histogram", 2.97), known("histogram per pixel", 2.43)]
        },
        "extractor": "digits-cnn",
        "extractor_accuracy": 0.971,
        "quality_n": 450,
        "quality_sets": 2,
        "footnotes": ["In native form the rows differ in weight as well as in target."],
        "from_the_future": {"ignored": True},
    } | changes
    return head | {"metrics": [described(metric) for metric in head["metrics"]]}


def cell_id(levels):
    return "-".join(levels)


def row_of(cell, seed, **more):
    """A row of runs.csv, of a cell that has a training of its own."""
    return {"cell_id": cell, "training_id": cell, "seed": seed, "status": "finished", "reason": ""} | more


def run_of(cell, seed, *, finished=True, **more):
    """A row of the frame of runs, of a cell in pixels."""
    blank = dict.fromkeys({"notes", "autoencoder_id", "not_comparable", *VERSIONS}, "")
    return row_of(cell, seed, status="finished" if finished else "diverged") | blank | more


def rows():
    """runs.csv, a dict per row."""
    found = []
    for levels, means in MEANS.items():
        parameterization, loss = levels
        objective, variance = LOSSES[loss]
        for i, seed in enumerate(SEEDS):
            row = row_of(cell_id(levels), seed, training_id=f"t-{cell_id(levels)}") | {
                "axis.parameterization": parameterization,
                "axis.loss": loss,
                "data": "digits",
                "parameterization": parameterization,
                "variance": variance,
                "objective": objective,
                "objective.space": "epsilon" if objective == "weighted" else "",
                "horizon": "100",
                "training.steps": "500",
                "training.batch": "128",
            }
            if levels == DIVERGED or (levels == PARTLY and seed == 2):
                found.append(row | {"status": "diverged", "reason": "the loss was not finite at step 120"})
                continue
            sign = (1 - i) if levels == REVERSED else (i - 1)
            metrics = {name: c + sign * s for name, c, s in zip((NLL, FID, IS), means, STEPS, strict=True)}
            extra = {"nll/test_se": 0.0125, "train/network": 0.3, "cost/parameters": 212345.0}
            found.append(row | metrics | extra)
    return found


def lost_rows(status, reason):
    """The same of runs that all ended so."""
    return [
        {key: value for key, value in row.items() if "/" not in key} | {"status": status, "reason": reason}
        for row in rows()
    ]


def curves():
    """The points of curves, a tuple each."""
    t = np.arange(1, 101)
    beta = np.linspace(1e-3, 0.2, 100)
    alpha_bar = np.cumprod(1 - beta)
    vlb = 100 * beta / (2 * (1 - beta) * (1 - alpha_bar))
    kappa = {"mu": beta**2 / ((1 - beta) * (1 - alpha_bar)), "epsilon": np.ones(100), "x0": (1 - alpha_bar) / alpha_bar}
    steps = np.arange(50, 501, 50)
    for k, (levels, (nll, _, _)) in enumerate(MEANS.items()):
        weight = {"vlb": vlb, "simple": kappa[levels[0]], "weighted": np.ones(100)}[LOSSES[levels[1]][0]]
        scale = {"vlb": 3.0, "simple": float(kappa[levels[0]].mean()), "weighted": 1.0}[LOSSES[levels[1]][0]]
        for seed in SEEDS:
            noise = np.random.default_rng([k, seed])
            loss = scale * (0.2 + np.exp(-steps / 120)) * np.exp(0.05 * noise.normal(size=len(steps)))
            table = {"alpha_bar": alpha_bar, "beta": beta, "expected_weight": weight}
            if levels != DIVERGED:
                table["bound_per_t"] = nll * (1.3 + 0.1 * k) / t**1.5 * np.exp(0.05 * noise.normal(size=100))
            for name, y in table.items():
                yield from ((cell_id(levels), seed, name, int(x), f"{v:.7g}") for x, v in zip(t, y, strict=True))
            pairs = zip(steps, loss, strict=True)
            yield from ((cell_id(levels), seed, "train/network", int(x), f"{v:.7g}") for x, v in pairs)


def written(head, lines):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *lines])
    return text.getvalue()


def write_csv(path, head, lines):
    path.write_text(written(head, lines), encoding="utf-8")


def write_rows(folder, table):
    head = list(dict.fromkeys(key for row in table for key in row))
    write_csv(folder / "runs.csv", head, [[row.get(key, "") for key in head] for row in table])


def write_curves(folder, lines):
    curve_file.write_curves(folder, pd.DataFrame(list(lines), columns=list(CURVES)))


@functools.cache
def curves_bytes():
    with tempfile.TemporaryDirectory() as folder:
        write_curves(Path(folder), curves())
        return (Path(folder) / CURVES_FILE).read_bytes()


@functools.cache
def sheets():
    """8 × 4 images of 8 × 8, a pixel apart, by the name of their file."""
    found = {}
    for k, levels in enumerate(MEANS):
        for seed in SEEDS if levels != DIVERGED else ():
            pixels = np.full((37, 73), 255, np.uint8)
            images = np.random.default_rng([k, seed]).integers(0, 17, (32, 8, 8)) * 255 // 16
            for i, image in enumerate(images):
                top, left = 1 + (i // 8) * 9, 1 + (i % 8) * 9
                pixels[top : top + 8, left : left + 8] = image
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "png")
            found[f"{cell_id(levels)}-{seed}.png"] = file.getvalue()
    return found


def without_samples(folder):
    """The same folder, its sample sheets gone."""
    for path in (folder / "samples").iterdir():
        path.unlink()
    return folder


def build(folder: Path, table=None, **changes) -> Path:
    """A results folder."""
    folder.mkdir(parents=True)
    (folder / "grid.json").write_text(json.dumps(meta(**changes), ensure_ascii=False), encoding="utf-8")
    write_rows(folder, rows() if table is None else table)
    (folder / CURVES_FILE).write_bytes(curves_bytes())
    (folder / "samples").mkdir()
    for name, content in sheets().items():
        (folder / "samples" / name).write_bytes(content)
    return folder


def terminal(columns):
    """A terminal of so many columns that can show bold."""
    return Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=columns, height=50)


def pipe():
    """What `| less` or `> file` is, in a shell that says it has 60 columns."""
    return Console(file=io.StringIO(), force_terminal=False, width=60)


def answers_of(folder):
    """The answers of a results folder."""
    return Answers.of(read_folder(folder))


@functools.cache
def written_of(folder):
    """What the code of today writes of a results folder: the content of answers.json, and the rows of table.csv."""
    answers = answers_of(folder)
    table = csv.DictReader(io.StringIO(render(answers, "csv"), newline=""))
    return json.loads(json.dumps(answers_json(answers))), list(table)


@pytest.fixture(autouse=True)
def frozen():
    """What was there before a test is not searched for garbage, as statsmodels has it done in each multipletests."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def folder(tmp_path):
    """results/parameterization of a test of its own."""
    return build(tmp_path / "results" / "parameterization")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """The same, shared by tests that only read."""
    return build(tmp_path_factory.mktemp("shared") / "results" / "parameterization")
