"""Frozen feature extractors, each named: images → features φ(x) that distributions are compared by, and logits.

The extractor's name is part of every metric's name, and the digest of its weights part of every identity. A shipped one
is two files, `<name>.safetensors` and `<name>.json`, which records the digest. One from outside ships its files beside
its class.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import warnings
from pathlib import Path
from statistics import fmean

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ablations.data.download import fetch
from ablations.metrics.extractors.architectures import Architecture, DigitsCnn, Extractor, FashionCnn, InceptionV3Compat
from ablations.settings.plugins import imported, origin_of, outside_names
from analysis.errors import unknown

DOWNLOAD = "download"

ARCHITECTURES: dict[str, type[Architecture]] = {
    "digits-cnn": DigitsCnn,
    "fashion-cnn": FashionCnn,
    "inception-v3-compat": InceptionV3Compat,
}


def architecture_of(name: str) -> type[Architecture]:
    """The network of an extractor, one that ships or one from outside; InputError where there is none such."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name in outside_names("extractor"):
        return imported("extractor", name)
    raise unknown("extractor", name, [*ARCHITECTURES, *outside_names("extractor")])


def weights_file(name: str, weights: str | None) -> Path | None:
    """The file of weights that a path, or `download`, names; None for those that ship.

    Where they are fetched, they lie in torch.hub's folder of checkpoints, as torch-fidelity's own do: what is there
    already is taken. ValueError, in one line, if they cannot be had.
    """
    if weights != DOWNLOAD:
        return Path(weights) if weights else None
    published = architecture_of(name).published
    if published is None:
        raise ValueError(f"evaluation.weights={DOWNLOAD}: the weights of {name} are published nowhere: leave it out")
    return fetch(published, Path(torch.hub.get_dir()) / "checkpoints")


def identity(name: str, weights: Path | None = None) -> str:
    """name:digest, what a stage that uses the extractor is known by. ValueError where it cannot be loaded, so that a
    plan can refuse before anything is trained."""
    extractor = load(name, weights)
    return " ".join(filter(None, [f"{name}:{extractor.digest}", origin_of(type(extractor.module))]))


def load(name: str, weights: Path | None = None) -> Extractor:
    """The extractor `name`: a shipped one from its files, others from `weights`.

    ValueError, in one line, if the name is unknown, a file is missing or damaged, or the weights are not its own.
    """
    architecture = architecture_of(name)
    if weights is None and not architecture.shipped:
        download = f"evaluation.weights={DOWNLOAD}, " if architecture.published else ""
        raise ValueError(
            f"FID needs the weights of {name}, which are not shipped: give {download}evaluation.weights=PATH "
            f"({architecture.source}), or take evaluation.quality=[] for the likelihood alone"
        )
    if weights is None and not architecture().holder.state_dict():
        return Extractor(name, _digest(b""), None, architecture().eval())
    path = weights or Path(inspect.getfile(architecture)).parent / f"{name}.safetensors"
    with torch.device("meta"):
        module = architecture()
    try:
        content = path.read_bytes()
        accuracy = None
        if weights is None:
            record = json.loads(path.with_suffix(".json").read_bytes())
            if record["digest"] != _digest(content):
                raise ValueError(f"it has digest {_digest(content)}, its JSON file records {record['digest']}")
            accuracy = fmean(float(record["accuracy"][split]) for split in ("validation", "test"))
        module.holder.load_state_dict(parse(content, path), assign=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        source = f" (expected: {architecture.source})" if architecture.source else ""
        raise ValueError(f"extractor {name}: {path} cannot be used: {reason}{source}") from error
    return Extractor(name, _digest(content), accuracy, module.float().eval().requires_grad_(False))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def parse(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors by name of a safetensors file, or of a dictionary that `torch.save` wrote, read without running code;
    ValueError, which does not name the file, if it is not such a file."""
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load(content)
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
