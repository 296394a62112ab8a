"""CIFAR-10 from files in its two published forms, and from ones that would run code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ablations.data.base import SPLITS
from ablations.data.cifar10 import Cifar10, pickled_batch
from analysis.format.errors import InputError
from tests.ablations.data.fabricated import batch, cifar_batches, cifar_binary, cifar_pickles, noise, python2_pickle

SMALL = {"train_images": 40, "held_out_images": 5}


def load(root: Path):
    return Cifar10(root=str(root), **SMALL).read()


def test_the_fabricated_batch_is_one_that_pickle_reads_as_numpys_array():
    images = noise(3, 3072, seed=0)
    content = batch(images, [1, 2, 3])
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    theirs = pickle.loads(content, encoding="bytes")
    assert np.array_equal(theirs[b"data"], images)
    ours, labels = pickled_batch(content)
    assert np.array_equal(ours, images)
    assert labels == theirs[b"labels"] == [1, 2, 3]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_that_this_python_wrote_are_read_too(protocol, order):
    images = np.asarray(noise(3, 3072, seed=0), order=order)
    if protocol == 5:
        images = np.ascontiguousarray(images)
    content = pickle.dumps({"data": images, "labels": [0, 1, 2]}, protocol=protocol)
    if protocol == 2 or (protocol == 5 and b"_frombuffer" in content):
        # Protocol 2 of Python 3 spells bytes by a function, protocol 5 arrays by another: CIFAR's files have neither.
        with pytest.raises(ValueError, match="which no CIFAR batch needs"):
            pickled_batch(content)
    else:
        assert np.array_equal(pickled_batch(content)[0], images)


def test_images_are_red_green_blue_planes_with_their_labels(tmp_path):
    cifar_pickles(tmp_path)
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


def test_both_forms_hold_the_same(tmp_path):
    cifar_pickles(tmp_path / "py")
    cifar_binary(tmp_path / "bin")
    assert load(tmp_path / "py").digest == load(tmp_path / "bin").digest


class Runs:
    """Pickles to a program that makes a file."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {}",)),
        (eval, ("open('{}', 'w')",)),
        (open, ("{}", "w")),
        (np.save, ("{}.npy", 1)),
        (getattr, ("{}", "upper")),
    ],
)
@pytest.mark.parametrize("where", ["whole", "label", "data"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(function, arguments, where, tmp_path):
    target = tmp_path / "made"
    evil = Runs(function, *(a.format(target) if isinstance(a, str) else a for a in arguments))
    content = {
        "whole": evil,
        "label": {"data": noise(1, 3072, seed=0), "labels": [evil]},
        "data": {"data": evil, "labels": [0]},
    }[where]
    cifar_pickles(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(InputError, match=r"data_batch_3 is no batch .*it asks for .*nothing was run") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("made*"))


def test_nothing_can_be_set_on_what_stands_for_numpy():
    # BUILD with (None, {...}) sets attributes on what is below it on the stack: here on the classes themselves.
    for name in (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\n_reconstruct\n"):
        with pytest.raises(ValueError, match="TypeError"):
            pickled_batch(name + b"(N}X\x01\x00\x00\x00aK\x01s" + b"tb.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOFError"),
        (b"garbage", "UnpicklingError|KeyError|IndexError"),
        (b"\x80\x02]q\x00.", "holds a list, not a dictionary"),
        (b"\x80\x02}q\x00.", "holds no pixels and labels"),
        (batch(noise(2, 3072, seed=0), [1, 2])[:-500], "EOFError|UnpicklingError|ValueError"),
        (batch(noise(2, 3071, seed=0), [1, 2]), r"pixels \[2, 3071\] beside 2 labels: expected \[N, 3072\]"),
        (batch(noise(2, 3072, seed=0), [1]), r"pixels \[2, 3072\] beside 1 labels"),
        (batch(noise(0, 3072, seed=0), []), r"pixels \[0, 3072\] beside 0 labels"),
        (batch(noise(2, 3072, seed=0), [1, 10]), "a label is none of 0..9"),
        (batch(noise(2, 3072, seed=0), [1, b"x"]), "a label is none of 0..9"),
        (batch(noise(2, 3072, seed=0).astype(np.float32), [1, 2]), "its pixels are no bytes"),
        (python2_pickle({b"data": [1, 2], b"labels": [1, 2]}), "holds no pixels and labels"),
        (b"\x80\x02}(U\x04datacnumpy\nndarray\n)RU\x06labels]u.", "its pixels are no array|not enough values"),
    ],
)
def test_damaged_pickles_are_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pickled_batch(content)
    cifar_pickles(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    with pytest.raises(InputError, match="test_batch is no batch") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x" * 3072, b"\x0a" * 3073])
def test_damaged_binary_files_are_refused(content, tmp_path):
    cifar_binary(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_1.bin is no batch"):
        load(tmp_path)


def test_a_missing_batch_says_where_the_set_comes_from(tmp_path):
    cifar_pickles(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_5").unlink()
    with pytest.raises(InputError, match=r"cifar-10-python.tar.gz.*data.root=PATH"):
        load(tmp_path)
