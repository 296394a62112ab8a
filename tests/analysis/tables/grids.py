"""Synthetic grids for the papers' layouts: every cell at 3 seeds reads mean − step, mean, mean + step."""

import itertools
import json

from tests.analysis.conftest import FID, IS, NLL, axis_of, build, meta, row_of, write_curves, write_rows
from tests.analysis.latent import latent

SEEDS = (0, 1, 2)
STEPS = {NLL: 0.02, FID: 1.0, IS: 0.1}
"""Metric → its step from seed to seed; of others it is 0.01."""
METRICS = [
    {"name": NLL, "label": "NLL", "unit": "bits/dim", "direction": "min", "decimals": 2},
    {"name": FID, "label": "FID", "direction": "min", "decimals": 1},
    {"name": IS, "label": "IS", "direction": "max", "decimals": 2},
    {"name": "rfid/digits-cnn", "label": "R-FID", "direction": "min", "decimals": 1},
    {"name": "psnr/test", "label": "PSNR", "unit": "dB", "direction": "max", "decimals": 1},
    {"name": "bound_variance/test", "label": "Var of the bound", "direction": "min", "decimals": 2},
    {"name": "recall/train/digits-cnn", "label": "Recall", "direction": "max", "decimals": 2},
]
BASE = {"data": "digits", "parameterization": "epsilon", "variance": "beta", "objective": "simple"}
BASE |= {"schedule": "linear", "schedule.rescale": "true", "timesteps": "uniform", "horizon": "100"}
BASE |= {"sampler": "ancestral", "sampler.skip": "0.0", "sampler.steps": "null", "evaluation.horizon": "null"}
BASE |= {"training.steps": "4000", "training.batch": "128"}


def axis(name, label, levels):
    """`levels`: name → (label, what it sets)."""
    return name, label, levels


def described_by(name, label, levels):
    """What grid.json says of such an axis."""
    return axis_of(name, label, {level: text for level, (text, _) in levels.items()})


def grid_of(folder, layout, axes, metrics=None, leave_out=(), ended=None, **changes):
    """A results folder of every combination of levels but a few, of which others `ended` without a value.

    Metric → mean, that grows with the cell's number, or a function of what the cell sets.
    """
    metrics = {NLL: 2.5, FID: 20.0, IS: 7.0} if metrics is None else metrics
    rows = []
    crossed = itertools.product(*(levels for _, _, levels in axes))
    combinations = [names for names in crossed if names not in leave_out]
    for k, names in enumerate(combinations):
        settings = dict(BASE)
        for (_, _, levels), name in zip(axes, names, strict=True):
            settings |= levels[name][1]
        status = (ended or {}).get(names, "finished")
        means = {key: mean(settings) if callable(mean) else mean + 0.1 * k for key, mean in metrics.items()}
        for seed in changes.get("seeds", SEEDS):
            known = means if status == "finished" else {}
            values = {key: f"{mean + (seed - 1) * STEPS.get(key, 0.01):.9g}" for key, mean in known.items()}
            levels = {f"axis.{name}": level for (name, _, _), level in zip(axes, names, strict=True)}
            row = row_of("-".join(names) or "cell", seed, training_id="t", status=status)
            rows.append(row | levels | settings | values)
    described = [described_by(*found) for found in axes]
    listed = [metric for metric in METRICS if metric["name"] in metrics]
    told = {"layout": layout, "axes": described, "metrics": listed, "footnotes": [], "name": layout} | changes
    folder.mkdir(parents=True)
    (folder / "grid.json").write_text(json.dumps(meta(**told), ensure_ascii=False), encoding="utf-8")
    write_rows(folder, rows)
    write_curves(folder, [])
    return folder


def same(name, label, *values):
    """An axis whose levels are the values of a parameter."""
    return axis(name, label, {value: (value, {name: value}) for value in values})


LOSS = axis(
    "loss",
    "Loss",
    {
        "simple": ("unweighted MSE", {"objective": "simple", "variance": "beta"}),
        "hybrid": ("hybrid, learned Σ", {"objective": "hybrid", "variance": "learned"}),
        "vlb": ("bound, learned Σ", {"objective": "vlb", "variance": "learned", "timesteps": "importance"}),
    },
)
SCHEDULE = same("schedule", "Schedule", "linear", "cosine")
VARIANCES = {"beta_tilde": "β̃", "beta": "β", "analytic": "analytic"}
VARIANCE = axis("variance", "σ²", {name: (label, {"variance": name}) for name, label in VARIANCES.items()})


def steps_axis(*numbers, both=True):
    """K of the sampler, and of the bound too."""
    levels = {k: (k, {"sampler.steps": k} | ({"evaluation.horizon": k} if both else {})) for k in numbers}
    return axis("steps", "Number of steps K", levels)


def improved(folder, layout="improved_ddpm_2", **changes):
    """Schedule × loss."""
    return grid_of(folder, layout, [SCHEDULE, LOSS], **changes)


def analytic(folder, both=True, **changes):
    """Schedule × variance × steps."""
    steps = steps_axis("5", "10", "50", "100", both=both)
    return grid_of(folder, "analytic_dpm", [SCHEDULE, VARIANCE, steps], **changes)


def vdm(folder, **changes):
    """T × T of evaluation, of a learned schedule under the bound."""
    trained = {t: (t, {"horizon": t, "objective": "vlb", "schedule": "learned"}) for t in ("10", "100")}
    trained["inf"] = ("∞", {"horizon": "100", "objective": "vlb_continuous", "schedule": "learned"})
    evaluated = {t: (t, {"evaluation.horizon": t}) for t in ("10", "100")}
    axes = [axis("horizon", "T in training", trained), axis("evaluation", "T in evaluation", evaluated)]
    return grid_of(folder, "vdm", axes, leave_out=[("10", "100")], **changes)


def vdm_schedules(folder, **changes):
    """Schedules, with the variance of the bound's estimate."""
    metrics = {NLL: 2.5, "bound_variance/test": 1.5}
    axes = [same("schedule", "Schedule", "linear", "cosine", "log_snr_linear", "learned")]
    return grid_of(folder, "vdm", axes, metrics, **changes)


def ldm(folder, **changes):
    """f of an autoencoder with KL."""
    kl = {"space": "latents", "space.regularization": "kl", "space.kl_weight": "1e-06"}
    channels = {"2": "2", "4": "3", "8": "4"}
    levels = {f"f{f}": (f"f = {f}", kl | {"space.f": f, "space.channels": c}) for f, c in channels.items()}
    metrics = {"rfid/digits-cnn": 3.0, "psnr/test": 24.0, FID: 20.0, NLL: 2.5}
    return grid_of(folder, "ldm", [axis("f", "Autoencoder", levels)], metrics, **changes)


ALL = {
    "general": lambda folder, **changes: improved(folder, "general", **changes),
    "ddpm_table_1": lambda folder, **changes: build(folder, layout="ddpm_table_1", **changes),
    "ddpm_table_2": build,
    "improved_ddpm_1": lambda folder, **changes: improved(folder, "improved_ddpm_1", **changes),
    "improved_ddpm_2": improved,
    "vdm": vdm,
    "vdm_schedules": vdm_schedules,
    "ldm": ldm,
    "latent": latent,
    "analytic_dpm": analytic,
}
