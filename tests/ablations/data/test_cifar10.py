"""CIFAR-10 from files in its published form, and from damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablations.data.base import SPLITS
from ablations.data.cifar10 import Cifar10
from analysis.errors import InputError
from tests.ablations.data.fabricated import cifar, cifar_batches

SMALL = {"train_images": 40, "held_out_images": 5}


def load(root: Path):
    return Cifar10(root=str(root), **SMALL).read()


def test_images_are_red_green_blue_planes_with_their_labels(tmp_path):
    cifar(tmp_path)
    data = load(tmp_path)
    assert data.shape == (3, 32, 32)
    assert [len(data.images[split]) for split in SPLITS] == [40, 5, 5]
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


def test_the_digest_is_that_of_the_same_pictures_in_the_archive_for_python(tmp_path):
    """Read once from pickles of the same made-up batches, by the reader that there was for them."""
    cifar(tmp_path)
    assert load(tmp_path).digest == "8f2273ee8884"


@pytest.mark.parametrize("content", [b"", b"x" * 3072, b"\x0a" * 3073])
def test_damaged_files_are_refused(content, tmp_path):
    cifar(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_1.bin is no batch"):
        load(tmp_path)


def test_a_missing_batch_says_where_the_set_comes_from(tmp_path):
    cifar(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_5.bin").unlink()
    with pytest.raises(InputError, match=r"cifar-10-binary.tar.gz.*data.root=PATH"):
        load(tmp_path)


def test_the_archive_for_python_is_refused_in_a_line_that_says_what_to_get(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(InputError, match=r"cifar-10-batches-py is another form.*data\.download=true") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
