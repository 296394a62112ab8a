"""The handwritten digits that scikit-learn ships: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from ablations.data.base import SPLITS, Data, DataSet, image_data
from ablations.data.sources import samples


@dataclass(frozen=True)
class Digits(DataSet):
    """The 1797 handwritten digits that scikit-learn ships: 8×8, 17 grey levels, split 897/450/450."""

    extractor: ClassVar[str | None] = "digits-cnn"

    def read(self) -> Data:
        table = torch.from_numpy(np.loadtxt(samples() / "data" / "digits.csv.gz", np.int64, delimiter=","))
        images, labels = table[:, :-1].reshape(-1, 1, 8, 8).to(torch.uint8), table[:, -1]
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        parts = dict(zip(SPLITS, torch.split(order, [897, 450, 450]), strict=True))
        return image_data(
            {split: images[index] for split, index in parts.items()},
            {split: labels[index] for split, index in parts.items()},
            levels=17,
        )
