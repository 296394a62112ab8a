"""Extractors: what shipped ones say of themselves, what they refuse, and what they take."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ablations.data.shipped import Digits
from ablations.metrics import discrepancies, extractors
from ablations.metrics.extractors.architectures import Extractor, features
from ablations.metrics.metric import Comparison, FeatureSet

DIGITS, FASHION, INCEPTION = extractors.ARCHITECTURES
HERE = Path(extractors.__file__).parent
CPU = torch.device("cpu")


def refuse(name: str, weights: Path | None, match: str) -> None:
    for use in (extractors.identity, extractors.load):
        with pytest.raises(ValueError, match=match) as caught:
            use(name, weights)
        assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("name", [DIGITS, FASHION])
def test_shipped_files_are_small_vouched_for_and_as_accurate_as_recorded(name):
    record, extractor = json.loads((HERE / f"{name}.json").read_text()), extractors.load(name)
    assert extractors.identity(name) == f"{name}:{record['digest']}"
    assert name != DIGITS or record["digest"] == "54eea536bfd1", "committed results name it"
    assert (HERE / f"{name}.safetensors").stat().st_size < 500_000
    assert not any(parameter.requires_grad for parameter in extractor.module.parameters())
    assert not extractor.module.training
    assert extractor.accuracy == pytest.approx((record["accuracy"]["validation"] + record["accuracy"]["test"]) / 2)
    if name == DIGITS:
        data = Digits().load()
        for split in ("validation", "test"):
            _, logits = features(extractor, data.images[split], CPU)
            share = float((logits.argmax(1) == data.labels[split]).double().mean())
            # One image may fall on the other side on another kind of machine.
            assert abs(share - record["accuracy"][split]) <= 1.1 / len(logits)


def test_a_shipped_file_that_was_altered_is_refused(tmp_path, monkeypatch):
    for kind in ("safetensors", "json"):
        shutil.copy(HERE / f"{DIGITS}.{kind}", tmp_path)
    weights = tmp_path / f"{DIGITS}.safetensors"
    monkeypatch.setattr(extractors.inspect, "getfile", lambda _: str(tmp_path / "code.py"))
    assert extractors.load(DIGITS).accuracy > 0.96
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refuse(DIGITS, None, "it has digest [0-9a-f]{12}, its JSON file records 54eea536bfd1")


SMALL, LARGE = r"takes uint8 images \[N, 1, 8, 8\] of levels 0..16", r"\[N, 1, 16, 16 or 32, 32\] of levels 0..255"
COLOUR = r"takes uint8 images \[N, 1 or 3, H, W\] of levels 0..255"


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        (DIGITS, torch.zeros(4, 1, 8, 8), SMALL),
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
    refuse("digit-cnn", None, r"no extractor called 'digit-cnn': there are digits-cnn, .*did you mean 'digits-cnn'")


def test_kid_of_inception_is_taken_as_published_and_of_small_extractors_standardised(monkeypatch):
    asked = []
    monkeypatch.setattr(discrepancies, "kid", lambda x, y, *, standardised: asked.append(standardised) or 0.0)
    for name, cls in extractors.ARCHITECTURES.items():
        module = SimpleNamespace(standardised=cls.standardised)
        feature = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        features = FeatureSet(feature, Extractor(name, "0", None, module))
        vars(features)["_outputs"] = (feature, feature)
        discrepancies.Kid().compute(Comparison(features, features))
    assert asked == [True, True, False]
