"""A trained cell as the folder of a `DDPMPipeline`, which diffusers alone loads, and samples to the same images.

    unet/        the network that was evaluated, its weights averaged (`diffusion_core/networks/exported.py`)
    scheduler/   β_1..β_T as `trained_betas`, the meaning of the output, σ², the clipping and the spacing of fewer steps
    README.md    a card: what it is, what its grid measured and decided, what made it, and its limits

The index of diffusers is t − 1. Its scheduler computes in float32, with β_t as 1 − ᾱ_t/ᾱ_{t−1}. The last x̂_0 is its
sample, of which the pipeline shows (x̂_0/2 + ½) within [0, 1], and ours the nearest grey level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ablations.driver.model_card import card
from ablations.driver.trained_cells import cell_in, find, trained
from ablations.engine.journal import journal_of
from ablations.settings import grammar
from ablations.settings.cell import Cell
from ablations.settings.published import KEPT, TARGETS, digest_of_betas
from ablations.settings.registry import ORIGIN, describe
from analysis.answers import read
from analysis.errors import InputError, alternatives
from analysis.files import make_folder, write_json, write_text
from analysis.places import COMMITTED, holds_results
from diffusion_core.chain import Chain
from diffusion_core.diffusion import Diffusion
from diffusion_core.networks.exported import config_of, tensors_of
from diffusion_core.networks.files import WEIGHTS
from diffusion_core.networks.unet import UNet
from diffusion_core.refusing import choice_name

WORDS = {
    "space": {"pixels": "pixels"},
    "network": {"unet": "UNet2DModel"},
    "conditioning": {"unconditional": "none"},
    "parameterization": {ours: theirs for theirs, ours in TARGETS.items()},
    "variance": {"beta": "fixed_large", "beta_tilde": "fixed_small", "learned": "learned_range"},
    "sampler": {"ancestral": "DDPMScheduler"},
    "spacing": {"uniform": "linspace", "trailing": "trailing"},
}
"""An axis, and its choices that diffusers has a word for."""
LONGEST = 250
"""The most knots that a learned schedule is kept by: MLflow shows 6000 characters of a parameter."""


def write_folder(given: dict[str, Any]) -> Path:
    """Write the folder of what the command asks for; its path. InputError where diffusers cannot say the cell."""
    row, folder = find(results := Path(given["results"]), given["cell"], given["seed"]), Path(given["to"])
    if folder.exists():
        raise InputError(f"to={folder} is there already and is never overwritten: take another to=")
    cell, who = cell_in(row), f"cell {row['cell_id']} at seed {row['seed']}"
    said = words_of(cell, who)
    if row["status"] != "finished":
        raise InputError(f"{who} is {row['status']} ({row.get('reason', '')}): take a finished one")
    model = trained(cell, row, journal_of(results, given["journal"]), torch.device("cpu"))
    assert isinstance(model, Diffusion) and isinstance(cell.network, UNet), "their names were looked up"
    chain, shape, channels_out = model.chain(), model.shape, model.shape[0] * (2 if cell.variance.learned else 1)
    times = torch.arange(1, cell.horizon + 1)
    with torch.no_grad():
        step = chain.step(times)
        time = model.denoiser.time(times, step.gamma_t).float()
    try:
        config = config_of(cell.network, shape, channels_out, cell.horizon)
    except ValueError as error:
        raise InputError(f"{who}: {error}") from error
    index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", config["_class_name"]]}
    index["scheduler"] = ["diffusers", said["sampler"]]
    scheduler = scheduler_of(cell, said, step.beta.tolist(), chain) | {"clip_sample": cell.evaluation.clip}
    places = results / row["grid"], results / COMMITTED / row["grid"]
    text = card(folder, row, cell, read(next(filter(holds_results, places))))

    def write(place: Path) -> None:
        write_json(place / "model_index.json", index)
        write_json(place / "scheduler" / "scheduler_config.json", scheduler)
        write_json(place / "unet" / "config.json", config)
        weights = place / "unet" / f"{WEIGHTS}.safetensors"
        save_file(tensors_of(cell.network, model.network, time), weights, {"format": "pt"})
        write_text(place / "README.md", text)

    make_folder(folder, write)
    return folder


def words_of(cell: Cell, who: str) -> dict[str, str]:
    """An axis → what diffusers calls the cell's choice; InputError for the first one that it has no word for."""
    said = {}
    for axis, known in WORDS.items():
        if (name := choice_name(getattr(cell, axis))) not in known:
            advice = f"take a cell with {axis}={alternatives([*known])}"
            raise InputError(f"{who} has {axis}={name}, which a DDPMPipeline of diffusers cannot say: {advice}")
        said[axis] = known[name]
    asked = {
        cell.guidance.asked: cell.guidance.guides,
        "conditioning.self_conditioning=true": cell.conditioning.self_conditioning,
        f"sampler.skip={cell.sampler.skip}": cell.sampler.skip > 0,
        f"data={choice_name(cell.data)}, whose values have no bounds": not cell.data.described().encoding.bounded,
    }
    if other := next((word for word, holds in asked.items() if holds), ""):
        raise InputError(f"{who} has {other}, which a DDPMPipeline of diffusers cannot say: take a cell without it")
    return said


def scheduler_of(cell: Cell, said: dict[str, str], betas: list[float], chain: Chain) -> dict[str, Any]:
    """The config of a `DDPMScheduler`, beside which our own name of the schedule is kept, for `network=published`."""
    return {
        "_class_name": said["sampler"],
        "num_train_timesteps": cell.horizon,
        "trained_betas": betas,
        "prediction_type": said["parameterization"],
        "variance_type": said["variance"],
        "timestep_spacing": said["spacing"],
        KEPT: {"of": digest_of_betas(betas), "settings": kept(cell, chain)},
    }


def kept(cell: Cell, chain: Chain) -> dict[str, Any]:
    """The settings of the cell's schedule; one that was learned is kept by its γ, at every t if there are few."""
    values = describe(cell.schedule)
    if cell.schedule.learned:
        count = min(cell.horizon, LONGEST)
        times = 1 + torch.arange(count, dtype=torch.float64) * (cell.horizon - 1) / (count - 1)
        with torch.no_grad():
            values = {"name": "saved", "knots": chain.gamma(times).tolist()}
    if ORIGIN in values:
        return {}
    name = values["name"] if values["name"] in grammar.files("schedule") else "log_snr_linear"
    fields = {f"schedule.{key}": value for key, value in values.items() if key != "name" or value != name}
    return {"schedule": name, **fields, "first_step": cell.first_step}
