"""The files of a published network: its config, that of its scheduler, and its weights; read without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

PLACES = ("unet", "")
"""Where a network lies in a pipeline's folder, or alone."""
WEIGHTS = "diffusion_pytorch_model"


@dataclass(frozen=True)
class Files:
    """The `config` of a network of diffusers (None for a `.pt` file), that of its `scheduler` where there is one, the
    files of its `weights`, and the digest of config and weights."""

    config: dict[str, Any] | None
    scheduler: dict[str, Any] | None
    weights: tuple[Path, ...]
    digest: str


def found(path: str) -> Files:
    """The files at a path; ValueError, in one line, where no network lies there."""
    place = Path(path).expanduser()
    if not path or not place.exists():
        raise ValueError(f"network.path={path} is missing: give the folder of a diffusers pipeline, or a .pt file")
    stamp = tuple(sorted((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in all_of(place)))
    return _found(place, stamp)


def all_of(place: Path) -> list[Path]:
    """The files that may matter to a network."""
    if place.is_file():
        return [place]
    patterns = ("*.json", "*.safetensors", "*/*.json", "*/*.safetensors")
    return [file for pattern in patterns for file in place.glob(pattern)]


@lru_cache(maxsize=8)
def _found(place: Path, stamp: tuple[tuple[str, int, int], ...]) -> Files:
    if place.is_file():
        return Files(None, None, (place,), digest_of({}, (place,)))
    folder = next((place / name for name in PLACES if (place / name / "config.json").is_file()), None)
    if folder is None:
        raise ValueError(f"network.path={place} has no config.json, nor has its folder unet")
    config = read_json(folder / "config.json")
    whole = folder / f"{WEIGHTS}.safetensors"
    weights = (whole,) if whole.is_file() else tuple(sorted(folder.glob(f"{WEIGHTS}-*-of-*.safetensors")))
    if not weights:
        advice = "write it by save_pretrained(..., safe_serialization=True)"
        raise ValueError(f"network.path={place} has no {whole.name}, the form that cannot run code: {advice}")
    asked = (place / "scheduler" / "scheduler_config.json", place / "scheduler_config.json")
    scheduler = next((read_json(file) for file in asked if file.is_file()), None)
    if any((place / name / "config.json").is_file() for name in ("vae", "vqvae")):
        raise ValueError(
            f"network.path={place} is of a pipeline in latents, whose autoencoder is not read: take one in pixels"
        )
    return Files(config, scheduler, weights, digest_of(config, weights))


def read_json(path: Path) -> dict[str, Any]:
    """The object of a JSON file; ValueError where it holds none."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from error
    if not isinstance(read, dict):
        raise ValueError(f"{path} holds no object")
    return read


def digest_of(config: dict[str, Any], weights: tuple[Path, ...]) -> str:
    """12 hex digits of a config, but for what only says who wrote it, and of the weights."""
    plain = {key: value for key, value in config.items() if key == "_class_name" or not key.startswith("_")}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for path in weights:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
