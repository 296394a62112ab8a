"""The files of a published network or autoencoder: its config, its scheduler's, and its weights; read without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

PLACES = {"network": ("unet", "transformer", ""), "space": ("vae", "vqvae", "")}
"""Where a network, or an autoencoder, lies in a pipeline's folder, or alone."""
KINDS = {
    "network": ("UNet2DModel", "DiTTransformer2DModel", "UNet2DConditionModel"),
    "space": ("AutoencoderKL", "VQModel"),
}
"""The architectures of diffusers that are read; a network is told x_t, the time and perhaps a class."""
BLOCKS = ("down_block_types", "mid_block_type", "up_block_types")
WEIGHTS = "diffusion_pytorch_model"


@dataclass(frozen=True)
class Files:
    """The `config` of a network of diffusers (None for a `.pt` file), that of its `scheduler` where there is one, the
    files of its `weights`, and the digest of config and weights; whether its pipeline is in `latents`."""

    config: dict[str, Any] | None
    scheduler: dict[str, Any] | None
    weights: tuple[Path, ...]
    digest: str
    latents: bool = False


def files_at(path: str, axis: str = "network", digest: str = "") -> Files:
    """The files at `axis`.path, whose digest is `digest` if one is given; ValueError, in one line, where no network, or
    for the axis `space` no autoencoder, lies there."""
    place = Path(path).expanduser()
    if not path or not place.exists() or (axis == "space" and place.is_file()):
        form = ", or a .pt file" if axis == "network" else ""
        raise ValueError(f"{axis}.path={path} is missing: give the folder of a diffusers pipeline{form}")
    matters = ("*.json", "*.safetensors", "*/*.json", "*/*.safetensors")
    read = [place] if place.is_file() else [file for pattern in matters for file in place.glob(pattern)]
    stamp = tuple(sorted((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in read))
    files = _read(place, axis, stamp)
    if digest not in ("", files.digest):
        says = f"{axis}.path={path} holds other weights than {axis}.digest={digest}"
        raise ValueError(f"{says} ({files.digest}): take the digest away, or give the path of those weights")
    return files


@lru_cache(maxsize=8)
def _read(place: Path, axis: str, stamp: tuple[tuple[str, int, int], ...]) -> Files:
    """The files at a place; read again where their `stamp` (names, times, sizes) has changed."""
    if place.is_file():
        return Files(None, None, (place,), digest_of({}, (place,)))
    folder = next((place / name for name in PLACES[axis] if (place / name / "config.json").is_file()), None)
    if folder is None:
        raise ValueError(f"{axis}.path={place} has no config.json, nor has its folder {' or '.join(PLACES[axis][:-1])}")
    config = checked(read_json(folder / "config.json"), f"{axis}.path={place}", KINDS[axis])
    whole = folder / f"{WEIGHTS}.safetensors"
    weights = (whole,) if whole.is_file() else tuple(sorted(folder.glob(f"{WEIGHTS}-*-of-*.safetensors")))
    if not weights:
        advice = "write it by save_pretrained(..., safe_serialization=True)"
        raise ValueError(f"{axis}.path={place} has no {whole.name}, the form that cannot run code: {advice}")
    asked = (place / "scheduler" / "scheduler_config.json", place / "scheduler_config.json")
    scheduler = next((read_json(file) for file in asked if file.is_file()), None)
    index = read_json(file) if (file := place / "model_index.json").is_file() else {}
    latents = any(name in index or (place / name).is_dir() for name in PLACES["space"][:-1])
    return Files(config, scheduler, weights, digest_of(config, weights), latents)


def checked(config: dict[str, Any], where: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The config of one of these kinds; ValueError for another one, and for a network that is told more."""
    name, must = config.get("_class_name"), f"it must be {', '.join(kinds[:-1])} or {kinds[-1]}"
    # A transformer of early folders, by its later name.
    if name == "Transformer2DModel" and config.get("norm_type") == "ada_norm_zero":
        name = "DiTTransformer2DModel"
    if name not in kinds:
        raise ValueError(f"{where} holds a {name}: {must}")
    blocks = json.dumps([config.get(key, "CrossAttn") for key in BLOCKS]) if name == "UNet2DConditionModel" else ""
    extras = [key for key in ("class_embed_type", "addition_embed_type", "encoder_hid_dim") if config.get(key)]
    if "CrossAttn" in blocks or extras:
        by = extras[0] if extras else "CrossAttn blocks"
        raise ValueError(f"{where} holds a {name} that is told text or the like ({by}): {must}, told classes at most")
    return config | {"_class_name": name}


def code_of(config: dict[str, Any]) -> dict[str, Any]:
    """The code of an autoencoder, by its config: fields of `space=latents`; ValueError where it does not say them."""
    kl, channels, blocks = config["_class_name"] == "AutoencoderKL", config.get("latent_channels"), "block_out_channels"
    if not isinstance(config.get(blocks), list) or not isinstance(channels, int):
        raise ValueError(f"the autoencoder of space.path has no latent_channels or no {blocks} in its config.json")
    channels = channels if kl else config.get("vq_embed_dim") or channels
    return {"f": 2 ** (len(config[blocks]) - 1), "channels": channels, "regularization": "kl" if kl else "vq"}


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
