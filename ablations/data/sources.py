"""Parts that sets share: scikit-learn's samples, and the splits of a set that is published as training and test images.

    published training images ─▶ fixed permutation ─▶ validation pool | training pool     published test images
                                                        first n          first m               first n

The pools stand whatever the budget is, so that no image moves from one split to another with it, and the two held-out
splits have equally many images, because FID compares only at one n.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablations.data.base import FEWEST, Split
from analysis.errors import InputError

Labelled = tuple[Tensor, Tensor]
"""Images uint8 [N, …] and their classes int64 [N]."""


def samples() -> Path:
    """The folder of the data that scikit-learn ships: to import it takes a second, which every process that works would
    spend."""
    spec = find_spec("sklearn")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0] if places else "") / "datasets"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as levels 0..16 [1797, 8, 8] and their classes [1797], read from the file that it ships."""
    file = samples() / "data" / "digits.csv.gz"
    if not file.exists():
        bunch = scikit_learn().load_digits()
        return bunch.images, bunch.target
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]


def scikit_learn() -> Any:
    """The module `sklearn.datasets`."""
    # joblib, which scikit-learn brings, else makes a semaphore that a stopped worker leaves behind, with a warning.
    os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")
    import sklearn.datasets

    return sklearn.datasets


def check_sizes(name: str, train_images: int, held_out_images: int) -> None:
    """ValueError where a budget holds too few images."""
    if min(train_images, held_out_images) < FEWEST:
        raise ValueError(
            f"{name} needs train_images and held_out_images of at least {FEWEST}, got {train_images} and "
            f"{held_out_images}"
        )


def budgeted(
    name: str, train: Labelled, test: Labelled, validation_pool: int, train_images: int, held_out_images: int
) -> tuple[dict[Split, Tensor], dict[Split, Tensor]]:
    """Images and labels per split, as many as asked for; InputError where there are not so many."""
    order = torch.randperm(len(train[0]), generator=torch.Generator().manual_seed(0))
    validation, training = order[:validation_pool], order[validation_pool:]
    for key, asked, most in (
        ("train_images", train_images, len(training)),
        ("held_out_images", held_out_images, min(validation_pool, len(test[0]))),
    ):
        if asked > most:
            raise InputError(f"{name} has {most} images for data.{key}, got {asked}: ask for {most} or fewer")
    chosen: dict[Split, tuple[Labelled, Tensor]] = {
        "train": (train, training[:train_images]),
        "validation": (train, validation[:held_out_images]),
        "test": (test, torch.arange(held_out_images)),
    }
    images = {split: source[0][index] for split, (source, index) in chosen.items()}
    return images, {split: source[1][index] for split, (source, index) in chosen.items()}
