"""Extractors: what shipped ones say of themselves, what they refuse, and what they take."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from ablations.data.digits import Digits
from ablations.data.fashion_mnist import DEBIAN, FashionMnist
from ablations.metrics import extractors, kid
from ablations.metrics.extractors.architectures import Extractor, features
from ablations.metrics.fid import cautions
from ablations.metrics.sets import Examined, Judged

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


@pytest.mark.gpu
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
