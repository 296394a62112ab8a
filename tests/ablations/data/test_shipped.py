"""Digits, patches, the mixture and CIFAR-10: they are what they were published as, split once and for all."""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_images

from ablations.data.base import SPLITS
from ablations.data.cifar10 import Cifar10
from ablations.data.shipped import GAP, Digits, Mixture2d, Patches, places
from analysis.errors import InputError
from tests.ablations.data.fabricated import cifar, cifar_batches


def test_digits_are_scikit_learns_split_once_and_for_all():
    data = Digits().load()
    assert [len(data.images[split]) for split in SPLITS] == [897, 450, 450]
    truth = {bytes(image.astype(np.uint8)): label for image, label in zip(*load_digits(return_X_y=True), strict=True)}
    ours = [
        (image.numpy().tobytes(), int(c))
        for s in SPLITS
        for image, c in zip(data.images[s], data.labels[s], strict=True)
    ]
    assert dict(ours) == truth
    assert len(ours) == 1797
    # The committed results name it.
    assert data.digest == "cc25a67fcab6"
    values = b"".join(data.images[split].numpy().tobytes() for split in SPLITS)
    assert data.digest == hashlib.sha256(values).hexdigest()[:12]


SHAPE = (427, 640)


def test_no_pixel_and_no_neighbourhood_is_shared_between_splits():
    seen = torch.zeros(3, 2, *SHAPE)
    for part, found in zip(seen, places(*SHAPE, 16).values(), strict=True):
        for photo, top, left in found:
            part[photo, top : top + 16, left : left + 16] = 1
    # Within fewer than GAP + 1 pixels of one split there is none of another.
    rows = torch.nn.functional.max_pool2d(seen, (2 * GAP + 1, 1), stride=1, padding=(GAP, 0))
    near = torch.nn.functional.max_pool2d(rows, (1, 2 * GAP + 1), stride=1, padding=(0, GAP))
    for one, other in itertools.combinations(range(3), 2):
        assert not bool((near[one] * seen[other]).any())
    assert all(float(part[photo].mean()) > 0.05 for part in seen for photo in range(2))


def test_patches_are_the_photos_pixels_at_different_places():
    photos, data, drawn = load_sample_images().images, Patches(size=16).load(), places(*SHAPE, 16)
    assert [len(data.images[split]) for split in SPLITS] == [8_000, 1_000, 1_000]
    for split in SPLITS:
        assert len(set(drawn[split])) == len(drawn[split])
        for i in (0, 17, -1):
            photo, top, left = drawn[split][i]
            cut = photos[photo][top : top + 16, left : left + 16]
            assert np.array_equal(data.images[split][i].permute(1, 2, 0).numpy(), cut)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="patches needs a size of 8 to 32 pixels, got 33"):
        Patches(size=33)
    with pytest.raises(ValueError, match="modes >= 1 and std > 0"):
        Mixture2d(std=-1.0)


def test_the_mixtures_density_is_torchs():
    mixture = Mixture2d(modes=5, std=0.3)
    components = torch.distributions.Independent(torch.distributions.Normal(mixture.means, mixture.std), 1)
    truth = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(5).double()), components)
    x = torch.randn(100, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixture.log_density(x), truth.log_prob(x), rtol=1e-10, atol=1e-10)


def test_the_mixtures_points_have_its_moments_and_their_modes_as_labels():
    mixture = Mixture2d(modes=8, std=0.2)
    data = mixture.load()
    points = data.images["train"].double()
    assert points.mean(0).abs().max() < 4 * math.sqrt(0.54 / len(points))
    assert points.var(0).mean() == pytest.approx(0.5 + 0.2**2, rel=0.03)
    for split in SPLITS:
        from_mode = (data.images[split].double() - mixture.means[data.labels[split]]) / mixture.std
        assert from_mode.norm(dim=1).max() < 6
        assert from_mode.pow(2).mean().item() == pytest.approx(1, abs=0.1)


def cifar_of(root):
    return Cifar10(root=str(root), train_images=40, held_out_images=5).read()


def test_cifar_has_red_green_blue_planes_with_their_labels(tmp_path):
    cifar(tmp_path)
    data = cifar_of(tmp_path)
    assert [tuple(data.images[split].shape) for split in SPLITS] == [(n, 3, 32, 32) for n in (40, 5, 5)]
    published = {}
    for images, labels in cifar_batches().values():
        published |= {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for split in SPLITS:
        for image, label in zip(data.images[split], data.labels[split], strict=True):
            planes = b"".join(image[colour].numpy().tobytes() for colour in range(3))
            assert published[planes] == int(label)
    test, labels = cifar_batches()["test_batch"]
    assert np.array_equal(data.images["test"].numpy().reshape(5, 3072), test[:5])
    assert data.labels["test"].tolist() == labels[:5]
    # Read once from pickles of the same made-up batches, by the reader that there was for them.
    assert data.digest == "8f2273ee8884"


@pytest.mark.parametrize("content", [b"x" * 3072, b"\x0a" * 3073, None])
def test_damaged_and_missing_batches_are_refused(content, tmp_path):
    cifar(tmp_path)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin"
    path.unlink() if content is None else path.write_bytes(content)
    said = (
        r"cifar-10-binary.tar.gz .not the one of pickles.*data.root=PATH" if content is None else f"{path.name} is no"
    )
    with pytest.raises(InputError, match=said) as caught:
        cifar_of(tmp_path)
    assert "\n" not in str(caught.value)
