"""What is fetched is genuine or refused in one line, once, and never left half-written."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from ablations.data import fashion_mnist
from ablations.data.cifar10 import Cifar10
from ablations.data.download import PublishedFile, fetch
from ablations.data.fashion_mnist import FashionMnist
from analysis.errors import InputError
from tests.ablations.data.fabricated import cifar, cifar_archive, fashion

CONTENT = bytes(range(256)) * 4000
NAME = "weights.bin"


def weights(mirror: Path) -> PublishedFile:
    return PublishedFile(f"{mirror.as_uri()}/{NAME}", "sha256", sha256(CONTENT).hexdigest())


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """A mirror of stand-ins for the files of both sets, their digests the known ones."""
    folder = tmp_path / "mirror"
    fashion(folder)
    (folder / NAME).write_bytes(CONTENT)
    (folder / Cifar10.published.name).write_bytes(cifar_archive())
    for cls in (Cifar10, FashionMnist):
        files = cls.published if cls is FashionMnist else (cls.published,)
        paths = [folder / file.name for file in files]
        known = [PublishedFile(path.as_uri(), "sha256", sha256(path.read_bytes()).hexdigest()) for path in paths]
        monkeypatch.setattr(cls, "published", tuple(known) if cls is FashionMnist else known[0])
    return folder


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_file_is_fetched_once_into_a_folder_that_is_made(mirror, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert fetch(file := weights(mirror), folder).read_bytes() == CONTENT
    assert everything(folder) == {"weights.bin"}
    shutil.rmtree(mirror)
    assert fetch(file, folder) == folder / NAME
    (tmp_path / "written").write_bytes(b"")
    assert (folder / "weights.bin").stat().st_mode == (tmp_path / "written").stat().st_mode


@pytest.mark.parametrize(
    ("wrong", "said"), [(CONTENT[:-1], "cut, or is"), (CONTENT[:-1] + b"x", "or is another"), (None, "No such file")]
)
def test_what_does_not_come_whole_is_refused_and_leaves_nothing(wrong, said, mirror, tmp_path):
    (mirror / NAME).unlink()
    if wrong is not None:
        (mirror / NAME).write_bytes(wrong)
    with pytest.raises(InputError, match=rf"cannot be fetched into .*{said}.*: put it there") as caught:
        fetch(weights(mirror), tmp_path / "folder")
    assert "\n" not in str(caught.value)
    assert not everything(tmp_path / "folder")
    (mirror / NAME).write_bytes(CONTENT)
    assert fetch(weights(mirror), tmp_path / "folder").read_bytes() == CONTENT


@pytest.mark.parametrize(("cls", "make"), [(Cifar10, cifar), (FashionMnist, fashion)])
def test_a_set_comes_by_itself_once_where_that_is_asked_for_and_is_what_files_by_hand_are(cls, make, mirror, tmp_path):
    make(tmp_path / "by hand")
    small = {"train_images": 20, "held_out_images": 5}
    by_hand = cls(root=str(tmp_path / "by hand"), **small, download=True).read()
    with pytest.raises(InputError, match=r"is not in data\.root=.*new: data\.download=true fetches it"):
        cls(root=str(tmp_path / "new"), **small).read()
    for again in range(3):
        data = cls(root=str(tmp_path / "new"), **small, download=again < 2).read()
        assert (data.digest, data.labels_digest) == (by_hand.digest, by_hand.labels_digest)
        shutil.rmtree(mirror, ignore_errors=True)


def test_fashion_mnist_goes_to_data_where_debians_folder_would_be_read(mirror, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", str(tmp_path / "debian"))
    choice = FashionMnist(root=str(tmp_path / "debian"), train_images=20, held_out_images=5, download=True)
    first = choice.read().digest
    shutil.rmtree(mirror)
    assert choice.read().digest == first
    assert len(everything(tmp_path / "data" / "FashionMNIST" / "raw")) == 4
    assert not (tmp_path / "debian").exists()


@pytest.mark.thorough
def test_the_official_digests_are_torchvisions():
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = [(f"{datasets.FashionMNIST.mirrors[0]}{name}", md5) for name, md5 in datasets.FashionMNIST.resources]
    assert [(file.url, file.digest) for file in FashionMnist.published] == theirs
