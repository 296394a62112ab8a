"""Trains a shipped extractor on the training images of its data set and on no others.

    python -m ablations.metrics.extractors.train name=digits-cnn [out=FOLDER] [data.root=PATH]

Least cross-entropy −log p(label | image) over images that are shifted by part of a pixel and given noise: so features
tell what it is rather than where it stands. The weights come from training images alone; held-out images give the
accuracy in the record (and were seen when the recipe was chosen). One thread and fixed seeds: the same kind of machine
writes the same file.
"""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablations.data.base import DataSet
from ablations.data.digits import Digits
from ablations.data.fashion_mnist import FashionMnist
from ablations.data.tensors import write_tensors
from ablations.metrics.extractors import ARCHITECTURES, HERE, digest_of
from ablations.metrics.extractors.architectures import Architecture
from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.files import write_json
from analysis.options import Option, run
from diffusion_core.named import choice_name

BATCH = 1000


@dataclass(frozen=True)
class Recipe:
    """The recipe of a training. `shift` is in pixels, `noise` in units of the full grey range."""

    seed: int = 0
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.2
    shift: float = 0.7
    noise: float = 0.1


RECIPES = {
    "digits-cnn": Recipe(),
    "fashion-cnn": Recipe(steps=8000, batch=128, learning_rate=3e-3, weight_decay=0.05, shift=0.5, noise=0.03),
}

DATA: dict[str, DataSet] = {
    "digits-cnn": Digits(),
    # All there are: an extractor serves every budget, whose held-out images come out of the same pools.
    "fashion-cnn": FashionMnist(train_images=50_000, held_out_images=10_000),
}


PURPOSE = "Train a shipped extractor anew, on the training images of its data set."
OPTIONS = {
    "name": Option("the extractor", choices=tuple(RECIPES), required=True),
    "out": Option("the folder that its two files are written to, by default where they ship from"),
    "data.root": Option("where the files of its data set are, if it has any"),
}


def augment(images: Tensor, recipe: Recipe, levels: int, generator: torch.Generator) -> Tensor:
    """Grey levels [B, 1, S, S], each image shifted by a fraction of a pixel at a time, and noise added."""
    size = images.shape[-1]
    theta = torch.eye(2, 3).repeat(len(images), 1, 1)
    theta[:, :, 2] = (2 * torch.rand(len(images), 2, generator=generator) - 1) * (2 * recipe.shift / size)
    grid = nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    shifted = nn.functional.grid_sample(images, grid, align_corners=False)
    noise = torch.randn(images.shape, generator=generator) * recipe.noise * (levels - 1)
    return shifted + noise


def train(architecture: type[Architecture], images: Tensor, labels: Tensor, recipe: Recipe) -> Architecture:
    """The trained network, from stored images [N, 1, S, S] and their classes [N]."""
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = architecture()
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for _ in range(recipe.steps):
        index = torch.randint(len(images), (recipe.batch,), generator=generator)
        _, logits = model(augment(images[index].float(), recipe, model.levels, generator))
        loss = nn.functional.cross_entropy(logits, labels[index])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: Architecture, images: Tensor, labels: Tensor) -> float:
    """The share classed rightly."""
    guesses = torch.cat([model(part)[1].argmax(1) for part in torch.split(images, BATCH)])
    return float((guesses == labels).double().mean())


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return run("ablations.metrics.extractors.train", PURPOSE, OPTIONS, write, arguments)


def write(given: dict[str, Any]) -> None:
    """Train, write both files, and say what came out."""
    name = given["name"]
    torch.set_num_threads(1)
    recipe, choice = RECIPES[name], _data(name, given["data.root"])
    data = choice.load()
    model = train(ARCHITECTURES[name], data.images["train"], data.labels["train"], recipe)
    weights = Path(given["out"] or HERE) / f"{name}.safetensors"
    write_tensors(weights, model.state_dict())
    shares = {split: round(accuracy(model, data.images[split], data.labels[split]), 4) for split in data.images}
    record = {
        "name": name,
        "digest": digest_of(weights.read_bytes()),
        "accuracy": shares,
        "recipe": dataclasses.asdict(recipe),
        "data": {"name": choice_name(choice), "digest": data.digest, "trained on": "train"},
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_json(weights.with_suffix(".json"), record)
    print(f"{name} {record['digest']}: accuracy {shares}, in {weights.parent}")


def _data(name: str, root: str) -> DataSet:
    """The data that the extractor learns from, its files at `root` if that is given."""
    choice = DATA[name]
    if not root:
        return choice
    if "root" not in choice.where:
        raise InputError(f"{name} learns from {choice_name(choice)}, which has no files: leave out data.root={root}")
    return dataclasses.replace(choice, root=root)  # type: ignore[type-var]


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
