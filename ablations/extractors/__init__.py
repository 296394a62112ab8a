"""Frozen feature extractors, each named: images → features φ(x) that distributions are compared by, and logits.

An extractor is two files, `<name>.safetensors` and `<name>.json`. A distance in feature space means nothing without
the weights behind it: they are read only where their digest is the recorded one, and the name is part of every
metric's name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from diffusion_core.precision import exact

HERE = Path(__file__).parent
BATCH = 512


class DigitsCnn(nn.Module):
    """Digits [B, 1, 8, 8] of grey levels 0..16 → a feature [B, 64] after a smooth non-linearity, and 10 logits.

    Smooth, because a ReLU leaves features that are zero on nearly all images, which standardising then blows up.
    """

    levels = 17
    classes = 10

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(256, 64),
            nn.SiLU(),
        )
        self.head = nn.Linear(64, self.classes)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of grey levels [B, 1, 8, 8], of any real type."""
        feature = self.body(levels.float() / (self.levels - 1))
        return feature, self.head(feature)


ARCHITECTURES: dict[str, type[DigitsCnn]] = {"digits-cnn": DigitsCnn}


@dataclass(frozen=True, eq=False)
class Extractor:
    """A module with frozen weights, the digest of their file, and the share of held-out images that it gets right."""

    name: str
    digest: str
    accuracy: float
    module: DigitsCnn


def digest_of(content: bytes) -> str:
    """12 hex digits of a file's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


def load(name: str, weights: Path | None = None) -> Extractor:
    """The extractor `name`, from its shipped files or from `weights` and the JSON file beside it.

    ValueError, in one line, if the name is unknown, a file is missing, or the weights are not those that the JSON file
    records.
    """
    if name not in ARCHITECTURES:
        nearest = difflib.get_close_matches(name, ARCHITECTURES, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown extractor {name!r}: allowed are {', '.join(ARCHITECTURES)} (nearest: {nearest})")
    weights = weights or HERE / f"{name}.safetensors"
    digest, accuracy = _record(name, weights.with_suffix(".json"))
    content = _read(name, weights)
    if digest_of(content) != digest:
        raise ValueError(f"extractor {name}: {weights} has digest {digest_of(content)}, its JSON file records {digest}")
    module = ARCHITECTURES[name]()
    _fill(module, content, f"extractor {name}: {weights}")
    return Extractor(name, digest, accuracy, module.eval().requires_grad_(False))


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"extractor {name}: cannot read {path} ({error.strerror})") from error


def _record(name: str, path: Path) -> tuple[str, float]:
    """Digest and held-out accuracy (validation and test are equally many images)."""
    content = _read(name, path)
    try:
        record = json.loads(content)
        accuracy = record["accuracy"]
        return str(record["digest"]), (float(accuracy["validation"]) + float(accuracy["test"])) / 2
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"extractor {name}: {path} is not its record (digest, accuracy): {error!r}") from error


def _fill(module: nn.Module, content: bytes, where: str) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    try:
        state = parse(content)
    except SafetensorError as error:
        raise ValueError(f"{where} is not a safetensors file") from error
    wanted = {key: (tuple(value.shape), value.dtype) for key, value in module.state_dict().items()}
    if {key: (tuple(value.shape), value.dtype) for key, value in state.items()} != wanted:
        raise ValueError(
            f"{where} holds other tensors than {type(module).__name__}: {', '.join(sorted(state)) or 'none'}"
        )
    module.load_state_dict(state)


def features(extractor: Extractor, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Features [N, 64] and logits [N, 10] of stored images, uint8 [N, 1, 8, 8], both float64 on the CPU.

    Worked out in float32 on `device`, where the module stays. ValueError if the images are of another type or shape.
    """
    levels = extractor.module.levels
    if images.dtype != torch.uint8 or images.shape[1:] != (1, 8, 8) or not len(images) or int(images.max()) >= levels:
        raise ValueError(
            f"extractor {extractor.name} takes uint8 images [N, 1, 8, 8] of levels 0..{levels - 1}, "
            f"got {images.dtype} {list(images.shape)}" + (f" up to {images.max()}" if len(images) else "")
        )
    module = extractor.module.to(device)
    with torch.inference_mode(), exact(device):
        parts = [module(images[i : i + BATCH].to(device)) for i in range(0, len(images), BATCH)]
    feature, logits = (torch.cat(half).double().cpu() for half in zip(*parts, strict=True))
    return feature, logits
