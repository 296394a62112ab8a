"""Weights from files, without running code: safetensors, or a dictionary of tensors that `torch.save` wrote."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

TORCH = (".pth", ".pt")
LOOSE = 2
"""The multiple of its own length that an archive of weights may unpack to."""


def parse(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; ValueError, which does not name the file, if it is not such a file."""
    if path.suffix == ".safetensors":
        return _safetensors(content)
    if path.suffix not in TORCH:
        raise ValueError(f"is no file of weights by its name: expected .safetensors or {' or '.join(TORCH)}")
    _check_unpacked(content)
    try:
        # A TorchScript archive, which is a program, is refused, after a warning.
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError("is not a state_dict that can be read without running code") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("holds something else than a state_dict, a dictionary of tensors by name")
    return state


def _check_unpacked(content: bytes) -> None:
    """ValueError where an archive announces far more than it holds: `torch.save` packs nothing."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            announced = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return
    if announced > LOOSE * len(content):
        raise ValueError(f"unpacks to {announced} bytes from {len(content)}, and torch.save packs nothing: not read")


def _safetensors(content: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise ValueError("is not a safetensors file") from error
    return state


def check_layout(state: dict[str, Tensor], holder: nn.Module, what: str) -> None:
    """ValueError, which does not name the file, unless the tensors are `holder`'s by name, shape and type.

    `what` says in words whose tensors are wanted.
    """
    actual, wanted = (
        {key: (tuple(value.shape), value.dtype) for key, value in tensors.items()}
        for tensors in (state, holder.state_dict())
    )
    if actual == wanted:
        return
    kinds = {
        "missing": sorted(wanted.keys() - actual.keys()),
        "unknown": sorted(map(str, actual.keys() - wanted.keys())),
        "of another shape or type": sorted(key for key in wanted.keys() & actual.keys() if wanted[key] != actual[key]),
    }
    words = [f"{_few(names)} {kind}" for kind, names in kinds.items() if names]
    raise ValueError(f"holds other tensors than {what}: {'; '.join(words)}")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more
