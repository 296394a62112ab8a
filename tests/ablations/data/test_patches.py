"""The patches: they are the photos', and no pixel is seen on two sides."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from ablations.data.base import SPLITS
from ablations.data.patches import GAP, Patches, places

SHAPE = (427, 640)


@pytest.mark.parametrize("size", [16, *(pytest.param(n, marks=pytest.mark.thorough) for n in (8, 32))])
def test_no_pixel_and_no_neighbourhood_is_shared_between_splits(size):
    seen = torch.zeros(3, 2, *SHAPE)
    for part, found in zip(seen, places(*SHAPE, size).values(), strict=True):
        for photo, top, left in found:
            part[photo, top : top + size, left : left + size] = 1
    # Within fewer than GAP + 1 pixels of one split there is none of another.
    near = torch.nn.functional.max_pool2d(seen, 2 * GAP + 1, stride=1, padding=GAP)
    for one, other in itertools.combinations(range(3), 2):
        assert not bool((near[one] * seen[other]).any())
    assert all(float(part[photo].mean()) > 0.05 for part in seen for photo in range(2))


def test_patches_are_the_photos_pixels_at_different_places():
    photos = load_sample_images().images
    data = Patches(size=16).load()
    drawn = places(*SHAPE, 16)
    assert [len(data.images[split]) for split in SPLITS] == [8_000, 1_000, 1_000]
    for split in SPLITS:
        assert len(set(drawn[split])) == len(drawn[split])
        for i in (0, 17, -1):
            photo, top, left = drawn[split][i]
            cut = photos[photo][top : top + 16, left : left + 16]
            assert np.array_equal(data.images[split][i].permute(1, 2, 0).numpy(), cut)


@pytest.mark.parametrize("size", [7, 33])
def test_other_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"patches needs a size of 8 to 32 pixels, got {size}"):
        Patches(size=size)
