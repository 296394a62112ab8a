"""Frozen feature extractors, each named: images → features φ(x) that distributions are compared by, and logits.

A distance in feature space means nothing without the weights behind it: the extractor's name is part of every metric's
name, and the digest of its file part of every identity. A shipped extractor is two files, `<name>.safetensors` and
`<name>.json`, and is read only where the digest is the one that the JSON file records. Others are read from a path,
or fetched where they are published. One from outside ships its files beside its class; one without weights has none.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
from pathlib import Path

import torch
from torch import Tensor

from ablations.data.download import fetch
from ablations.metrics.extractors.architectures import Architecture, DigitsCnn, Extractor, FashionCnn
from ablations.metrics.extractors.inception import InceptionV3Compat
from ablations.metrics.extractors.weights import check_layout, parse
from ablations.settings.plugins import imported, origin_of, unnamed

DOWNLOAD = "download"
"""The value of `evaluation.weights` that fetches the weights."""

ARCHITECTURES: dict[str, type[Architecture]] = {
    "digits-cnn": DigitsCnn,
    "fashion-cnn": FashionCnn,
    "inception-v3-compat": InceptionV3Compat,
}
"""Those that ship."""


def digest_of(content: bytes) -> str:
    """12 hex digits of a file's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


def architecture_of(name: str) -> type[Architecture]:
    """The network of an extractor, one that ships or one from outside; ValueError where there is none such."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name in unnamed("extractor"):
        return imported("extractor", name)
    names = [*ARCHITECTURES, *unnamed("extractor")]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
    raise ValueError(f"unknown extractor {name!r}: allowed are {', '.join(names)} (nearest: {nearest})")


def located(name: str, weights: str | None) -> Path | None:
    """The file of weights that a path, or `download`, names; None for those that ship.

    Where they are fetched, they lie in torch.hub's folder of checkpoints, as torch-fidelity's own do: what is there
    already is taken. ValueError, in one line, if they cannot be had.
    """
    if weights != DOWNLOAD:
        return Path(weights) if weights else None
    architecture = architecture_of(name)
    if architecture.published is None:
        other = "they ship with it: leave it out" if architecture.shipped else "give evaluation.weights=PATH"
        raise ValueError(f"evaluation.weights={DOWNLOAD}: the weights of {name} are published nowhere, {other}")
    return fetch(architecture.published, Path(torch.hub.get_dir()) / "checkpoints")


def identity(name: str, weights: Path | None = None) -> str:
    """name:digest, what a stage that uses the extractor is known by.

    ValueError, in one line, wherever `load` would raise it: what it takes is reading the file, so that a plan can
    refuse before anything is trained.
    """
    origin = origin_of(architecture_of(name))
    return f"{name}:{_weights(name, weights)[0].digest}" + (f" {origin}" if origin else "")


def load(name: str, weights: Path | None = None) -> Extractor:
    """The extractor `name`: a shipped one from its files, or from `weights` and the JSON file beside it; others from
    `weights`.

    ValueError, in one line, if the name is unknown, a file is missing or damaged, or the weights are not the recorded
    ones.
    """
    extractor, state = _weights(name, weights)
    extractor.module.holder.load_state_dict(state, assign=True)
    extractor.module.eval().requires_grad_(False)
    return extractor


def _weights(name: str, weights: Path | None) -> tuple[Extractor, dict[str, Tensor]]:
    """An extractor whose module has no memory yet, and the tensors that fill it."""
    architecture = architecture_of(name)
    if weights is None and not architecture.shipped:
        download = f"evaluation.weights={DOWNLOAD}, " if architecture.published else ""
        raise ValueError(
            f"FID needs the weights of {name}, which are not shipped: give {download}evaluation.weights=PATH "
            f"({architecture.source}), or take evaluation.quality=[] for the likelihood alone"
        )
    if weights is None and not architecture().holder.state_dict():
        return Extractor(name, digest_of(b""), None, architecture()), {}
    path = weights or Path(inspect.getfile(architecture)).parent / f"{name}.safetensors"
    try:
        recorded, accuracy = _record(path.with_suffix(".json")) if architecture.shipped else (None, None)
        content = path.read_bytes()
        if recorded not in (None, digest_of(content)):
            raise ValueError(f"has digest {digest_of(content)}, its JSON file records {recorded}")
        with torch.device("meta"):
            module = architecture()
        state = parse(content, path)
        check_layout(state, module.holder, architecture.__name__)
    except OSError as error:
        raise ValueError(f"extractor {name}: cannot read {error.filename} ({error.strerror})") from error
    except ValueError as error:
        source = f" (expected: {architecture.source})" if architecture.source else ""
        raise ValueError(f"extractor {name}: {path} {error}{source}") from error
    return Extractor(name, digest_of(content), accuracy, module), state


def _record(path: Path) -> tuple[str, float]:
    """Digest and held-out accuracy (validation and test are equally many images)."""
    try:
        record = json.loads(path.read_bytes())
        accuracy = record["accuracy"]
        return str(record["digest"]), (float(accuracy["validation"]) + float(accuracy["test"])) / 2
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"has a JSON file that is not its record (digest, accuracy): {error!r}") from error
