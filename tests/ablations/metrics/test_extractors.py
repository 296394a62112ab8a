"""Extractors: what shipped ones say of themselves, weights from a path or fetched, read without running code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ablations.data.digits import Digits
from ablations.data.download import MIRROR
from ablations.data.fashion_mnist import DEBIAN, FashionMnist
from ablations.metrics import extractors, kid
from ablations.metrics.extractors.architectures import Extractor, features
from ablations.metrics.extractors.inception import InceptionV3Compat
from ablations.metrics.fid import cautions
from ablations.metrics.judging import extractor_identity, extractor_of
from ablations.metrics.sets import Examined, Judged
from ablations.settings.identity import cell_id
from ablations.settings.making import make_cell

DIGITS, FASHION, INCEPTION = extractors.ARCHITECTURES
HERE = Path(extractors.__file__).parent
CPU = torch.device("cpu")
needs_fashion = pytest.mark.skipif(not Path(DEBIAN).is_dir(), reason="needs Debian's dataset-fashion-mnist")


def refuse(name: str, weights: Path | None, match: str) -> None:
    for use in (extractors.identity, extractors.load):
        with pytest.raises(ValueError, match=match) as caught:
            use(name, weights)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "choice", "at_least"),
    [
        (DIGITS, Digits(), 0.96),
        pytest.param(FASHION, FashionMnist(train_images=5, held_out_images=2000), 0.88, marks=needs_fashion),
    ],
    ids=[DIGITS, FASHION],
)
def test_shipped_accuracy_is_the_recorded_one(name, choice, at_least):
    extractor, held_out = extractors.load(name), choice.load()
    record = json.loads((HERE / f"{name}.json").read_text())["accuracy"]
    for split in ("validation", "test"):
        _, logits = features(extractor, held_out.images[split], CPU)
        share = float((logits.argmax(1) == held_out.labels[split]).double().mean())
        # One image may fall on the other side on another kind of machine; of a part of the images, more by chance.
        slack = 1.1 / len(logits) if name == DIGITS else 4 * (0.1 * 0.9 / len(logits)) ** 0.5
        assert abs(share - record[split]) <= slack
    assert extractor.accuracy == pytest.approx((record["validation"] + record["test"]) / 2)
    assert extractor.accuracy >= at_least


@pytest.mark.parametrize(("name", "digest"), [(DIGITS, "54eea536bfd1"), (FASHION, None)])
def test_shipped_files_are_small_vouched_for_and_learn_nothing_more(name, digest):
    record = json.loads((HERE / f"{name}.json").read_text())
    # Committed results name it.
    assert digest in (None, record["digest"])
    assert extractors.identity(name) == f"{name}:{record['digest']}"
    assert extractors.load(name).digest == record["digest"]
    assert (HERE / f"{name}.safetensors").stat().st_size < 500_000
    module = extractors.load(name).module
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module.training


def test_features_do_not_depend_on_the_batch(images, monkeypatch):
    extractor = extractors.load(DIGITS)
    whole = features(extractor, images["test"], CPU)
    monkeypatch.setattr(extractors.DigitsCnn, "batch", 37)
    for one, other in zip(whole, features(extractor, images["test"], CPU), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_one_fashion_extractor_serves_both_sizes():
    extractor = extractors.load(FASHION)
    large = torch.randint(256, (20, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    # Rounded means over 2×2, halves up, in whole numbers.
    sums = large.long().unflatten(3, (16, 2)).unflatten(2, (16, 2)).sum((3, 5))
    small = ((2 * sums + 4) // 8).to(torch.uint8)
    for one, other in zip(features(extractor, large, CPU), features(extractor, small, CPU), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.cuda
def test_features_agree_between_devices(images):
    extractor = extractors.load(DIGITS)
    on_gpu, on_cpu = (features(extractor, images["test"], torch.device(kind))[0] for kind in ("cuda", "cpu"))
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-4, atol=1e-4)


SMALL, LARGE = r"takes uint8 images \[N, 1, 8, 8\] of levels 0..16", r"\[N, 1, 16, 16 or 32, 32\] of levels 0..255"
COLOUR = r"takes uint8 images \[N, 1 or 3, H, W\] of levels 0..255"


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        (DIGITS, torch.zeros(4, 1, 8, 8), SMALL),
        *((DIGITS, torch.zeros(shape, dtype=torch.uint8), SMALL) for shape in ((4, 8, 8), (4, 3, 8, 8), (0, 1, 8, 8))),
        (DIGITS, torch.zeros(4, 1, 8, 16, dtype=torch.uint8), SMALL),
        (DIGITS, torch.full((4, 1, 8, 8), 255, dtype=torch.uint8), SMALL),
        (FASHION, torch.zeros(4, 1, 8, 8, dtype=torch.uint8), LARGE),
        *(
            (INCEPTION, torch.zeros(shape, dtype=torch.uint8), COLOUR)
            for shape in ((2, 2, 9, 9), (2, 9, 9), (0, 3, 9, 9))
        ),
    ],
)
def test_other_images_are_refused(name, wrong, said):
    with pytest.raises(ValueError, match=said):
        extractors.architecture_of(name).check(name, wrong)


def test_an_unknown_name_is_refused_with_the_nearest():
    refuse("digit-cnn", None, r"unknown extractor 'digit-cnn': allowed are digits-cnn, .* \(nearest: digits-cnn\)")
    refuse("", None, "unknown extractor ''")


@pytest.fixture
def copied(tmp_path) -> Path:
    """The shipped files in a folder where they can be spoilt."""
    for kind in ("safetensors", "json"):
        shutil.copy(HERE / f"{DIGITS}.{kind}", tmp_path)
    return tmp_path / f"{DIGITS}.safetensors"


def changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.with_suffix(".json").unlink(), r"cannot read .*digits-cnn.json"),
        (lambda path: path.unlink(), r"cannot read .*digits-cnn.safetensors"),
        (
            lambda path: path.write_bytes(changed(path.read_bytes())),
            "has digest [0-9a-f]{12}, its JSON file records [0-9a-f]",
        ),
        *(
            (lambda path, text=text: path.with_suffix(".json").write_text(text), "is not its record")
            for text in ("{", "[]", "{}", '{"digest": "0", "accuracy": 1}', '{"digest": "0", "accuracy": {}}')
        ),
    ],
)
def test_missing_and_altered_files_are_refused(spoil, said, copied):
    assert extractors.load(DIGITS, copied).digest == extractors.load(DIGITS).digest
    spoil(copied)
    refuse(DIGITS, copied, said)


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


@pytest.mark.thorough
def test_safetensors_and_pth_are_one_network_with_digests_of_their_own(weights, state, colour, tmp_path):
    save_file(state, tmp_path / "weights.safetensors")
    paths = weights, tmp_path / "weights.safetensors"
    loaded = [extractors.load(INCEPTION, path) for path in paths]
    for extractor, path in zip(loaded, paths, strict=True):
        assert extractor.digest == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        assert extractors.identity(INCEPTION, path) == f"{INCEPTION}:{extractor.digest}"
        assert extractor.accuracy is None
    assert torch.equal(*(features(extractor, colour[:1], CPU)[0] for extractor in loaded))
    # Grey images are shown as colour.
    grey = colour[:1, :1]
    assert torch.equal(*(features(loaded[0], part, CPU)[0] for part in (grey, grey.expand(-1, 3, -1, -1))))


class Runs:
    """Unpickles to a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def program(path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)


NO_STATE, OTHER = (
    "is not a state_dict that can be read without running code",
    "holds other tensors than InceptionV3Compat",
)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("none.pth", lambda path: None, "cannot read .*none.pth"),
        (
            "weights.bin",
            lambda path: path.write_bytes(b"x"),
            "no file of weights by its name: expected .safetensors or .pth",
        ),
        ("empty.pth", lambda path: path.write_bytes(b""), NO_STATE),
        ("text.pt", lambda path: path.write_bytes(b"not weights"), NO_STATE),
        ("text.safetensors", lambda path: path.write_bytes(b"not weights"), "is not a safetensors file"),
        ("module.pth", lambda path: torch.save(torch.nn.Linear(2, 2), path), NO_STATE),
        ("program.pt", program, NO_STATE),
        *(
            ("evil.pth", lambda path, way=way: torch.save({"a": Runs(path.parent / "made")}, path, **way), NO_STATE)
            for way in ({}, {"_use_new_zipfile_serialization": False})
        ),
        (
            "epoch.pth",
            lambda path: torch.save({"state_dict": {}, "epoch": 3}, path),
            "something else than a state_dict",
        ),
        ("list.pth", lambda path: torch.save([torch.zeros(1)], path), "something else than a state_dict"),
        ("short.pth", lambda path: torch.save({"fc.bias": torch.zeros(1008)}, path), f"{OTHER}: Conv2d_1a"),
        # What torchvision's network has and has not.
        (
            "other.pth",
            lambda path: torch.save({"AuxLogits.fc.bias": torch.zeros(9)}, path),
            f"{OTHER}: AuxLogits.fc.bias",
        ),
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
    known = dataclasses.replace(InceptionV3Compat.published, digest=digest)
    monkeypatch.setattr(InceptionV3Compat, "published", known)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv(MIRROR, tmp_path.as_uri())
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
    assert extractor_of(fetched).digest == extractor_of(given).digest
    # Where torch-fidelity looks for them.
    assert (tmp_path / "torch" / "hub" / "checkpoints" / InceptionV3Compat.published.name).is_file()


def test_weights_that_cannot_be_had_are_refused_in_one_line(mirror, tmp_path):
    mirror.write_bytes(mirror.read_bytes()[:1000])
    for cell, said in (
        (cell_with("download"), r"6726825d.pth cannot be fetched into .*cut"),
        (cell_with("download", "digits"), r"the weights of digits-cnn are published nowhere, they ship with it"),
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


def test_kid_of_inception_is_taken_as_published_and_of_small_extractors_standardised(monkeypatch):
    asked = []
    monkeypatch.setattr(kid, "kid", lambda x, y, *, standardised: asked.append(standardised) or 0.0)
    for name, cls in extractors.ARCHITECTURES.items():
        with torch.device("meta"):
            module = cls()
        feature = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        examined = Examined(feature, Extractor(name, "0", None, module))
        vars(examined)["_outputs"] = (feature, feature)
        kid.Kid().compute(Judged(examined, examined))
    assert asked == [True, True, False]


def test_fid_on_no_more_images_than_features_carries_a_caution():
    assert cautions(INCEPTION, 2049) == cautions(DIGITS, 450) == []
    (line,) = cautions(INCEPTION, 2048)
    assert "2048 features on n = 2048 images" in line
