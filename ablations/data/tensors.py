"""Tensors in files that cannot run code, each with a digest of its tensors and a few words about them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ablations.engine.files import DIGEST, Damaged
from analysis.files import replace_file


def write_tensors(path: Path, tensors: dict[str, Tensor], **words: str) -> None:
    """Tensors, their digest and a few words about them, in a form that cannot run code."""
    flat: dict[str, Tensor] = {}
    held: set[int] = set()
    for name, value in tensors.items():
        plain = value.detach().cpu().contiguous()
        # Layers may share a parameter, which the format does not know: it is written under each of its names.
        flat[name] = plain.clone() if plain.untyped_storage().data_ptr() in held else plain
        held.add(flat[name].untyped_storage().data_ptr())
    metadata = {**words, DIGEST: _digest(flat, words)}

    def save(temporary: Path) -> None:
        try:
            save_file(flat, temporary, metadata=metadata)
        except SafetensorError as error:
            # A full disk is the machine's refusal, which this library says in words of its own.
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error

    replace_file(path, save)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and words that `write_tensors` wrote; Damaged where the file is missing, cut, altered or foreign."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            words = dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise Damaged(path, "is missing") from error
    except SafetensorError as error:
        raise Damaged(path, f"is not a readable safetensors file ({error})") from error
    written = words.pop(DIGEST, None)
    if written not in (None, _digest(tensors, words)):
        raise Damaged(path, "has been altered since it was written (its digest is another)")
    return tensors, words


def _digest(tensors: dict[str, Tensor], words: dict[str, str]) -> str:
    """SHA-256 of words, and of tensors by name: of their types, shapes and bytes."""
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {list(value.shape)} ".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
