"""Properties of every coupling: a noise for each x_0 of a batch, by these and the draws alone, as its flags say."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from diffusion_core.couplings import Coupling, Draw
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.saying import Property, require, require_equal, require_flag

SHAPES = ((2, 2), (7, 1, 4, 4), (32, 2))


def batch(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """x_0 [B, …] with a mean and a spread of their own."""
    return 0.5 + 0.8 * torch.randn(shape, generator=torch.Generator().manual_seed(1000 + seed))


def draws(shape: tuple[int, ...]) -> Draw:
    """Draws that are the same tensors each time."""
    return cache(lambda j: torch.randn(shape, generator=torch.Generator().manual_seed(j)))


def rows(noise: Tensor) -> list[list[float]]:
    """The noise of a batch as a set."""
    return sorted(noise.flatten(1).tolist())


def gives_each_example_a_noise(coupling: Coupling) -> None:
    """Float32 and finite, of the shape of x_0."""
    for shape in SHAPES:
        eps = coupling.pair(batch(shape), draws(shape))
        rule = f"the noise for {list(shape)} must be float32 of that shape"
        fits = (eps.dtype, tuple(eps.shape)) == (torch.float32, shape)
        require(coupling, rule, fits, f"it is {eps.dtype} {list(eps.shape)}")
        require(coupling, "noise must be finite", eps.isfinite().all(), f"that for {list(shape)} is not")


def follows_from_the_batch_and_the_draws_alone(coupling: Coupling) -> None:
    """Cells of one seed stay paired; what is given to it is left as it is."""
    for shape in SHAPES:
        x0, draw = batch(shape), draws(shape)
        first = coupling.pair(x0, draw).clone()
        again = coupling.pair(x0, draw)
        require_equal(coupling, "noise must follow from x_0 and the draws alone", again, first)
        require_equal(coupling, "x_0 must be left as it is", x0, batch(shape))
        for j in range(2):
            require_equal(coupling, "draws must be left as they are", draw(j), draws(shape)(j))


def knows_x0_unless_it_says_so(coupling: Coupling) -> None:
    """`independent` decides whether losses are terms of the bound."""
    shape = SHAPES[-1]
    first, second = (coupling.pair(batch(shape, seed), draws(shape)) for seed in range(2))
    independent = torch.equal(first, second)
    fact = f"the noise for other x_0 is {'the same' if independent else 'another'}"
    require_flag(coupling, "independent", "noise knows nothing of x_0", independent, fact)


def reorders_a_draw_only_if_it_says_so(coupling: Coupling) -> None:
    """`permutes` decides whether the noise of a batch is from N(0, I), and whether it needs several examples."""
    for shape in SHAPES[1:]:
        eps, drawn = coupling.pair(batch(shape), draws(shape)), draws(shape)(0)
        reorders = rows(eps) == rows(drawn) and not torch.equal(eps, drawn)
        fact = f"the noise of {shape[0]} examples is {'' if reorders else 'not '}draw 0 in another order"
        require_flag(coupling, "permutes", "a batch's noise is draw 0 in another order", reorders, fact)


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    gives_each_example_a_noise,
    follows_from_the_batch_and_the_draws_alone,
    knows_x0_unless_it_says_so,
    reorders_a_draw_only_if_it_says_so,
)
