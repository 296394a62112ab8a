"""Tensors in files that cannot run code, each with a digest of its tensors and a few words about them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ablations.engine.journal import DIGEST, Damaged
from analysis.files import replace_file


def write_tensors(path: Path, tensors: dict[str, Tensor], **words: str) -> None:
    """Tensors, their digest and a few words about them, in a form that cannot run code."""
    # Layers may share a parameter, which the format does not know: it is written under each of its names.
    flat = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content = save(flat, metadata={**words, DIGEST: _digest(flat, words)})
    replace_file(path, lambda temporary: temporary.write_bytes(content))


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
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)} ".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
