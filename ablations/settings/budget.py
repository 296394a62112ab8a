"""What a training costs: memory, and floating-point operations."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch

from ablations.settings.cell import Cell
from ablations.stages.kinds import sample_passes, training_passes
from analysis.errors import InputError
from diffusion_core.autoencoder import Autoencoder
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous, GreyLevels
from diffusion_core.latents import LatentCode
from diffusion_core.spaces import Latents
from diffusion_core.vae import Vae

PROCESS = Path("/proc/self")


def reset_peak_memory(device: torch.device, process: Path = PROCESS) -> bool:
    """Start a new high-water mark of memory; whether this system has one that can be set back."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        # 5 sets back VmHWM, the process's peak resident size (proc_pid_clear_refs(5)); 1, 2 and 3 are of pages.
        (process / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory(device: torch.device, process: Path = PROCESS) -> dict[str, float]:
    """`cost/peak_memory_bytes` since the mark was set back; nothing where the system does not say.

    On a GPU: what its tensors took. On a CPU: the resident memory of the whole worker, libraries and data included, so
    that it is to be compared between cells and not with a GPU's.
    """
    if device.type == "cuda":
        return {"cost/peak_memory_bytes": float(torch.cuda.max_memory_allocated(device))}
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", (process / "status").read_text(), re.MULTILINE)
    except OSError:
        return {}
    return {"cost/peak_memory_bytes": 1024.0 * int(found[1])} if found else {}


def flops_of(action: Callable[[], object]) -> int:
    """Floating-point operations of what is called."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        action()
    return int(counter.get_total_flops())


def forward_flops(diffusion: Diffusion) -> int:
    """Floating-point operations of one forward pass of one example."""
    x = torch.zeros(1, *diffusion.shape, device=diffusion.device)
    return flops_of(lambda: diffusion.output(x, torch.ones(1, dtype=torch.int64, device=diffusion.device)))


def autoencoder_flops(autoencoder: Autoencoder, shape: tuple[int, ...], code: tuple[int, ...]) -> tuple[int, int]:
    """Of encoding and of decoding one image of this shape, with a code of that one."""
    device = autoencoder.decoder_scale.device
    image, z = torch.zeros(1, *shape, dtype=torch.uint8, device=device), torch.zeros(1, *code, device=device)
    return flops_of(lambda: autoencoder.moments(image)), flops_of(lambda: autoencoder.decoder(z))


def autoencoder_train_flops(encode: float, decode: float, seen: float, stored: int) -> float:
    """Of training on so many images, three passes each, and of encoding those that are stored once."""
    return 3 * (encode + decode) * seen + encode * stored


def sample_flops(cell: Cell, model: Diffusion | Vae) -> float:
    """Of drawing one sample, its decoder's included."""
    decode = 0
    if isinstance(model.encoding, LatentCode):
        code = model.encoding
        decode = autoencoder_flops(code.autoencoder, code.image_shape, code.code_shape)[1]
    return decode + (sample_passes(cell) * forward_flops(model) if isinstance(model, Diffusion) else 0)


def matched_steps(cell: Cell) -> int:
    """How many training steps cost, autoencoder included, what the cell's `training.steps` cost in pixels.

    InputError where the autoencoder leaves none.
    """
    data, plan, space = cell.data.load(), cell.training, cell.space
    if not isinstance(space, Latents):
        return plan.steps
    assert isinstance(data.encoding, GreyLevels), "images have grey levels"

    def step(shape: tuple[int, ...]) -> float:
        return train_flops(cell, forward_flops(Diffusion(cell.choices, Continuous(), shape)), plan.batch)

    code = space.shape_of(data.shape)
    encode, decode = autoencoder_flops(space.build(data.encoding, data.shape), data.shape, code)
    spent = autoencoder_train_flops(encode, decode, space.steps * space.batch, len(data.images["train"]))
    budget = plan.steps * step(data.shape)
    steps = int((budget - spent) / step(code))
    if steps < 1:
        raise InputError(
            f"budget=flops: the autoencoder of space.f={space.f} takes {spent:.2g} operations, of {budget:.2g} that "
            f"training.steps={plan.steps} take in pixels: take more training.steps, or fewer space.steps"
        )
    return steps


def train_flops(cell: Cell, forward: float, images: float) -> float:
    """Of so many images seen: a forward pass and a backward pass that counts two, 3 × `forward` an image.

    A learned schedule takes further backward passes (`training_passes`).
    """
    return training_passes(cell) * forward * images
