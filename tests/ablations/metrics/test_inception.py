"""Inception: weights from a path or fetched, read without running code, and with them torch-fidelity's own network."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import InceptionV3Compat, features
from ablations.metrics.scoring import extractor_identity, extractor_of
from ablations.settings.making import make_cell
from ablations.settings.registry import cell_id
from tests.ablations.metrics.test_extractors import CPU, INCEPTION, refuse


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights in Inception's layout, of a size that lets signals through: no real ones are at hand."""
    with torch.device("meta"):
        empty = InceptionV3Compat().holder.state_dict()
    generator = torch.Generator().manual_seed(0)
    filled = {}
    for key, value in empty.items():
        if value.dim() > 1:
            filled[key] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
        else:
            filled[key] = torch.full(value.shape, float(key.endswith(("var", "bn.weight")))).to(value.dtype)
    return filled


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def colour() -> Tensor:
    return torch.randint(256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_features_of_inception_are_those_of_torch_fidelitys_own_class(weights, colour):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    ours = features(extractors.load(INCEPTION, weights), colour, CPU)
    # It unpickles the file, which is this test's own.
    own = FeatureExtractorInceptionV3("own", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights))
    with torch.no_grad():
        theirs = own(colour)
    assert [tuple(part.shape) for part in ours] == [(3, 2048), (3, 1008)]
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other.double(), rtol=1e-5, atol=1e-5)
    assert float(ours[0].std(0).max()) > 0.01


class Runs:
    """Unpickles to a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def program(path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)


NO_STATE = "it is no state_dict that can be read without running code"


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("none.pth", lambda path: None, "No such file .*none.pth"),
        ("text.pt", lambda path: path.write_bytes(b"not weights"), NO_STATE),
        ("text.safetensors", lambda path: path.write_bytes(b"not weights"), "it is not a safetensors file"),
        ("program.pt", program, NO_STATE),
        *(
            ("evil.pth", lambda path, way=way: torch.save({"a": Runs(path.parent / "made")}, path, **way), NO_STATE)
            for way in ({}, {"_use_new_zipfile_serialization": False})
        ),
        ("list.pth", lambda path: torch.save([torch.zeros(1)], path), "something else than a state_dict"),
        ("short.pth", lambda path: torch.save({"fc.bias": torch.zeros(1008)}, path), "Missing key.*Conv2d_1a"),
    ],
)
def test_foreign_cut_and_evil_files_are_refused_and_run_nothing(name, write, said, tmp_path):
    write(tmp_path / name)
    refuse(INCEPTION, tmp_path / name, said)
    assert not (tmp_path / "made").exists()


@pytest.fixture
def mirror(weights, tmp_path, monkeypatch) -> Path:
    """A mirror of stand-in weights, their digest the known one, and an empty folder for what is fetched."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    name = InceptionV3Compat.published.name
    known = dataclasses.replace(InceptionV3Compat.published, url=f"{tmp_path.as_uri()}/{name}", digest=digest)
    monkeypatch.setattr(InceptionV3Compat, "published", known)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    shutil.copy(weights, tmp_path / known.name)
    return tmp_path / known.name


def cell_with(weights: str | None, data: str = "patches"):
    return make_cell([{"data": data, "evaluation.weights": weights}], seed=0)


@pytest.mark.thorough
def test_fetched_weights_are_one_extractor_and_one_cell_with_the_same_file_from_a_path(weights, mirror, tmp_path):
    fetched, given = cell_with("download"), cell_with(str(weights))
    known = [extractor_identity(cell) for cell in (fetched, given)]
    assert known[0] == known[1] == f"{INCEPTION}:{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    assert cell_id(fetched, "0", "float32", known[0]) == cell_id(given, "0", "float32", known[1])
    mirror.unlink()
    first, second = (extractor_of(cell.data.extractor, cell.evaluation.weights) for cell in (fetched, given))
    assert first.digest == second.digest
    # Where torch-fidelity looks for them.
    assert (tmp_path / "torch" / "hub" / "checkpoints" / InceptionV3Compat.published.name).is_file()


def test_weights_that_cannot_be_had_are_refused_in_one_line(mirror, tmp_path):
    mirror.write_bytes(mirror.read_bytes()[:1000])
    for cell, said in (
        (cell_with("download"), r"6726825d.pth cannot be fetched into .*cut"),
        (cell_with("download", "digits"), "the weights of digits-cnn are published nowhere: leave it out"),
        (
            cell_with(None),
            r"give evaluation.weights=download, evaluation.weights=PATH \(torch-fidelity's .*quality=\[\]",
        ),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            extractor_identity(cell)
        assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


def test_the_official_address_is_torch_fidelitys_and_the_digest_begins_as_its_name_ends():
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    published = InceptionV3Compat.published
    assert (published.url, published.algorithm, len(published.digest)) == (URL_INCEPTION_V3, "sha256", 64)
    assert published.digest.startswith(published.name.removesuffix(".pth").rpartition("-")[2])
