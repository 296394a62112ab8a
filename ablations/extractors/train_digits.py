"""Trains the extractor `digits-cnn` on the training images of `digits` and on no others.

    python -m ablations.extractors.train_digits [out=FOLDER]

Least cross-entropy −log p(label | image) over images that are shifted by part of a pixel and given noise: so features
tell which digit it is rather than where it stands. The weights come from training images alone; held-out images give
the accuracy in the record (and were seen when the recipe was chosen). One thread and fixed seeds: the same kind of
machine writes the same file.
"""

from __future__ import annotations

import dataclasses
import datetime
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ablations.data import Digits
from ablations.extractors import HERE, DigitsCnn, digest_of
from ablations.journal import write_json, write_tensors

NAME = "digits-cnn"


@dataclass(frozen=True)
class Recipe:
    """What was trained how. `shift` is in pixels, `noise` in units of the full grey range."""

    seed: int = 0
    steps: int = 2000
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.2
    shift: float = 0.7
    noise: float = 0.1


def augment(levels: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Levels [B, 1, 8, 8], each image shifted by a fraction of a pixel at a time, and noise added."""
    size = levels.shape[-1]
    theta = torch.eye(2, 3).repeat(len(levels), 1, 1)
    theta[:, :, 2] = (2 * torch.rand(len(levels), 2, generator=generator) - 1) * (2 * recipe.shift / size)
    grid = nn.functional.affine_grid(theta, list(levels.shape), align_corners=False)
    shifted = nn.functional.grid_sample(levels, grid, align_corners=False)
    noise = torch.randn(levels.shape, generator=generator) * recipe.noise * (DigitsCnn.levels - 1)
    return shifted + noise


def train(images: Tensor, labels: Tensor, recipe: Recipe) -> DigitsCnn:
    """The trained network, from uint8 images [N, 1, 8, 8] and their classes [N]."""
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = DigitsCnn()
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for _ in range(recipe.steps):
        index = torch.randint(len(images), (recipe.batch,), generator=generator)
        _, logits = model(augment(images[index].float(), recipe, generator))
        loss = nn.functional.cross_entropy(logits, labels[index])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: DigitsCnn, images: Tensor, labels: Tensor) -> float:
    """The share classed rightly."""
    _, logits = model(images)
    return float((logits.argmax(1) == labels).double().mean())


def main(arguments: list[str]) -> None:
    """Train, write both files, and say what came out."""
    key, _, folder = (arguments or [f"out={HERE}"])[0].partition("=")
    if key != "out" or not folder or len(arguments) > 1:
        sys.exit(f"train_digits takes nothing or out=FOLDER, got: {' '.join(arguments)}")
    torch.set_num_threads(1)
    recipe, data = Recipe(), Digits().load()
    model = train(data.images["train"], data.labels["train"], recipe)
    weights = Path(folder) / f"{NAME}.safetensors"
    write_tensors(weights, model.state_dict())
    shares = {split: round(accuracy(model, data.images[split], data.labels[split]), 4) for split in data.images}
    record = {
        "name": NAME,
        "digest": digest_of(weights.read_bytes()),
        "accuracy": shares,
        "recipe": dataclasses.asdict(recipe),
        "data": {"name": "digits", "digest": data.digest, "trained on": "train"},
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_json(weights.with_suffix(".json"), record)
    print(f"{NAME} {record['digest']}: accuracy {shares}, in {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])
