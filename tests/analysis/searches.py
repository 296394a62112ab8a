"""Synthetic searches, as their writer would leave them: of one objective, of a joint space, of two objectives,
and of objectives of which more is better.

Their values are those of smooth functions with a known best, and noise of a fixed seed.
"""

import contextlib
import csv
import json
import math

import numpy as np
import pandas as pd

from analysis.curves import read_curves
from analysis.schema import CURVES, CURVES_FILE
from tests.analysis.conftest import axis_of, build, described, row_of, write_curves, write_rows

NLL_VAL, FID_VAL = "nll/val", "fid/val/digits-cnn"
NLL_OBJECTIVE = {"name": NLL_VAL, "label": "NLL", "direction": "min", "unit": "bits/dim", "decimals": 2}
FID_OBJECTIVE = {"name": FID_VAL, "label": "FID", "direction": "min", "unit": None, "decimals": 1}
PRECISION_VAL = "precision/val/digits-cnn"
PRECISION_OBJECTIVE = {"name": PRECISION_VAL, "label": "Precision", "direction": "max", "unit": None, "decimals": 2}
QUESTION, COMMAND = "Which β_1 and β_T suit the linear schedule?", "python -m ablations.search study=schedule"
FULL = 1000
RUNGS = (125, 250, 375, 500, 625, 750, 875, 1000)


def ranging(name, label, low, high, *, kind="float", **more):
    return {"name": name, "label": label, "kind": kind, "low": low, "high": high} | more


BETAS = (
    ranging("schedule.beta_1", "β_1", 1e-6, 1e-3, log=True),
    ranging("schedule.beta_T", "β_T", 0.005, 0.1, log=True),
)
PAPERS = {"schedule.beta_1": "0.0001", "schedule.beta_T": "0.02"}
DEFAULT = {"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02}
"""The parameters of a trial of the default."""


def head(parameters, objectives=(NLL_OBJECTIVE,), **changes):
    """What grid.json says of a search."""
    told = {"name": "search-schedule", "study": "schedule", "question": QUESTION, "data": "digits", "horizon": 100}
    told |= {"objectives": [described(objective) for objective in objectives], "parameters": list(parameters)}
    told |= {"sampler": "tpe", "seeds": [0], "command": COMMAND, "code": "0.1.0+abc", "seconds": 812.3}
    return told | {"from_the_future": 1} | changes


def trial(number, params, values=None, status="finished", steps=FULL, **changes):
    """A trial's row of runs.csv; `values` are of finished trials only."""
    row = row_of(f"c{number}", 0, training_id="", status=status, trial=number)
    own = {f"param.{k}": v for k, v in params.items()} | {"data": "digits"} | changes
    return row | own | {"cost/steps": steps, "cost/seconds": 20.5} | ((values if status == "finished" else {}) or {})


def winner(level, label, row, parameters, objectives=(NLL_OBJECTIVE,)):
    """An entry of `winners`."""
    params = {p["name"]: str(v) for p in parameters if (v := row.get(f"param.{p['name']}", "")) != ""}
    values = {objective["name"]: row[objective["name"]] for objective in objectives}
    return {"level": level, "label": label, "trial": row["trial"], "params": params, "values": values}


def few(folder, *outcomes, objectives=(NLL_OBJECTIVE,), **changes):
    """A search of these trials, the first at the default and the others near it: a value of the first
    objective, one of each, or how it ended."""
    trials = []
    for i, outcome in enumerate(outcomes):
        params = DEFAULT if i == 0 else {"schedule.beta_1": 0.0002123, "schedule.beta_T": 0.03 + i / 1000}
        if isinstance(outcome, str):
            trials.append(trial(i, params, status=outcome, reason="boom"))
        else:
            each = outcome if isinstance(outcome, tuple) else (outcome,)
            trials.append(trial(i, params, {of["name"]: value for of, value in zip(objectives, each, strict=True)}))
    won = changes.pop("winner_of", None)
    winners = [] if won is None else [winner("found", "found by search", trials[won], BETAS, objectives)]
    return write_search(folder, head(BETAS, objectives, default=PAPERS, winners=winners, **changes), trials)


def write_search(folder, description, trials, rungs=()):
    """The files of a search in a folder, beside a grid's where there is one; `rungs` are (trial, seed, step, value)."""
    folder.mkdir(parents=True, exist_ok=True)
    path, objectives = folder / "grid.json", [objective["name"] for objective in description["objectives"]]
    alone = {"layout": "general", "axes": [], "metrics": [], "seeds": [], "cells": {}}
    shared = {key: description[key] for key in ("name", "question", "data")}
    head = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {**shared, **alone}
    cells = [row for row in rows_in(folder / "runs.csv") if not row.get("trial")]
    named = {row["cell_id"]: {key[5:]: row[key] for key in row if key.startswith("axis.")} for row in cells}
    head |= {"search": description, "cells": head.get("cells") or named}
    path.write_text(json.dumps(head, ensure_ascii=False), encoding="utf-8")
    columns = [*(f"param.{p['name']}" for p in description["parameters"]), *objectives]
    write_rows(folder, [*(row | {name: row.get(name, "") for name in columns} for row in trials), *cells])
    there = read_curves(folder) if (folder / CURVES_FILE).exists() else pd.DataFrame(columns=CURVES)
    kept = [row for row in there.itertuples(index=False) if not row.curve.startswith("rung/")]
    points = [(f"c{number}", seed, f"rung/{objectives[0]}", step, value) for number, seed, step, value in rungs]
    write_curves(folder, [*kept, *points])
    return folder


def rows_in(path):
    """The rows of a CSV file; none where there is no such file."""
    with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
    return []


def nll_of(beta_1, beta_t, noise):
    """Best near β_1 = 2e-4 and β_T = 0.03."""
    bowl = 0.03 * (math.log10(beta_1) + 3.7) ** 2 + 0.5 * (math.log10(beta_t) + 1.52) ** 2
    return 2.31 + bowl + 0.01 * noise


def one_objective(folder, n=40):
    """Two ranges with a pruner: the default first, then half at random, then near the best; one failed, one far off."""
    noise, trials, rungs = np.random.default_rng(7), [], []
    for number in range(n):
        wide = number < n // 3
        mean = noise.uniform((-6, -2.3), (-3, -1)) if wide else noise.normal((-3.7, -1.52), (0.5, 0.18))
        beta_1, beta_t = (1e-4, 0.02) if number == 0 else 10 ** np.clip(mean, (-6, -2.3), (-3, -1))
        params = {"schedule.beta_1": beta_1, "schedule.beta_T": beta_t}
        last = nll_of(beta_1, beta_t, noise.normal()) + (6.0 if number == 9 else 0.0)
        if number == 12:
            reason = "the loss was not finite at step 120"
            trials.append(trial(number, params, status="failed", reason=reason, steps=120))
            continue
        bad = last > 2.36 and number > 8 and number != 9
        seen = RUNGS[: 2 + number % 3] if bad else RUNGS
        rungs += [(number, 0, step, last + 1.5 * (math.exp(-step / 180) - math.exp(-FULL / 180))) for step in seen]
        status = "pruned" if bad else "finished"
        trials.append(trial(number, params, {NLL_VAL: last}, status, steps=seen[-1]))
    best = min((row for row in trials if row["status"] == "finished"), key=lambda row: row[NLL_VAL])
    description = head(
        BETAS,
        pruner="median",
        default=PAPERS,
        winners=[winner("found", "found by search", best, BETAS)],
        importance_ranges={NLL_VAL: {"schedule.beta_T": [0.2, 0.7], "schedule.beta_1": [0.3, 0.8]}},
        importance_trials=sum(row["status"] == "finished" for row in trials),
        trained_steps=sum(row["cost/steps"] for row in trials),
        full_steps=FULL * n,
    )
    return write_search(folder, description, trials, rungs)


JOINT = (
    {"name": "schedule", "label": "schedule", "kind": "choice", "choices": ["linear", "cosine", "sigmoid"]},
    *(beta | {"when": {"schedule": ["linear"]}} for beta in BETAS),
    ranging("schedule.s", "s", 0.001, 0.05, log=True, when={"schedule": ["cosine"]}),
    ranging("schedule.start", "start", -6.0, -1.0, when={"schedule": ["sigmoid"]}),
    ranging("training.batch", "batch", 32, 256, log=True, kind="int"),
)


def joint(folder, n=60):
    """Three schedules, each with parameters of its own, and one that all have."""
    noise, trials = np.random.default_rng(3), []
    for number in range(n):
        share = (0.4, 0.3, 0.3) if number < n // 2 else (0.7, 0.1, 0.2)
        kind = "linear" if number == 0 else str(noise.choice(["linear", "cosine", "sigmoid"], p=share))
        batch = 128 if number == 0 else round(2 ** noise.uniform(5, 8))
        params = {"schedule": kind, "training.batch": batch}
        value = 0.01 * noise.normal() - 0.02 * math.log2(batch / 64)
        if kind == "linear":
            beta_1, beta_t = (1e-4, 0.02) if number == 0 else 10 ** noise.uniform((-6, -2.3), (-3, -1))
            params |= {"schedule.beta_1": beta_1, "schedule.beta_T": beta_t}
            value += nll_of(beta_1, beta_t, 0.0)
        elif kind == "cosine":
            s = 10 ** noise.uniform(-3, -1.3)
            params["schedule.s"] = s
            value += 2.42 + 0.05 * (math.log10(s) + 2) ** 2
        else:
            start = noise.uniform(-6, -1)
            params["schedule.start"] = start
            value += 2.38 + 0.02 * (start + 3) ** 2
        trials.append(trial(number, params, {NLL_VAL: value}))
    best = min(trials, key=lambda row: row[NLL_VAL])
    description = head(
        JOINT,
        question="Which schedule, with which parameters?",
        default={"schedule": "linear", **PAPERS, "training.batch": "128"},
        winners=[winner("found", "found by search", best, JOINT)],
        importance_ranges={NLL_VAL: {"schedule": [0.6, 0.9], "training.batch": [0.1, 0.4]}},
        importance_trials=n,
    )
    return write_search(folder, description, trials)


WEIGHTS = (
    ranging("objective.power", "power of SNR", -1.0, 1.0),
    ranging("training.lr", "learning rate", 1e-4, 1e-2, log=True),
    ranging("network.channels", "channels", 16, 64, kind="int"),
)


def two_objectives(folder, n=45):
    """NLL and FID pull apart along the first parameter."""
    both, noise, trials = (NLL_OBJECTIVE, FID_OBJECTIVE), np.random.default_rng(11), []
    for number in range(n):
        drawn = (noise.uniform(-1, 1), 10 ** noise.uniform(-4, -2), int(noise.integers(16, 65)))
        power, lr, channels = (0.0, 1e-3, 32) if number == 0 else drawn
        off = (math.log10(lr) + 2.8) ** 2 + 0.004 * (64 - channels)
        values = {
            NLL_VAL: 2.0 + 0.2 * (power - 0.7) ** 2 + 0.2 * off + 0.01 * noise.normal(),
            FID_VAL: 10 + 12 * (power + 0.6) ** 2 + 9 * off + 0.4 * noise.normal() + (300 if number == 17 else 0),
        }
        params = {"objective.power": power, "training.lr": lr, "network.channels": channels}
        trials.append(trial(number, params, values))
    low = [min(trials, key=lambda row: row[name]) for name in (NLL_VAL, FID_VAL)]
    scales = [abs(low[0][name] - low[1][name]) or 1.0 for name in (NLL_VAL, FID_VAL)]
    middle = min(trials, key=lambda row: row[NLL_VAL] / scales[0] + row[FID_VAL] / scales[1])
    named = [("best_nll", "best NLL", low[0]), ("best_fid", "best FID", low[1]), ("between", "between", middle)]
    description = head(
        WEIGHTS,
        both,
        question="Which weight and learning rate for likelihood, and which for samples?",
        default={"objective.power": "0.0", "training.lr": "0.001", "network.channels": "32"},
        winners=[winner(*names, row, WEIGHTS, both) for *names, row in named],
        importance_ranges={
            NLL_VAL: {"objective.power": [0.4, 0.6], "training.lr": [0.3, 0.5], "network.channels": [0.05, 0.2]},
            FID_VAL: {"objective.power": [0.5, 0.7], "training.lr": [0.2, 0.4], "network.channels": [0.0, 0.1]},
        },
        importance_trials=n,
    )
    return write_search(folder, description, trials)


def climbing(folder, n=30, also=()):
    """Precision, of which more is better, best near β_1 = 2e-4 and β_T = 0.03 and once far below the rest; and `also`
    NLL, which is best where β_T is smaller, and once far above the rest."""
    objectives, noise, trials = (*also, PRECISION_OBJECTIVE), np.random.default_rng(5), []
    for number in range(n):
        drawn = 10 ** noise.uniform((-6, -2.3), (-3, -1))
        beta_1, beta_t = (1e-4, 0.02) if number == 0 else drawn
        bowl = nll_of(beta_1, beta_t, noise.normal()) - 2.31
        nll = nll_of(beta_1, 3 * beta_t, 0.0) + (6.0 if number == 11 else 0.0)
        values = {PRECISION_VAL: 0.05 if number == 7 else 0.8 - bowl, NLL_VAL: nll}
        trials.append(trial(number, {"schedule.beta_1": beta_1, "schedule.beta_T": beta_t}, values))
    trials.append(trial(n, PAPERS | {"schedule.beta_T": "0.05"}, status="failed", reason="the loss was not finite"))
    best = max(trials[:n], key=lambda row: row[PRECISION_VAL])
    won = [winner("found" if not also else "best_precision", "best precision", best, BETAS, objectives)]
    return write_search(folder, head(BETAS, objectives, default=PAPERS, winners=won), trials)


def two_directions(folder):
    """Less NLL and more precision pull apart along β_T."""
    return climbing(folder, also=(NLL_OBJECTIVE,))


FRESH = {"default": (2.40, 2.42, 2.41), "found": (2.32, 2.36, 2.31)}
"""Level → nll/val at the confirmation's seeds 1, 2, 3; nll/test is 0.05 more."""


def confirmation(folder, values=None, levels=(("found", "found by search"),), metric=NLL_VAL):
    """grid.json, runs.csv and curves of the grid that runs winners and default anew."""
    table = []
    for level, of_seeds in (values or FRESH).items():
        for seed, value in enumerate(of_seeds, 1):
            row = row_of(level, seed, training_id=f"t-{level}")
            row |= {"axis.choice": level, "data": "digits", "training.steps": "1000", "training.batch": "128"}
            table.append(row | {metric: value, "nll/test": value + 0.05})
    told = {"name": folder.name, "question": QUESTION, "layout": "general", "seeds": [1, 2, 3], "command": COMMAND}
    told |= {"axes": [axis_of("choice", "choice", {"default": "default"} | dict(levels))]}
    told |= {"baseline": {"choice": "default"}, "metrics": [NLL_OBJECTIVE | {"name": "nll/test"}]}
    return build(folder, table, floors={}, baselines={}, footnotes=[], **told)
