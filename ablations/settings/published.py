"""What the folder of a published network says of its chain, as settings of a cell: target, schedule, T, σ², classes.

They are suggestions, which give way to what is set anywhere; `overridden` says where that was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any

from analysis.errors import InputError
from diffusion_core.networks.files import code_of, files_at

TARGETS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}
VARIANCES = {
    "fixed_small": {"variance": "beta_tilde"},
    "fixed_small_log": {"variance": "beta_tilde"},
    "fixed_large": {"variance": "beta"},
    "fixed_large_log": {"variance": "beta"},
    "learned_range": {"variance": "learned", "objective": "hybrid"},
}
KEPT = "_schedule"
"""The key of a scheduler's config, which diffusers leaves alone, for the settings of a schedule of ours, and the digest
of the β_t that they stand for (`ablations/driver/diffusers_folder.py`)."""
T = 1000
"""The steps of a scheduler that does not say them, and of a network without one."""


def published_settings(path: str) -> dict[str, Any]:
    """The settings that a published network suggests; InputError where its files cannot be read, or its chain is one
    that no choices here make."""
    try:
        files = files_at(path)
        chain = {} if files.scheduler is None else chain_of(files.scheduler)
        labels = labels_of(files.config or {})
    except ValueError as error:
        raise InputError(str(error)) from error
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"a config of network.path={path} has a value of a wrong kind ({error})") from error
    code = {"space": "latents", "space.path": path, **code_settings(path)} if files.latents else {}
    return {"network.digest": files.digest, "network.horizon": chain.get("horizon", T), **chain, **labels, **code}


def code_settings(path: str) -> dict[str, Any]:
    """The fields of `space=latents` that a published autoencoder suggests; InputError where its files cannot be
    read."""
    try:
        files = files_at(path, "space")
        return {"space.digest": files.digest} | {f"space.{key}": v for key, v in code_of(files.config or {}).items()}
    except ValueError as error:
        raise InputError(str(error)) from error


def chain_of(scheduler: dict[str, Any]) -> dict[str, Any]:
    """Target, schedule, T, σ² and clipping of a scheduler's config; ValueError for what no choice here can say."""
    says = f"the scheduler {scheduler.get('_class_name', '')} of network.path has".replace("  ", " ")
    target = TARGETS.get(scheduler.get("prediction_type", "epsilon"))
    if target is None:
        raise ValueError(f"{says} prediction_type={scheduler['prediction_type']}: it must be {', '.join(TARGETS)}")
    kind = scheduler.get("variance_type") or "fixed_small"
    if kind not in VARIANCES:
        raise ValueError(f"{says} variance_type={kind}: it must be {', '.join(VARIANCES)}")
    if scheduler.get("thresholding"):
        raise ValueError(f"{says} thresholding=true, which no sampler here does: set it to false")
    horizon = scheduler.get("num_train_timesteps", T)
    settings = {"parameterization": target, "horizon": horizon, **VARIANCES[kind], **schedule_of(scheduler, says)}
    return settings | {"evaluation.clip": bool(scheduler.get("clip_sample", False))}


def schedule_of(scheduler: dict[str, Any], says: str) -> dict[str, Any]:
    """The schedule of a scheduler's config: β_t, or √β_t, linear in t, the capped cosine of Improved DDPM, or ours."""
    if (kept := scheduler.get(KEPT)) and kept["settings"] and kept["of"] == digest_of_betas(scheduler["trained_betas"]):
        return {
            key: value for key, value in kept["settings"].items() if key.split(".")[0] in ("schedule", "first_step")
        }
    name = scheduler.get("beta_schedule", "linear")
    if scheduler.get("trained_betas") is not None or name not in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        betas = "trained_betas" if scheduler.get("trained_betas") is not None else f"beta_schedule={name}"
        raise ValueError(f"{says} {betas}: it must be linear, scaled_linear or squaredcos_cap_v2")
    moved = {"schedule.zero_terminal": True} if scheduler.get("rescale_betas_zero_snr") else {}
    if name == "squaredcos_cap_v2":
        return {"schedule": "cosine", **moved}
    ends = {"schedule.beta_1": scheduler.get("beta_start", 1e-4), "schedule.beta_T": scheduler.get("beta_end", 0.02)}
    root = {"schedule.root": 2} if name == "scaled_linear" else {}
    return {"schedule": "linear", "schedule.rescale": False, **ends, **root, **moved}


def digest_of_betas(betas: list[float] | None) -> str:
    """12 hex digits of β_1..β_T."""
    return hashlib.sha256(json.dumps(betas).encode()).hexdigest()[:12]


def labels_of(config: dict[str, Any]) -> dict[str, Any]:
    """The conditioning of a network that is told classes. A transformer also knows a row for none, and may have learned
    σ², which its scheduler does not tell."""
    if config.get("_class_name") == "DiTTransformer2DModel":
        learned = config.get("out_channels") == 2 * config["in_channels"]
        return {"conditioning": "class", **(VARIANCES["learned_range"] if learned else {})}
    return {"conditioning": "class", "conditioning.dropout": 0.0} if config.get("num_class_embeds") else {}


def overrides(path: str, settings: dict[str, Any], varied: Collection[str]) -> list[str]:
    """A line for each setting that is for all cells, and other than their published network's."""
    return [
        f"{key}={settings[key]} in place of {value}, which the files of the published network stand for"
        for key, value in published_settings(path).items()
        if key in settings and key not in varied and settings[key] != value
    ]
