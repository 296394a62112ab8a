"""Gradient clipping of the normalised objective: the unit of a loss does not change the length of a step.

    g ← g · min(1, c ℓ_0/‖g‖),   ℓ_0 = E |loss| at the weights that a training starts from

for each group of parameters by its own loss. It is the clipping of loss/ℓ_0 at the norm c: ‖∇ (loss/ℓ_0)‖ = ‖g‖/ℓ_0.
Losses of one problem differ by orders of magnitude between objectives. One norm for all would clip one objective at
every step and another never, so a comparison of objectives would compare clipping. ℓ_0 is a mean over several draws of
times and noise for the first batch, without dropout; the loss of a density may be negative, so its size counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from diffusion_core.optimiser import AdamW
from diffusion_core.refusing import require
from diffusion_core.trainable import Learner

DRAWS = 16
"""The draws of times and noise per example of the first batch, over which ℓ_0 is a mean."""


class Clipping:
    """The clipping of an optimiser's gradients at the `norm` c; None means none. `report` says what it did."""

    def __init__(self, norm: float | None, optimiser: AdamW, device: torch.device) -> None:
        self.norm = math.inf if norm is None else norm
        self.optimiser = optimiser
        clipped = optimiser.groups if norm is not None else ()
        self.loss_0 = {group: torch.ones((), device=device) for group in clipped}
        """ℓ_0 by group. A continued training needs nothing else: at a report the counts below are 0."""
        self.clipped = {group: torch.zeros((), device=device) for group in clipped}
        """The number of steps since the last report at which g was clipped, by group."""

    @torch.no_grad()
    def begin(self, learner: Learner, raw: Tensor, labels: Tensor | None, seed: int, size: int) -> None:
        """Compute ℓ_0 for the first batch [B, …] with its labels [B], `size` examples at a time."""
        if not self.loss_0:
            return
        sums = {group: torch.zeros_like(loss) for group, loss in self.loss_0.items()}
        training = learner.training
        learner.eval()
        for draw in range(1, DRAWS + 1):
            # Steps below 0, so that no training step has the same draws.
            draws = learner.drawn(raw, labels, seed, -draw)
            for start in range(0, len(raw), size):
                piece = slice(start, start + size)
                of_piece = {name: value[piece] for name, value in draws.items()}
                losses = learner.weighted(learner.example_losses(raw[piece], of_piece), of_piece)
                for group, loss in losses.items():
                    sums[group] += loss.abs().sum()
        learner.train(training)
        for group, total in sums.items():
            self.loss_0[group].copy_(total / (DRAWS * len(raw)))

    @torch.no_grad()
    def __call__(self) -> None:
        """Shorten each group's gradient where it is too long; the host waits for nothing."""
        for group, loss_0 in self.loss_0.items():
            gradients = [moments.gradient for moments in self.optimiser.of_group(group).values()]
            norms = [torch.linalg.vector_norm(gradient).double() for gradient in gradients]
            length = torch.linalg.vector_norm(torch.stack(norms))
            share = (self.norm * loss_0 / length).clamp(max=1)
            for gradient in gradients:
                gradient.mul_(share)
            self.clipped[group].add_(share < 1)

    def report(self, steps: int) -> dict[str, float]:
        """ℓ_0 of each group, and the share of the last `steps` steps that were clipped; the count starts anew."""
        logged: dict[str, float] = {}
        for group, loss_0 in self.loss_0.items():
            share = float(self.clipped[group]) / steps
            logged |= {f"clip/{group}_loss_0": float(loss_0), f"clip/{group}_share": share}
            self.clipped[group].zero_()
        return logged

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take ℓ_0 by group from a training that this one continues; ValueError where it clipped other groups."""
        says = "the checkpoint belongs to another training: what it clipped were other gradients"
        require(state.keys() == self.loss_0.keys(), says)
        for group, loss_0 in self.loss_0.items():
            loss_0.copy_(state[group])
