"""How the shipped extractors are trained: on what, by which recipe, and repeatably."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from ablations.data.digits import Digits
from ablations.data.fashion_mnist import DEBIAN
from ablations.metrics import extractors
from ablations.metrics.extractors import train
from ablations.metrics.memorisation import nearest_distance
from tests.ablations.data.fabricated import fashion
from tests.ablations.settings.test_grammar import one_line_error

needs_fashion = pytest.mark.skipif(not Path(DEBIAN).is_dir(), reason="needs Debian's dataset-fashion-mnist")


@pytest.fixture(scope="module")
def data():
    return Digits().load()


def augmented(levels, recipe):
    return train.augment(levels, recipe, 17, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["digits-cnn", pytest.param("fashion-cnn", marks=needs_fashion)])
def test_shipped_record_is_of_the_current_recipe_and_data(name):
    record = json.loads((extractors.HERE / f"{name}.json").read_text())
    assert record["recipe"] == dataclasses.asdict(train.RECIPES[name])
    assert record["data"]["digest"] == train.DATA[name].load().digest


def test_every_shipped_extractor_has_a_recipe():
    assert set(train.RECIPES) == {name for name, cls in extractors.ARCHITECTURES.items() if cls.shipped}
    assert set(train.RECIPES) == set(train.DATA)


def test_training_sees_training_images_only(data, tmp_path, monkeypatch):
    seen = []

    def remember(architecture, images, labels, recipe):
        seen.append((images, labels))
        return architecture().eval()

    monkeypatch.setattr(train, "train", remember)
    train.main(["name=digits-cnn", f"out={tmp_path / 'new'}"])
    ((images, labels),) = seen
    assert torch.equal(images, data.images["train"])
    assert torch.equal(labels, data.labels["train"])
    for split in ("validation", "test"):
        assert float(nearest_distance(data.images[split], images).min()) > 0
    # What the script writes is what `load` reads.
    assert extractors.load("digits-cnn", tmp_path / "new" / "digits-cnn.safetensors").accuracy < 0.5


def test_fashion_is_learnt_from_wherever_its_files_are(tmp_path, monkeypatch):
    fashion(tmp_path)
    small = dataclasses.replace(train.DATA["fashion-cnn"], train_images=50, held_out_images=10)
    monkeypatch.setitem(train.DATA, "fashion-cnn", small)
    monkeypatch.setitem(train.RECIPES, "fashion-cnn", train.Recipe(steps=2, batch=4))
    train.main(["name=fashion-cnn", f"out={tmp_path}", f"data.root={tmp_path}"])
    record = json.loads((tmp_path / "fashion-cnn.json").read_text())
    assert record["data"]["name"] == "fashion_mnist"
    assert record["recipe"]["steps"] == 2
    loaded = extractors.load("fashion-cnn", tmp_path / "fashion-cnn.safetensors")
    assert loaded.digest == record["digest"]


def test_training_is_repeatable_and_learns(data):
    recipe = train.Recipe(steps=60)
    images, labels = data.images["train"], data.labels["train"]
    first, second = (train.train(extractors.DigitsCnn, images, labels, recipe) for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert train.accuracy(first, images, labels) > 0.5


def test_augmentation_without_shift_and_noise_changes_nothing(data):
    levels = data.images["train"][:5].float()
    torch.testing.assert_close(augmented(levels, train.Recipe(shift=0, noise=0)), levels, rtol=0, atol=1e-4)


def test_augmentation_adds_noise_in_units_of_the_grey_range():
    black = torch.zeros(200, 1, 8, 8)
    assert float(augmented(black, train.Recipe(noise=0.25)).std()) == pytest.approx(0.25 * 16, rel=0.03)


def test_augmentation_shifts_by_pixels(data):
    levels = data.images["train"][:200].float()
    moved = augmented(levels, train.Recipe(shift=1, noise=0))
    column = torch.arange(8.0)

    def centre(x):
        return (x.sum(2)[:, 0] * column).sum(1) / x.sum((1, 2, 3))

    offset = (centre(moved) - centre(levels)).abs()
    assert 0.3 < float(offset.mean()) < 0.6
    assert float(offset.max()) < 1.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name= is missing: give the extractor"),
        (
            ["name=digit-cnn"],
            "no name called 'digit-cnn': there are digits-cnn, fashion-cnn; did you mean 'digits-cnn'?",
        ),
        (["name=inception-v3-compat"], "no name called 'inception-v3-compat': there are digits-cnn, fashion-cnn"),
        (["name=digits-cnn", "to=x"], "no option called 'to'"),
        (["name=digits-cnn", "data.root=x"], "learns from digits, which has no files"),
        (["name=fashion-cnn", "data.root=nowhere"], "fashion_mnist is not in data.root=nowhere"),
    ],
)
def test_the_script_refuses_what_it_does_not_know(arguments, message, capsys, monkeypatch):
    assert message in one_line_error(train.main, arguments, capsys, monkeypatch)
