"""Inception: weights from a path or fetched, read without running code, and with them torch-fidelity's own network."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ablations.data.download import MIRROR
from ablations.metrics import extractors, kid
from ablations.metrics.extractors.architectures import Extractor, features
from ablations.metrics.extractors.inception import InceptionV3Compat
from ablations.metrics.fid import cautions
from ablations.metrics.judging import extractor_identity, extractor_of
from ablations.metrics.sets import Examined, Judged
from ablations.settings.identity import cell_id
from ablations.settings.making import make_cell
from tests.ablations.data.served import serving

NAME = "inception-v3-compat"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights in the layout, of a size that lets signals through: no real ones are at hand."""
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
def images() -> Tensor:
    return torch.randint(256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def refuse(weights: Path | None, match: str) -> None:
    for use in (extractors.identity, extractors.load):
        with pytest.raises(ValueError, match=match) as caught:
            use(NAME, weights)
        assert "\n" not in str(caught.value)
        assert "weights-inception-2015-12-05-6726825d.pth" in str(caught.value)


def test_features_are_those_of_torch_fidelitys_own_class(weights, images):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    ours = features(extractors.load(NAME, weights), images, CPU)
    # It unpickles the file, which is this test's own.
    own = FeatureExtractorInceptionV3("own", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights))
    with torch.no_grad():
        theirs = own(images)
    assert [tuple(part.shape) for part in ours] == [(3, 2048), (3, 1008)]
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one, other.double(), rtol=1e-5, atol=1e-5)
    assert float(ours[0].std(0).max()) > 0.01


@pytest.mark.thorough
def test_safetensors_and_pth_are_one_network_with_digests_of_their_own(weights, state, images, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    one, other = (extractors.load(NAME, where) for where in (weights, path))
    for extractor, where in ((one, weights), (other, path)):
        digest = hashlib.sha256(where.read_bytes()).hexdigest()[:12]
        assert extractor.digest == digest
        assert extractors.identity(NAME, where) == f"{NAME}:{digest}"
        assert extractor.accuracy is None
        assert not extractor.module.training
    first, second = (features(extractor, images[:1], CPU)[0] for extractor in (one, other))
    assert torch.equal(first, second)
    # Grey images are shown as colour.
    grey = images[:1, :1]
    as_colour = features(one, grey.expand(-1, 3, -1, -1), CPU)[0]
    assert torch.equal(features(one, grey, CPU)[0], as_colour)


@pytest.mark.parametrize("shape", [(2, 2, 16, 16), (2, 16, 16), (0, 3, 16, 16)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError, match=rf"{NAME} takes uint8 images \[N, 1 or 3, H, W\] of levels 0..255"):
        InceptionV3Compat.check(NAME, torch.zeros(shape, dtype=torch.uint8))


def test_without_weights_the_refusal_says_all_ways_out():
    path = r"evaluation.weights=PATH \(torch-fidelity's .*"
    refuse(None, rf"give evaluation.weights=download, {path}, or take evaluation.quality=\[\]")


@pytest.mark.thorough
def test_a_network_of_another_layout_is_refused(state, tmp_path):
    # What torchvision's inception_v3 has and has not.
    other = {key: value for key, value in state.items() if not key.startswith("fc.")}
    other |= {
        "AuxLogits.fc.bias": torch.zeros(1000),
        "fc.weight": torch.zeros(1000, 2048),
        "fc.bias": torch.zeros(1000),
    }
    torch.save(other, tmp_path / "torchvision.pth")
    refuse(
        tmp_path / "torchvision.pth",
        r"holds other tensors than InceptionV3Compat: AuxLogits.fc.bias unknown; fc.bias, fc.weight of another shape",
    )
    torch.save({key: state[key] for key in list(state)[:-1]}, tmp_path / "short.pth")
    refuse(tmp_path / "short.pth", "fc.bias missing")


@pytest.mark.parametrize("state", [{"state_dict": {"fc.bias": torch.zeros(1)}, "epoch": 3}, [torch.zeros(1)]])
def test_a_checkpoint_around_the_weights_is_refused(state, tmp_path):
    torch.save(state, tmp_path / "checkpoint.pth")
    refuse(tmp_path / "checkpoint.pth", "something else than a state_dict")


class Runs:
    """Unpickles to a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(zipped, tmp_path):
    target = tmp_path / "made"
    torch.save({"fc.bias": Runs(target)}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    refuse(tmp_path / "evil.pth", "is not a state_dict that can be read without running code")
    assert not target.exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_a_whole_module_and_a_torchscript_program_are_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    refuse(tmp_path / "module.pth", "is not a state_dict that can be read without running code")
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "program.pt")
    refuse(tmp_path / "program.pt", "is not a state_dict that can be read without running code")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pth", lambda whole: b"", "is not a state_dict"),
        ("cut.pth", lambda whole: whole[:1_000_000], "is not a state_dict"),
        ("text.pt", lambda whole: b"not weights", "is not a state_dict"),
        ("text.safetensors", lambda whole: b"not weights", "is not a safetensors file"),
        ("weights.bin", lambda whole: whole, "no file of weights by its name: expected .safetensors or .pth or .pt"),
    ],
)
def test_foreign_and_cut_files_are_refused(name, content, message, weights, tmp_path):
    (tmp_path / name).write_bytes(content(weights.read_bytes()))
    refuse(tmp_path / name, message)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=rf"extractor {NAME}: cannot read .*none.pth"):
        extractors.identity(NAME, tmp_path / "none.pth")


@pytest.fixture
def server(weights, tmp_path, monkeypatch):
    """A server of stand-in weights, their digest the known one, and an empty folder for what is fetched."""
    content = weights.read_bytes()
    known = dataclasses.replace(InceptionV3Compat.published, digest=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(InceptionV3Compat, "published", known)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({known.name: content}) as served:
        monkeypatch.setenv(MIRROR, served.address)
        yield served


def cell_with(weights: str):
    return make_cell([{"data": "patches", "evaluation.weights": weights}], seed=0)


@pytest.mark.thorough
def test_fetched_weights_are_one_extractor_and_one_cell_with_the_same_file_from_a_path(weights, server, tmp_path):
    fetched, given = cell_with("download"), cell_with(str(weights))
    known = [extractor_identity(cell) for cell in (fetched, given)]
    assert known[0] == known[1] == f"{NAME}:{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    assert cell_id(fetched, "0", "float32", known[0]) == cell_id(given, "0", "float32", known[1])
    assert extractor_of(fetched).digest == extractor_of(given).digest
    assert server.asked == [InceptionV3Compat.published.name]
    # Where torch-fidelity looks for them.
    assert (tmp_path / "torch" / "hub" / "checkpoints" / InceptionV3Compat.published.name).is_file()


def test_weights_that_cannot_be_fetched_are_refused_in_one_line(server, tmp_path):
    server.manner = "cut"
    with pytest.raises(ValueError, match=r"6726825d.pth cannot be fetched into .*it broke off") as caught:
        extractor_identity(cell_with("download"))
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


def test_weights_that_are_published_nowhere_are_not_looked_for(server):
    with pytest.raises(ValueError, match=r"the weights of digits-cnn are published nowhere, they ship with it"):
        extractor_identity(make_cell([{"evaluation.weights": "download"}], seed=0))
    assert server.asked == []


def test_the_official_address_is_torch_fidelitys_and_the_digest_begins_as_its_name_ends():
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    published = InceptionV3Compat.published
    assert published.url == URL_INCEPTION_V3
    assert published.algorithm == "sha256"
    assert len(published.digest) == 64
    assert published.digest.startswith(published.name.removesuffix(".pth").rpartition("-")[2])


def test_kid_of_inception_is_taken_as_published_and_of_small_extractors_standardised(monkeypatch):
    asked = []
    monkeypatch.setattr(kid, "kid", lambda x, y, *, standardised: asked.append(standardised) or 0.0)
    for name, cls in extractors.ARCHITECTURES.items():
        with torch.device("meta"):
            module = cls()
        extractor = Extractor(name, "0", None, module)
        feature = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        examined = Examined(feature, extractor)
        vars(examined)["_outputs"] = (feature, feature)
        kid.Kid().compute(Judged(examined, examined))
    assert asked == [True, True, False]


def test_fid_on_no_more_images_than_features_carries_a_caution():
    assert cautions(NAME, 2049) == []
    (line,) = cautions(NAME, 2048)
    assert "2048 features on n = 2048 images" in line
    assert cautions("digits-cnn", 450) == []
