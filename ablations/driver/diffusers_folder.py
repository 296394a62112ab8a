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
from analysis.errors import InputError
from analysis.files import make_folder, write_json, write_text
from analysis.labels import listed
from analysis.places import COMMITTED, holds_results
from diffusion_core.diffusion import Diffusion
from diffusion_core.networks.exported import config_of, tensors_of
from diffusion_core.networks.files import WEIGHTS
from diffusion_core.networks.unet import UNet
from diffusion_core.refusing import choice_name, require

WORDS = {
    "space": {"pixels": "pixels"},
    "network": {"unet": "UNet2DModel"},
    "conditioning": {"unconditional": "none"},
    "parameterization": {ours: theirs for theirs, ours in TARGETS.items()},
    "variance": {"beta": "fixed_large", "beta_tilde": "fixed_small", "learned": "learned_range"},
    "sampler": {"ancestral": "DDPMScheduler"},
    "spacing": {"uniform": "linspace"},
}
"""An axis, and its choices that diffusers has a word for. Its `trailing` spacing ends with noise on the image."""
LONGEST = 250
"""The most knots that a learned schedule is kept by: MLflow shows 6000 characters of a parameter."""


def write_folder(given: dict[str, Any]) -> Path:
    """Write the folder of what the command asks for; its path. InputError where diffusers cannot say the cell."""
    row, folder = find(results := Path(given["results"]), given["cell"], given["seed"]), Path(given["to"])
    if folder.exists():
        raise InputError(f"to={folder} is there already and is never overwritten: take another to=")
    cell, who = cell_in(row), f"cell {row['cell_id']} at seed {row['seed']}"
    if row["status"] != "finished":
        raise InputError(f"{who} is {row['status']} ({row.get('reason', '')}): take a finished one")
    try:
        words, config = words_of(cell), network_config(cell)
    except ValueError as error:
        raise InputError(f"{who} is more than diffusers can say: {error}") from error
    model = trained(cell, row, journal_of(results, given["journal"]), torch.device("cpu"))
    assert isinstance(model, Diffusion), "a chain of pixels without a guide"
    places = results / row["grid"], results / COMMITTED / row["grid"]
    text = card(folder, row, cell, read(next(filter(holds_results, places))))

    def write(place: Path) -> None:
        write_pipeline(place, cell, model, words, config)
        write_text(place / "README.md", text)

    make_folder(folder, write)
    return folder


def write_pipeline(place: Path, cell: Cell, model: Diffusion, words: dict[str, str], config: dict[str, Any]) -> None:
    """Write all that diffusers reads of a cell's model."""
    times = torch.arange(1, cell.horizon + 1)
    with torch.no_grad():
        step = model.chain().step(times)
        time = model.denoiser.time(times, step.gamma_t).float()
    index = {"_class_name": "DDPMPipeline"}
    parts = {"unet": ["diffusers", words["network"]], "scheduler": ["diffusers", words["sampler"]]}
    write_json(place / "model_index.json", index | parts)
    write_json(place / "scheduler" / "scheduler_config.json", scheduler_config(cell, words, step.beta.tolist(), model))
    write_json(place / "unet" / "config.json", config)
    assert isinstance(cell.network, UNet), "its name was looked up"
    weights = tensors_of(cell.network, model.network, time)
    save_file(weights, place / "unet" / f"{WEIGHTS}.safetensors", {"format": "pt"})


def network_config(cell: Cell) -> dict[str, Any]:
    """The config of the cell's network; ValueError where diffusers has no word for a field of it."""
    shape = cell.data.described().shape
    assert isinstance(cell.network, UNet), "its name was looked up"
    return config_of(cell.network, shape, shape[0] * (2 if cell.variance.learned else 1), cell.horizon)


def words_of(cell: Cell) -> dict[str, str]:
    """An axis → what diffusers calls the cell's choice; ValueError for the first one that it has no word for."""
    words = {}
    for axis, theirs in WORDS.items():
        name = choice_name(getattr(cell, axis))
        require(name in theirs, f"it has {axis}={name}: take one with {axis}={listed([*theirs], 'or')}")
        words[axis] = theirs[name]
    asked = {
        cell.guidance.asked: cell.guidance.guides,
        "conditioning.self_conditioning=true": cell.conditioning.self_conditioning,
        f"sampler.skip={cell.sampler.skip}": cell.sampler.skip > 0,
        "sampler.steps=1": cell.sampler.steps == 1,
        f"data={choice_name(cell.data)}, whose values have no bounds": not cell.data.described().encoding.bounded,
    }
    for word, holds in asked.items():
        require(not holds, f"it has {word}: take one without")
    return words


def scheduler_config(cell: Cell, words: dict[str, str], betas: list[float], model: Diffusion) -> dict[str, Any]:
    """The config of a `DDPMScheduler`, beside which our own name of the schedule is kept, for `network=published`."""
    return {
        "_class_name": words["sampler"],
        "num_train_timesteps": cell.horizon,
        "trained_betas": betas,
        "prediction_type": words["parameterization"],
        "variance_type": words["variance"],
        "clip_sample": cell.evaluation.clip,
        "timestep_spacing": words["spacing"],
        KEPT: {"of": digest_of_betas(betas), "settings": schedule_settings(cell, model)},
    }


def schedule_settings(cell: Cell, model: Diffusion) -> dict[str, Any]:
    """The settings of the cell's schedule; one that was learned is kept by its γ, at every t if there are few. None of
    a class from outside."""
    values = describe(cell.schedule)
    if ORIGIN in values:
        return {}
    if cell.schedule.learned:
        times = torch.linspace(1, cell.horizon, min(cell.horizon, LONGEST), dtype=torch.float64)
        values = {"name": "saved", "knots": model.gamma(times).tolist()}
    # A schedule that is kept by its values has no file of its own that ships.
    name = values.pop("name") if values["name"] in grammar.files("schedule") else "log_snr_linear"
    return {
        "schedule": name,
        **{f"schedule.{key}": value for key, value in values.items()},
        "first_step": cell.first_step,
    }
