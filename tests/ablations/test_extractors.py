"""The shipped extractor: what its record says of it, what it refuses, and what it learned from."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from ablations import extractors
from ablations.data import Data, Digits
from ablations.extractors import train_digits
from ablations.quality import nearest_distance

NAME = "digits-cnn"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> Data:
    return Digits().load()


@pytest.fixture
def copied(tmp_path):
    """The shipped files in a folder where they can be spoilt."""
    for kind in ("safetensors", "json"):
        content = (extractors.HERE / f"{NAME}.{kind}").read_bytes()
        (tmp_path / f"{NAME}.{kind}").write_bytes(content)
    return tmp_path / f"{NAME}.safetensors"


def record_digest(weights) -> None:
    """Make the record vouch for the file as it is."""
    path = weights.with_suffix(".json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"digest": extractors.digest_of(weights.read_bytes())}))


def refuse(weights, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        extractors.load(NAME, weights)
    assert "\n" not in str(caught.value)


def test_shipped_accuracy_is_the_recorded_one(data):
    extractor = extractors.load(NAME)
    record = json.loads((extractors.HERE / f"{NAME}.json").read_text())["accuracy"]
    shares = {}
    for split in ("validation", "test"):
        _, logits = extractors.features(extractor, data.images[split], CPU)
        shares[split] = float((logits.argmax(1) == data.labels[split]).double().mean())
        # One image may fall on the other side on another kind of machine.
        assert shares[split] >= record[split] - 1.1 / len(logits)
    assert extractor.accuracy == pytest.approx((shares["validation"] + shares["test"]) / 2, abs=0.0025)
    assert extractor.accuracy >= 0.96


def test_shipped_record_is_of_the_current_recipe_and_data(data):
    record = json.loads((extractors.HERE / f"{NAME}.json").read_text())
    assert record["recipe"] == dataclasses.asdict(train_digits.Recipe())
    assert record["data"]["digest"] == data.digest
    assert record["digest"] == extractors.load(NAME).digest


def test_features_are_frozen_float64_on_the_cpu(data):
    extractor = extractors.load(NAME)
    with torch.autocast("cpu", torch.bfloat16):
        feature, logits = extractors.features(extractor, data.images["test"], CPU)
    plain, _ = extractors.features(extractor, data.images["test"], CPU)
    assert feature.shape == (450, 64)
    assert logits.shape == (450, 10)
    assert feature.dtype == logits.dtype == torch.float64
    torch.testing.assert_close(feature, plain, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in extractor.module.parameters())
    assert not extractor.module.training


def test_features_do_not_depend_on_the_batch(data, monkeypatch):
    extractor = extractors.load(NAME)
    whole = extractors.features(extractor, data.images["test"], CPU)
    monkeypatch.setattr(extractors, "BATCH", 37)
    for one, other in zip(whole, extractors.features(extractor, data.images["test"], CPU), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.gpu
def test_features_agree_between_devices(data):
    extractor = extractors.load(NAME)
    on_gpu, _ = extractors.features(extractor, data.images["test"], torch.device("cuda"))
    on_cpu, _ = extractors.features(extractor, data.images["test"], CPU)
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(4, 1, 8, 8),
        torch.zeros(4, 8, 8, dtype=torch.uint8),
        torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
        torch.full((4, 1, 8, 8), 255, dtype=torch.uint8),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError, match=r"takes uint8 images \[N, 1, 8, 8\] of levels 0..16, got"):
        extractors.features(extractors.load(NAME), images, CPU)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown extractor 'digit-cnn': allowed are digits-cnn \(nearest: digits-cnn\)"
    ):
        extractors.load("digit-cnn")
    with pytest.raises(ValueError, match="unknown extractor ''"):
        extractors.load("")


def test_copied_files_give_the_same_extractor(copied):
    assert extractors.load(NAME, copied).digest == extractors.load(NAME).digest


def test_missing_files_are_refused(copied, tmp_path):
    refuse(tmp_path / "none.safetensors", "cannot read .*none.json")
    copied.unlink()
    refuse(copied, "cannot read .*digits-cnn.safetensors")


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
    save_file({"body.0.weight": torch.zeros(3, 3)}, copied)
    record_digest(copied)
    refuse(copied, "holds other tensors than DigitsCnn: body.0.weight")


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"digest": "0", "accuracy": 1}', '{"digest": "0", "accuracy": {}}']
)
def test_a_foreign_record_is_refused(copied, content):
    copied.with_suffix(".json").write_text(content)
    refuse(copied, "is not its record")


def test_training_sees_training_images_only(data, tmp_path, monkeypatch):
    seen = []

    def remember(images, labels, recipe):
        seen.append((images, labels))
        return extractors.DigitsCnn().eval()

    monkeypatch.setattr(train_digits, "train", remember)
    train_digits.main([f"out={tmp_path / 'new'}"])
    ((images, labels),) = seen
    assert torch.equal(images, data.images["train"])
    assert torch.equal(labels, data.labels["train"])
    for split in ("validation", "test"):
        assert float(nearest_distance(data.images[split], images).min()) > 0
    # What the script writes is what `load` reads.
    assert extractors.load(NAME, tmp_path / "new" / f"{NAME}.safetensors").accuracy < 0.5


def test_training_is_repeatable_and_learns(data):
    recipe = train_digits.Recipe(steps=60)
    first, second = (train_digits.train(data.images["train"], data.labels["train"], recipe) for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert train_digits.accuracy(first, data.images["train"], data.labels["train"]) > 0.5


def test_augmentation_without_shift_and_noise_changes_nothing(data):
    levels = data.images["train"][:5].float()
    still = train_digits.Recipe(shift=0, noise=0)
    torch.testing.assert_close(train_digits.augment(levels, still, torch.Generator()), levels, rtol=0, atol=1e-4)


def test_augmentation_shifts_by_pixels(data):
    levels = data.images["train"][:200].float()
    moved = train_digits.augment(levels, train_digits.Recipe(shift=1, noise=0), torch.Generator().manual_seed(0))
    column = torch.arange(8.0)

    def centre(x):
        return (x.sum(2)[:, 0] * column).sum(1) / x.sum((1, 2, 3))

    offset = (centre(moved) - centre(levels)).abs()
    assert 0.3 < float(offset.mean()) < 0.6
    assert float(offset.max()) < 1.1


@pytest.mark.parametrize("arguments", [["to=x"], ["out="], ["out=a", "out=b"]])
def test_the_script_refuses_other_arguments(arguments):
    with pytest.raises(SystemExit, match="takes nothing or out=FOLDER, got"):
        train_digits.main(arguments)
