"""What is fetched is whole and genuine or refused in one line, once, and never left half-written."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch

from ablations.data import download
from ablations.data.base import SPLITS
from ablations.data.cifar10 import Cifar10
from ablations.data.download import MIRROR, Published, fetch
from ablations.data.fashion_mnist import FashionMnist
from ablations.settings.identity import cell_id, parameters
from ablations.settings.making import cell_of, make_cell
from analysis.errors import InputError
from tests.ablations.data.fabricated import cifar as cifar_files
from tests.ablations.data.fabricated import cifar_archive, fashion
from tests.ablations.data.served import serving

CONTENT = bytes(range(256)) * 4000
FILE = Published("https://example.invalid/somewhere/weights.bin", "sha256", hashlib.sha256(CONTENT).hexdigest())
SMALL = {"train_images": 40, "held_out_images": 5}


@pytest.fixture
def server(monkeypatch):
    """A mirror of everything that a test puts on it; no proxy stands between."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({FILE.name: CONTENT}) as served:
        monkeypatch.setenv(MIRROR, served.address)
        yield served


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def refused(folder: Path, match: str) -> None:
    before = everything(folder)
    with pytest.raises(InputError, match=match) as caught:
        fetch(FILE, folder)
    assert "\n" not in str(caught.value)
    assert MIRROR in str(caught.value)
    assert everything(folder) == before


def test_a_file_is_fetched_once_into_a_folder_that_is_made(server, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert fetch(FILE, folder).read_bytes() == CONTENT
    assert everything(folder) == {"weights.bin"}
    assert fetch(FILE, folder) == folder / "weights.bin"
    assert server.asked == ["weights.bin"]


def test_a_fetched_file_is_as_readable_as_any_that_is_written(server, tmp_path):
    (tmp_path / "written").write_bytes(b"")
    assert fetch(FILE, tmp_path).stat().st_mode == (tmp_path / "written").stat().st_mode


def test_without_a_mirror_the_address_is_the_official_one(monkeypatch):
    monkeypatch.delenv(MIRROR, raising=False)
    assert FILE.address == FILE.url
    monkeypatch.setenv(MIRROR, "http://mirror.invalid/a/")
    assert FILE.address == "http://mirror.invalid/a/weights.bin"


def test_a_folder_is_a_mirror_too(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / FILE.name).write_bytes(CONTENT)
    monkeypatch.setenv(MIRROR, (tmp_path / "there").as_uri())
    assert fetch(FILE, tmp_path / "here").read_bytes() == CONTENT


@pytest.mark.parametrize("earlier", [None, b"an earlier file of this name"])
@pytest.mark.parametrize("trouble", ["cut", "another", "absent", "silent", "nobody", "no address"])
def test_what_does_not_come_whole_is_refused_and_leaves_all_as_it_was(trouble, earlier, server, tmp_path, monkeypatch):
    path = tmp_path / FILE.name
    if earlier is not None:
        path.write_bytes(earlier)
    if trouble == "cut":
        server.manner = "cut"
        refused(tmp_path, f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes")
    elif trouble == "another":
        other = CONTENT[:-1] + b"x"
        server.files[FILE.name] = other
        refused(tmp_path, f"another file, of sha256 {hashlib.sha256(other).hexdigest()}, not {FILE.digest}")
    elif trouble == "absent":
        del server.files[FILE.name]
        refused(tmp_path, "404")
    elif trouble == "silent":
        monkeypatch.setattr(download, "PATIENCE", 0.2)
        server.manner = "silent"
        refused(tmp_path, "timed out")
    elif trouble == "nobody":
        with serving({}) as gone:
            monkeypatch.setenv(MIRROR, gone.address)
        refused(tmp_path, "[Rr]efused")
    else:
        monkeypatch.setenv(MIRROR, "nowhere")
        refused(tmp_path, "unknown url type")
    assert (path.read_bytes() if path.exists() else None) == earlier


def test_a_wrong_file_that_lies_there_gives_way_to_the_right_one(server, tmp_path):
    (tmp_path / FILE.name).write_bytes(CONTENT[:1000])
    assert fetch(FILE, tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_refused(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be fetched into .*file/folder") as caught:
        fetch(FILE, tmp_path / "file" / "folder")
    assert "\n" not in str(caught.value)
    assert server.asked == []


def test_an_interrupt_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(FILE, tmp_path)
    assert everything(tmp_path) == set()


@pytest.fixture
def archive(server, monkeypatch):
    """A small stand-in for CIFAR-10's archive on the server, its digest the known one."""
    content = cifar_archive()
    known = dataclasses.replace(Cifar10.published, digest=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(Cifar10, "published", known)
    server.files[known.name] = content
    return known


def cifar(root: Path, **fields):
    return Cifar10(root=str(root), **SMALL, **fields)


def test_cifar_comes_by_itself_once_and_is_what_unpacked_files_are(archive, server, tmp_path):
    cifar_files(tmp_path / "by hand")
    fetched, by_hand = cifar(tmp_path / "new", download=True).read(), cifar(tmp_path / "by hand").read()
    assert fetched.digest == by_hand.digest
    assert all(torch.equal(fetched.labels[split], by_hand.labels[split]) for split in SPLITS)
    batches = everything(tmp_path / "by hand")
    assert everything(tmp_path / "new") == batches | {archive.name}
    for again in (cifar(tmp_path / "new", download=True), cifar(tmp_path / "new")):
        assert again.read().digest == fetched.digest
    assert server.asked == [archive.name]


def test_batches_that_are_lost_come_back_from_the_archive_that_is_kept(archive, server, tmp_path):
    before = cifar(tmp_path, download=True).read().digest
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    assert cifar(tmp_path, download=True).read().digest == before
    assert server.asked == [archive.name]


def test_files_that_are_there_are_read_and_nothing_is_asked_for(archive, server, tmp_path):
    cifar_files(tmp_path)
    cifar(tmp_path, download=True).read()
    fashion(tmp_path)
    FashionMnist(root=str(tmp_path), train_images=20, held_out_images=5, download=True).read()
    assert server.asked == []


def test_nothing_is_fetched_that_was_not_asked_for_and_the_refusal_says_how_to(archive, server, tmp_path):
    for choice in (cifar(tmp_path), FashionMnist(root=str(tmp_path))):
        with pytest.raises(InputError, match=r"is not in data\.root=.*: data\.download=true fetches it"):
            choice.read()
    assert server.asked == []


@pytest.mark.parametrize("content", [b"no archive", cifar_archive()[:3000]], ids=["none", "cut"])
def test_an_archive_that_is_none_is_refused(content, server, tmp_path, monkeypatch):
    known = dataclasses.replace(Cifar10.published, digest=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(Cifar10, "published", known)
    server.files[known.name] = content
    with pytest.raises(InputError, match="cannot be unpacked") as caught:
        cifar(tmp_path, download=True).read()
    assert "\n" not in str(caught.value)
    assert not any(Path(name).name.startswith(".") for name in everything(tmp_path))


@pytest.fixture
def clothes(server, monkeypatch, tmp_path):
    """Small stand-ins for Fashion-MNIST's four files on the server, in the folder `by hand` too."""
    fashion(tmp_path / "by hand")
    known = []
    for file in FashionMnist.published:
        server.files[file.name] = (tmp_path / "by hand" / file.name).read_bytes()
        known.append(dataclasses.replace(file, digest=hashlib.md5(server.files[file.name]).hexdigest()))
    monkeypatch.setattr(FashionMnist, "published", tuple(known))
    return [file.name for file in known]


def test_fashion_mnist_comes_by_itself_once(clothes, server, tmp_path):
    small = {"train_images": 20, "held_out_images": 5}
    expected = FashionMnist(root=str(tmp_path / "by hand"), **small).read().digest
    new = str(tmp_path / "new")
    for download_it in (True, True, False):
        assert FashionMnist(root=new, download=download_it, **small).read().digest == expected
    assert server.asked == clothes
    assert everything(tmp_path / "new" / "FashionMNIST" / "raw") == set(clothes)


def test_fashion_mnist_goes_to_data_where_debians_folder_would_be_read(clothes, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ablations.data.fashion_mnist.DEBIAN", str(tmp_path / "debian"))
    choice = FashionMnist(root=str(tmp_path / "debian"), train_images=20, held_out_images=5, download=True)
    assert choice.read().digest == choice.read().digest
    assert server.asked == clothes
    assert everything(tmp_path / "data" / "FashionMNIST" / "raw") == set(clothes)
    assert not (tmp_path / "debian").exists()


def test_whether_files_were_fetched_is_no_part_of_what_a_cell_is(archive, tmp_path):
    settings = {"data": "cifar10", "data.root": str(tmp_path), **{f"data.{key}": n for key, n in SMALL.items()}}
    fetching, plain = make_cell([{**settings, "data.download": True}], seed=0), make_cell([settings], seed=0)
    assert fetching.data.download
    assert not plain.data.download
    assert cell_id(fetching, "0", "float32") == cell_id(plain, "0", "float32")
    assert parameters(fetching) == parameters(plain)
    assert cell_of(parameters(fetching), seed=0) == fetching == plain


@pytest.mark.thorough
def test_the_official_digests_are_torchvisions():
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = [(f"{datasets.FashionMNIST.mirrors[0]}{name}", md5) for name, md5 in datasets.FashionMNIST.resources]
    assert [(file.url, file.digest) for file in FashionMnist.published] == theirs
    assert {file.algorithm for file in FashionMnist.published} == {"md5"}
