"""The shipped extractors: what their records say of them, what they refuse, and what they take."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ablations.data.digits import Digits
from ablations.data.fashion_mnist import DEBIAN, FashionMnist
from ablations.metrics import extractors
from ablations.metrics.extractors.architectures import features

NAME = "digits-cnn"
SHIPPED = [name for name, architecture in extractors.ARCHITECTURES.items() if architecture.shipped]
CPU = torch.device("cpu")
needs_fashion = pytest.mark.skipif(not Path(DEBIAN).is_dir(), reason="needs Debian's dataset-fashion-mnist")


@pytest.fixture(scope="module")
def data():
    return Digits().load()


@pytest.fixture
def copied(tmp_path):
    """The shipped files in a folder where they can be spoilt."""
    for kind in ("safetensors", "json"):
        content = (extractors.HERE / f"{NAME}.{kind}").read_bytes()
        (tmp_path / f"{NAME}.{kind}").write_bytes(content)
    return tmp_path / f"{NAME}.safetensors"


def record_of(name: str) -> dict:
    return json.loads((extractors.HERE / f"{name}.json").read_text())


def record_digest(weights) -> None:
    """Make the record vouch for the file as it is."""
    path = weights.with_suffix(".json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"digest": extractors.digest_of(weights.read_bytes())}))


def refuse(weights, match: str) -> None:
    for use in (extractors.identity, extractors.load):
        with pytest.raises(ValueError, match=match) as caught:
            use(NAME, weights)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "choice", "at_least"),
    [
        (NAME, Digits(), 0.96),
        pytest.param(
            "fashion-cnn",
            FashionMnist(train_images=5, held_out_images=2000),
            0.88,
            marks=needs_fashion,
            id="fashion-cnn",
        ),
    ],
)
def test_shipped_accuracy_is_the_recorded_one(name, choice, at_least):
    extractor, held_out = extractors.load(name), choice.load()
    record = record_of(name)["accuracy"]
    for split in ("validation", "test"):
        _, logits = features(extractor, held_out.images[split], CPU)
        share = float((logits.argmax(1) == held_out.labels[split]).double().mean())
        # One image may fall on the other side on another kind of machine; of a part of the images, more by chance.
        slack = 1.1 / len(logits) if name == NAME else 4 * (0.1 * 0.9 / len(logits)) ** 0.5
        assert abs(share - record[split]) <= slack
    assert extractor.accuracy == pytest.approx((record["validation"] + record["test"]) / 2)
    assert extractor.accuracy >= at_least


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_small_and_vouched_for(name):
    assert extractors.identity(name) == f"{name}:{record_of(name)['digest']}"
    assert extractors.load(name).digest == record_of(name)["digest"]
    assert (extractors.HERE / f"{name}.safetensors").stat().st_size < 500_000


def test_the_digits_extractor_is_the_one_that_committed_results_name():
    assert extractors.load(NAME).digest == "54eea536bfd1"


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_loaded_learns_nothing_more(name):
    module = extractors.load(name).module
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert not module.training


def test_features_do_not_depend_on_the_batch(data, monkeypatch):
    extractor = extractors.load(NAME)
    whole = features(extractor, data.images["test"], CPU)
    monkeypatch.setattr(extractors.DigitsCnn, "batch", 37)
    for one, other in zip(whole, features(extractor, data.images["test"], CPU), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_one_fashion_extractor_serves_both_sizes():
    extractor = extractors.load("fashion-cnn")
    large = torch.randint(256, (20, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    # Rounded means over 2×2, halves up, in whole numbers.
    sums = large.long().unflatten(3, (16, 2)).unflatten(2, (16, 2)).sum((3, 5))
    small = ((2 * sums + 4) // 8).to(torch.uint8)
    for one, other in zip(features(extractor, large, CPU), features(extractor, small, CPU), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.gpu
def test_features_agree_between_devices(data):
    extractor = extractors.load(NAME)
    on_gpu, _ = features(extractor, data.images["test"], torch.device("cuda"))
    on_cpu, _ = features(extractor, data.images["test"], CPU)
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(4, 1, 8, 8),
        torch.zeros(4, 8, 8, dtype=torch.uint8),
        torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(4, 1, 8, 16, dtype=torch.uint8),
        torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
        torch.full((4, 1, 8, 8), 255, dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"takes uint8 images \[N, 1, 8, 8\] of levels 0..16, got"):
        features(extractors.load(NAME), images, CPU)


def test_digits_are_no_images_for_the_fashion_extractor(data):
    with pytest.raises(ValueError, match=r"fashion-cnn takes uint8 images \[N, 1, 16, 16 or 32, 32\] of levels 0..255"):
        features(extractors.load("fashion-cnn"), data.images["test"], CPU)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown extractor 'digit-cnn': allowed are digits-cnn, .* \(nearest: digits-cnn\)"
    ):
        extractors.load("digit-cnn")
    with pytest.raises(ValueError, match="unknown extractor ''"):
        extractors.identity("")


def test_copied_files_give_the_same_extractor(copied):
    assert extractors.load(NAME, copied).digest == extractors.load(NAME).digest


def test_missing_files_are_refused(copied, tmp_path):
    refuse(tmp_path / "none.safetensors", r"cannot read .*none.json")
    copied.unlink()
    refuse(copied, r"cannot read .*digits-cnn.safetensors")


def test_a_changed_byte_is_refused(copied):
    content = bytearray(copied.read_bytes())
    content[-1] ^= 1
    copied.write_bytes(content)
    refuse(copied, "has digest [0-9a-f]{12}, its JSON file records [0-9a-f]{12}")


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x80\x04\x95pickle"])
def test_a_foreign_file_is_refused_though_its_digest_is_recorded(copied, content):
    copied.write_bytes(content)
    record_digest(copied)
    refuse(copied, "is not a safetensors file")


def test_foreign_tensors_are_refused(copied):
    save_file({"body.0.weight": torch.zeros(3, 3), "more": torch.zeros(1)}, copied)
    record_digest(copied)
    refuse(
        copied,
        r"holds other tensors than DigitsCnn: body.0.bias, body.2.bias and 7 more missing; more unknown; "
        r"body.0.weight of another shape or type",
    )


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"digest": "0", "accuracy": 1}', '{"digest": "0", "accuracy": {}}']
)
def test_a_foreign_record_is_refused(copied, content):
    copied.with_suffix(".json").write_text(content)
    refuse(copied, "is not its record")
