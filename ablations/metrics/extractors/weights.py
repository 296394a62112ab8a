"""Weights from files, without running code: safetensors, or a dictionary of tensors that `torch.save` wrote."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor


def parse(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; ValueError, which does not name the file, if it is not such a file."""
    if path.suffix == ".safetensors":
        try:
            return load(content)
        except SafetensorError as error:
            raise ValueError("it is not a safetensors file") from error
    try:
        # A TorchScript archive, which is a program, is refused, after a warning.
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged file fails in any way.
        raise ValueError("it is no state_dict that can be read without running code") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("it holds something else than a state_dict, a dictionary of tensors by name")
    return state
