"""Randomness without state: every draw is a function of (seed, step, purpose).

Cells of one seed therefore see the same batches, times and noise, a resumed training continues bit by bit, and nothing
has to be stored. Draws are made on the CPU and sent to the device, so that they agree between devices.

torch's CPU generator, mt19937, uses only the low 32 bits of a seed, which would be equal for some of 100,000 draws. So
the whole state at which a draw begins, 19,968 bits, is a hash of its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

Values = dict[str, Tensor]
"""Tensors by name."""

BLOCK = 64
"""The samples per block: noise is drawn for whole blocks, so that a sample does not depend on its batch."""
GOLDEN, SILVER = (math.sqrt(5) - 1) / 2, math.sqrt(2) - 1
"""The golden ratio less 1 and the silver ratio less 2: multiples of either, modulo 1, are evenly spread however many
are taken, and pairs of both fill the square evenly."""


WORDS = slice(3, 627)
"""The places of mt19937's 624 words in a state of torch's CPU generator, read as whole numbers of 64 bits."""
STATE = torch.Generator().manual_seed(0).get_state().numpy().view(np.uint64)
"""Such a state, before any of its words is used."""


def key(seed: int, step: int, purpose: str) -> int:
    """64 bits that name one draw."""
    digest = hashlib.blake2b(f"{seed}/{step}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def state(name: str) -> Tensor:
    """The state of torch's CPU generator that belongs to a name."""
    words, values = STATE.copy(), hashlib.shake_128(name.encode()).digest(4 * 624)
    words[WORDS] = np.frombuffer(values, "<u4")
    return torch.from_numpy(words.view(np.uint8))


def draw(seed: int, step: int, purpose: str) -> torch.Generator:
    """The CPU generator of one draw."""
    return torch.Generator().set_state(state(f"{seed}/{step}/{purpose}"))


def reseed(seed: int, device: torch.device) -> None:
    """Reseed torch's own generator of a device, from which dropout draws. `torch.manual_seed` would reseed all
    generators, which takes longer than a step of many small networks."""
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    else:
        torch.default_generator.set_state(state(str(seed)))


def send(value: Tensor, device: torch.device) -> Tensor:
    """The value on the device, without waiting for the copy."""
    if device.type == "cuda":
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def normal(seed: int, step: int, purpose: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """A draw from N(0, I), float32."""
    return send(torch.randn(shape, generator=draw(seed, step, purpose)), device)


def uniform(seed: int, step: int, purpose: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """A draw from U[0, 1), float64."""
    return send(torch.rand(shape, generator=draw(seed, step, purpose), dtype=torch.float64), device)


def spread_uniforms(
    seed: int, purpose: str, shape: tuple[int, ...], device: torch.device, ratio: float
) -> Iterator[Tensor]:
    """u_1, u_2, … without end, float64, each from U[0, 1), which together fill the interval evenly.

    u_j = u + j · ratio mod 1 elementwise, with one u ~ U[0, 1) for all j and a ratio whose multiples lie evenly: a sum
    over j of functions of one element that are much alike has less variance than with independent draws, and the same
    mean.
    """
    start = uniform(seed, 0, purpose, shape, device)
    for j in itertools.count(1):
        yield (start + j * ratio) % 1


def spread_normals(seed: int, purpose: str, shape: tuple[int, ...], device: torch.device) -> Iterator[Tensor]:
    """Noise Φ⁻¹(u_1), Φ⁻¹(u_2), … without end, float32, each from N(0, I), of u that `GOLDEN` spreads evenly."""
    tiny = torch.finfo(torch.float64).eps / 2
    for u in spread_uniforms(seed, purpose, shape, device, GOLDEN):
        yield torch.special.ndtri(u.clamp(tiny, 1 - tiny)).float()


def excess(noise: Tensor) -> Tensor:
    """(‖ε‖² − D)/√(2D) of noise ε ~ N(0, I) [B, …], float64 [B]: of mean 0 and variance 1."""
    squares = noise.double().flatten(1) ** 2
    return (squares - 1).sum(1) / math.sqrt(2 * squares.shape[1])


def normal_blocks(seed: int, step: int, first: int, count: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Noise of samples `first`..`first + count` [count, …], each independent of the others drawn."""
    blocks = range(first // BLOCK, math.ceil((first + count) / BLOCK))
    noise = [torch.randn(BLOCK, *shape, generator=draw(seed, step, f"sample/{block}")) for block in blocks]
    return send(torch.cat(noise)[first % BLOCK :][:count], device)


@contextlib.contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """A context in which torch's global CPU generator is that of one draw; its own state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.set_state(state(f"{seed}/0/{purpose}"))
        yield


def built(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """The module that `build` makes, with all that its constructors draw as a function of the seed."""
    with seeded(seed, "build"):
        return build()


def initialise(module: nn.Module, seed: int) -> None:
    """Draw every layer's weights from its name, so that networks agree wherever their layers' shapes do.

    A layer is any module with torch's own method for it, `reset_parameters` or `_reset_parameters`; one that holds
    others comes after them, so that its rule has the last word. Parameters that are zero as built (the last layer of a
    residual branch) stay zero. What no such method draws (a parameter or buffer of a module without one) stays as
    built.
    """
    zero = [parameter for parameter in module.parameters() if not parameter.any()]
    for name, layer in reversed(list(module.named_modules())):
        reset = getattr(layer, "reset_parameters", None) or getattr(layer, "_reset_parameters", None)
        if reset is not None:
            with seeded(seed, f"init/{name}"):
                reset()
    with torch.no_grad():
        for parameter in zero:
            parameter.zero_()
