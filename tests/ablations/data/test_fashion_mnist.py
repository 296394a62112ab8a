"""Fashion-MNIST against files with known pixels, torchvision's reader, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ablations.data.base import SPLITS
from ablations.data.fashion_mnist import DEBIAN, DIGESTS, FashionMnist, halved, levelled, padded
from ablations.driver.run import main
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.settings.registry import describe
from analysis.errors import InputError
from tests.ablations.conftest import TINY, over, plan_of
from tests.ablations.data.fabricated import fashion, idx_file, noise

needs_files = pytest.mark.skipif(not Path(DEBIAN).is_dir(), reason="needs Debian's dataset-fashion-mnist")


def load(root: Path, **fields):
    return FashionMnist(root=str(root), **{"train_images": 50, "held_out_images": 10, **fields}).read()


def test_means_over_2_by_2_are_rounded_halves_up():
    blocks = {(0, 0, 0, 0): 0, (255, 255, 255, 255): 255, (1, 0, 0, 0): 0, (1, 1, 0, 0): 1, (255, 0, 0, 0): 64}
    blocks |= {(255, 255, 255, 254): 255, (10, 20, 30, 41): 25, (3, 3, 0, 0): 2, (0, 0, 0, 3): 1}
    image = torch.zeros(1, 1, 2, 2 * len(blocks), dtype=torch.uint8)
    for i, (a, b, c, d) in enumerate(blocks):
        image[0, 0, :, 2 * i : 2 * i + 2] = torch.tensor([[a, b], [c, d]])
    assert halved(image).flatten().tolist() == list(blocks.values())


def test_fewer_levels_are_of_equal_width_and_the_brightest_takes_the_rest():
    grey = torch.arange(256, dtype=torch.uint8)
    assert torch.bincount(levelled(grey, 17).long()).tolist() == [15] * 16 + [16]
    assert torch.equal(levelled(grey, 17), levelled(grey, 17).sort().values)
    assert torch.equal(levelled(grey, 256), grey)
    for levels in (1, 100, 257):
        with pytest.raises(ValueError, match=f"fashion_mnist has no {levels} levels of one width"):
            FashionMnist(levels=levels)


def test_with_fewer_levels_the_same_images_are_dequantised_and_not_judged(tmp_path):
    fashion(tmp_path)
    whole, coarse = load(tmp_path), load(tmp_path, levels=17)
    assert (coarse.encoding.levels, coarse.encoding.width) == (17, 15)
    for split in SPLITS:
        assert torch.equal(coarse.images[split], (whole.images[split] // 15).clamp(max=16))
    assert [FashionMnist(levels=levels).extractor for levels in (256, 17)] == ["fashion-cnn", None]
    # Levels are no part of an identity where they are all there are.
    assert ["levels" in describe(FashionMnist(levels=levels)) for levels in (256, 17)] == [False, True]
    data = f"data=fashion_mnist data.root={tmp_path} data.train_images=50 data.held_out_images=10 data.levels=17"
    words = over(TINY, *data.split())
    with pytest.raises(InputError, match=r"data=fashion_mnist: no features .* take evaluation.quality=\[\]"):
        plan_of(*words)
    assert {stage.kind for stage in plan_of(*words, "evaluation.quality=[]").stages()} == {"training", "bound"}


def test_images_are_the_published_ones_in_a_frame_of_zeros_at_both_sizes(tmp_path):
    fashion(tmp_path)
    large, small = load(tmp_path, size=32), load(tmp_path, size=16)
    where = {image.tobytes(): i for i, image in enumerate(noise(60, 28, 28, seed=1))}
    for split in SPLITS:
        inside = large.images[split][:, 0, 2:30, 2:30]
        assert torch.equal(padded(inside), large.images[split])
        assert int(large.images[split].long().sum()) == int(inside.long().sum())
        assert torch.equal(halved(large.images[split]), small.images[split])
        assert torch.equal(large.labels[split], small.labels[split])
        if split == "test":
            assert np.array_equal(inside.numpy(), noise(12, 28, 28, seed=2)[:10])
        else:
            # Labels are i % 10 for the i-th published image, which is found by its bytes.
            found = [where[image.numpy().tobytes()] for image in inside.contiguous()]
            assert [i % 10 for i in found] == large.labels[split].tolist()


def test_debians_layout_and_torchvisions_hold_the_same_and_a_file_that_is_cut_is_refused(tmp_path):
    fashion(tmp_path / "debian")
    fashion(tmp_path / "other" / "FashionMNIST" / "raw", compress=False)
    assert load(tmp_path / "other").digest == load(tmp_path / "debian").digest
    path = tmp_path / "debian" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"has a damaged train-images-idx3-ubyte"):
        load(tmp_path / "debian")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_images_idx3_ubyte", b"", "it is no idx file of bytes"),
        ("train_images_idx3_ubyte", b"\0\0\x0d" + idx_file(noise(1, 2, 2, seed=0))[3:], "it is no idx file of bytes"),
        ("t10k_images_idx3_ubyte", idx_file(noise(12, 28, 28, seed=0))[:-1], "damaged t10k-images.* 9407 "),
        ("train_images_idx3_ubyte", idx_file(noise(60, 27, 28, seed=0)), r"holds train images \[60, 27, 28\]"),
        ("train_labels_idx1_ubyte", idx_file(np.zeros(59, np.uint8)), r"labels \[59\]"),
        ("t10k_labels_idx1_ubyte", idx_file(np.full(12, 10, np.uint8)), "labels 0..9"),
    ],
)
def test_damaged_files_are_refused_in_one_line(name, content, message, tmp_path):
    fashion(tmp_path, compress=False, **{name: content})
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_files
@pytest.mark.parametrize(("size", "train", "held_out", "levels"), list(DIGESTS)[1:])
def test_what_is_known_without_files_is_what_they_hold(size, train, held_out, levels):
    known, read = (FashionMnist(root, size, train, held_out, levels) for root in ("nowhere", DEBIAN))
    known, read = known.described(), read.load()
    assert known.encoding == read.encoding
    for fact in ("shape", "digest", "labels_digest", "classes", "unlabelled"):
        assert getattr(known, fact) == getattr(read, fact)
    assert [known.images[split].shape for split in SPLITS] == [read.images[split].shape for split in SPLITS]


def test_a_grid_is_planned_without_files_and_its_command_refused_before_anything_is_written(tmp_path):
    words = ["data=fashion_mnist", f"data.root={tmp_path / 'nowhere'}", "conditioning=class", "seeds=1"]
    grid = make(parse_run(words))
    assert [point.refusal for point in grid.points] == [None]
    with pytest.raises(InputError, match=r"fashion_mnist is not in data.root=.*nowhere: data.download=true"):
        main([*words, f"results={tmp_path / 'results'}"])
    assert list(tmp_path.iterdir()) == []
