"""Several processes that train one learner: each takes its share of every batch, and all take the same step.

    ∇ (mean over B examples) = (1/N) Σ over ranks of ∇ (mean over the rank's B/N examples)

Every rank draws the whole batch's times and noise, so that the examples are those of one process, whatever N is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """A process's place `rank` among `world`, which are joined by torch's default process group if they are several."""

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """This process's place in the process group that it has joined."""
        return cls(distributed.get_rank(), distributed.get_world_size())

    def share(self, batch: int) -> slice:
        """This rank's examples of a batch; ValueError where the ranks cannot share it equally."""
        if batch % self.world:
            raise ValueError(f"a batch of {batch} is not shared equally by {self.world} processes")
        each = batch // self.world
        return slice(self.rank * each, (self.rank + 1) * each)

    def average_(self, values: Iterable[Tensor]) -> None:
        """Replace tensors by their means over all ranks."""
        for value in values if self.world > 1 else ():
            distributed.all_reduce(value)
            value /= self.world

    def joined(self, share: Tensor) -> Tensor:
        """The values [B] of a whole batch, from each rank's share of them."""
        if self.world == 1:
            return share
        parts = [torch.empty_like(share) for _ in range(self.world)]
        distributed.all_gather(parts, share.contiguous())
        return torch.cat(parts)


ALONE = Ranks()
"""The place of a process that trains by itself."""
