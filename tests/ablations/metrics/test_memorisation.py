"""The memorisation rate, of all and within classes: copies, near copies, real images, noise, every pair by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ablations.data.shipped import Digits
from ablations.metrics.metric import Comparison, FeatureSet
from ablations.metrics.neighbours import ClassMemorisation, memorisation_rate


def test_the_memorisation_rate(images):
    train, validation, test = images["train"], images["validation"], images["test"]
    assert memorisation_rate(train[:200], train, test) == 1
    nearly = train[:200].clone()
    nearly[:, 0, 4, 4] ^= 1
    assert memorisation_rate(nearly, train, test) == 1
    assert memorisation_rate(test, train, test) == pytest.approx(0.05, rel=1e-12)
    assert memorisation_rate(validation, train, test) == pytest.approx(0.05, abs=0.03)
    noise = torch.randint(17, train[:200].shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert memorisation_rate(noise, train, test) == 0


def points(*distances):
    """Images of one pixel, so far from the only training image, which is 0."""
    return torch.tensor(distances, dtype=torch.uint8).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("heldout", "generated", "rate"),
    [
        # 5 % of 40 are 2: the 1 and one of the three at 4, so that each of these is a third of one.
        ([1, 4, 4, 4, *[9] * 36], [0, 1, 4, 4, 4, 9], (2 + 3 / 3) / 6),
        # Where 5 % or more of held-out images are copies, copies alone count.
        ([0, 0, *[9] * 38], [0, 0, 0, 1], 3 / 4),
        ([*[0] * 7, *[9] * 33], [0, 0, 0, 1], 3 / 4),
        ([*[0] * 7, *[9] * 33], [*[0] * 7, *[9] * 33], 7 / 40),
        # One copy is fewer: the threshold is the next distance.
        ([0, *[3] * 3, *[9] * 36], [0, 3, 3, 3, 9], (1 + 3 / 3) / 5),
        # Of fewer than 20 images the nearest stands for the 5 %, by a part.
        ([2, 3, 4, 5], [1, 2, 3], (1 + 0.2) / 3),
    ],
)
def test_ties_at_the_threshold_count_in_part_and_copies_whole(heldout, generated, rate):
    training = points(0)
    assert memorisation_rate(points(*generated), training, points(*heldout)) == pytest.approx(rate, rel=1e-12)
    assert memorisation_rate(training, training, points(*heldout)) == 1
    own = memorisation_rate(points(*heldout), training, points(*heldout))
    assert own == pytest.approx(max(0.05, heldout.count(0) / len(heldout)), rel=1e-12)


def noise(count, seed, low=0, high=256):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)


def classes(*counts):
    """Labels of so many examples of each class, in some order."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))]


def rate_of(*sets):
    """The rate within classes of generated, training and held-out images, each with their labels."""
    return ClassMemorisation().compute(Comparison(*(FeatureSet(images, labels=labels) for images, labels in sets)))


def test_it_is_the_share_of_samples_as_near_to_their_class_as_the_nearest_5_percent_of_its_held_out_images():
    """Of 40 held-out images the second nearest is the last of these; no two distances are equal."""
    held_labels = classes(40, 40, 40)
    train = noise(150, 1), classes(50, 70, 30)
    held = noise(120, 2), held_labels
    drawn = noise(400, 3), classes(100, 250, 50)
    # Samples near to some training image, by more and less.
    which = torch.arange(0, 400, 3) % 150
    near = train[0][which].int() + noise(len(which), 4, high=128).int() - 64
    drawn[0][::3] = near.clamp(0, 255).byte()
    as_numbers = [(images.numpy().astype(float), labels.numpy()) for images, labels in (drawn, train, held)]
    (x, of_x), (y, of_y), (z, of_z) = as_numbers

    def nearest(image, label):
        return min(np.sqrt(((image - other) ** 2).sum()) for other in y[of_y == label])

    rates = {}
    for label in range(3):
        reach = sorted(nearest(image, label) for image in z[of_z == label])[1]
        near = [nearest(image, label) <= reach for image in x[of_x == label]]
        rates[label] = sum(near) / len(near)
    assert all(0 < rate < 1 for rate in rates.values())
    assert rate_of(drawn, train, held) == pytest.approx(
        (100 * rates[0] + 250 * rates[1] + 50 * rates[2]) / 400, rel=1e-12
    )


def digits(split, count=None):
    data = Digits().load()
    return data.images[split][:count], data.labels[split][:count]


def test_a_copy_of_an_image_of_another_class_is_none():
    train, held = digits("train"), digits("test")
    copies = digits("train", 300)
    other = copies[0], (copies[1] + 1) % 10
    assert memorisation_rate(copies[0], train[0], held[0]) == 1
    assert rate_of(copies, train, held) == 1
    assert rate_of(held, train, held) == pytest.approx(0.05, rel=1e-12)
    assert rate_of(other, train, held) < 0.01


def test_a_class_with_fewer_than_20_held_out_images_is_left_out():
    train, held = (noise(90, 1), classes(30, 30, 30)), (noise(59, 2), classes(20, 20, 19))
    copies = train[0], train[1]
    drawn = torch.where((train[1] == 2)[:, None, None, None], train[0], noise(90, 3)), train[1]
    assert rate_of(copies, train, held) == 1
    assert rate_of(drawn, train, held) < 0.5


def test_what_has_no_rate_says_why_in_a_line():
    train, few = (noise(90, 1), classes(30, 30, 30)), (noise(57, 2), classes(19, 19, 19))
    with pytest.raises(ValueError, match="needs 20 held-out images of a class, got 19: take more"):
        rate_of(train, train, few)
    with pytest.raises(ValueError, match="these samples have none: take conditioning=class"):
        rate_of((train[0], None), train, train)
