"""Pictures that are decoded once: what is mapped is what was decoded, and nothing that is damaged or out of date is."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from ablations.data import base, folder, kept
from ablations.data.arrow import Arrow
from ablations.data.base import SPLITS, Data
from ablations.data.digits import Digits
from ablations.data.folder import Folder, picture
from ablations.data.pictures import split_of
from analysis.errors import InputError
from tests.ablations.data.fabricated import noise, picture_file, pictures, saved_images

ROOT = Path(__file__).parents[3]
SETS = pytest.mark.parametrize("name", ["folder", "arrow"])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache that is empty."""
    monkeypatch.setenv(kept.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def choice(name: str, root: Path) -> Folder | Arrow:
    """A set of 120 pictures, made at its first call."""
    if name == "folder":
        if not root.exists():
            pictures(root, 120)
        return Folder(root=str(root), size=8)
    if not root.exists():
        saved_images(root, 120)
    return Arrow(path=str(root), size=8)


def in_memory(choice: Folder | Arrow, monkeypatch, capsys) -> Data:
    """The data of a process that can keep nothing."""
    with monkeypatch.context() as patch:
        patch.setenv(kept.CACHE, os.devnull)
        data = choice.read()
    assert "cannot be kept in /dev/null" in capsys.readouterr().err
    return data


def assert_same(one: Data, other: Data) -> None:
    for split in SPLITS:
        assert torch.equal(one.images[split], other.images[split])
    assert one.labels.keys() == other.labels.keys()
    for split, labels in one.labels.items():
        assert torch.equal(labels, other.labels[split])
        assert labels.dtype == torch.int64
    assert (one.digest, one.codes, one.encoding) == (other.digest, other.codes, other.encoding)


def sets(cache: Path) -> list[Path]:
    """The sets that are kept; nothing else lies there but empty locks."""
    found = [path for path in cache.iterdir() if path.is_dir()]
    assert all(path.stat().st_size == 0 for path in cache.iterdir() if path not in found)
    assert not [path for path in found if path.name.startswith(".")]
    return found


def forbid(monkeypatch) -> None:
    """From here on no picture is opened, no file of one read, and no value of a split looked at."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this was to be remembered")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(base, "pieces", refuse)
    monkeypatch.setitem(sys.modules, "datasets", None)


@SETS
def test_what_is_mapped_is_what_is_decoded_in_memory(name, tmp_path, monkeypatch, capsys):
    one = choice(name, tmp_path / "set")
    made = one.read()
    assert_same(made, in_memory(one, monkeypatch, capsys))
    assert_same(one.read(), made)
    values = b"".join(made.images[split].numpy().tobytes() for split in SPLITS)
    assert made.digest == hashlib.sha256(values).hexdigest()[:12]
    assert made.codes == base.histogram_codes(made.images["train"], made.images["test"], 256)
    assert made.classes == 3


@SETS
def test_a_second_process_opens_no_picture_and_walks_over_no_value(name, tmp_path, monkeypatch):
    one = choice(name, tmp_path / "set")
    made = one.read()
    forbid(monkeypatch)
    assert_same(one.read(), made)


def test_a_remembered_digest_is_not_that_of_other_images(tmp_path):
    data = choice("folder", tmp_path / "set").read()
    other = replace(data, images=data.images | {"test": data.images["validation"]})
    assert other.digest != data.digest
    assert replace(data).digest == data.digest


def test_sets_that_are_no_pictures_are_not_kept(cache):
    Digits().read()
    assert not cache.exists()


def overwrite(place: Path) -> None:
    with (place / kept.IMAGES).open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")


def falsify(place: Path) -> None:
    text = (place / kept.KNOWN).read_text()
    start = text.index('"digest": "') + 11
    (place / kept.KNOWN).write_text(text[:start] + ("1" if text[start] == "0" else "0") + text[start + 1 :])


DAMAGE = {
    "cut": lambda place: os.truncate(place / kept.IMAGES, 500),
    "empty": lambda place: os.truncate(place / kept.IMAGES, 0),
    "overwritten": overwrite,
    "lost": lambda place: (place / kept.IMAGES).unlink(),
    "forgotten": lambda place: (place / kept.KNOWN).unlink(),
    "falsified": falsify,
    "garbled": lambda place: (place / kept.KNOWN).write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_is_decoded_anew(damage, tmp_path, cache, monkeypatch):
    one = choice("folder", tmp_path / "set")
    made = one.read()
    made = replace(made, images={split: images.clone() for split, images in made.images.items()})
    (place,) = sets(cache)
    damage(place)
    assert_same(one.read(), made)
    assert sets(cache) == [place]
    forbid(monkeypatch)
    assert_same(one.read(), replace(made).remembering(digest=made.digest))


@SETS
def test_another_picture_in_one_place_makes_another_set_though_its_size_and_time_are_the_same(name, tmp_path, cache):
    one = choice(name, tmp_path / "set")
    before = one.read().digest
    if name == "folder":
        path = next(path for path in sorted((tmp_path / "set").rglob("*.bmp")) if taught(path.read_bytes()))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
    else:
        (path,) = (tmp_path / "set").glob("*.arrow")
        content = bytearray(path.read_bytes())
        content[content.index(picture_file(3)) + 2000] ^= 255
    earlier, known = path.read_bytes(), path.stat()
    for content_now, changed in ((bytes(content), True), (earlier, False)):
        path.write_bytes(content_now)
        os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (known.st_size, known.st_mtime_ns)
        assert (one.read().digest != before) == changed
        # What stood for the files as they were is of no use to anybody.
        assert len(sets(cache)) == 1


def taught(content: bytes) -> bool:
    return split_of(hashlib.sha256(content).hexdigest()) == "train"


def test_a_picture_that_comes_or_goes_makes_another_set(tmp_path):
    one = choice("folder", tmp_path / "set")
    digests = [one.read().digest]
    path = tmp_path / "set" / "new.bmp"
    path.write_bytes(next(file for file in map(picture_file, range(1000, 1100)) if taught(file)))
    data = one.read()
    assert any(torch.equal(picture(path, 8, "colour"), image) for image in data.images["train"])
    digests.append(data.digest)
    path.unlink()
    digests.append(one.read().digest)
    assert digests[0] == digests[2] != digests[1]


def test_what_was_kept_before_folders_told_classes_is_not_read_as_if_there_were_none(tmp_path, cache, monkeypatch):
    one = choice("folder", tmp_path / "set")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "classes_of", lambda files, root: [])
        before = one.read()
    now = one.read()
    assert (before.classes, now.classes) == (0, 3)
    assert before.digest == now.digest
    assert len(sets(cache)) == 1


def test_choices_of_one_folder_are_kept_beside_each_other(tmp_path, cache, monkeypatch):
    one = choice("folder", tmp_path / "set")
    choices = [one, replace(one, size=4), replace(one, mode="grey")]
    shapes = [choice.read().shape for choice in choices]
    assert shapes == [(3, 8, 8), (3, 4, 4), (1, 8, 8)]
    assert len(sets(cache)) == 3
    forbid(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert Folder(root="set", size=8).read().shape == (3, 8, 8)


def test_the_version_of_the_decoding_is_part_of_what_is_kept(tmp_path, cache, monkeypatch):
    one = choice("folder", tmp_path / "set")
    one.read()
    for target, name, value in ((kept, "VERSION", -1), (kept.PIL, "__version__", "0")):
        monkeypatch.setattr(target, name, value)
        with monkeypatch.context() as patch:
            forbid(patch)
            with pytest.raises(AssertionError, match="remembered"):
                one.read()
        one.read()
    assert len(sets(cache)) == 3


@pytest.mark.parametrize("trouble", ["no folder", "no room", "a file may not be so large"])
def test_where_nothing_can_be_kept_a_set_is_held_in_memory_or_refused(trouble, tmp_path, cache, monkeypatch, capsys):
    one = choice("folder", tmp_path / "set")
    expected = in_memory(one, monkeypatch, capsys)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    if trouble == "no folder":
        cache.write_bytes(b"")
    elif trouble == "no room":
        monkeypatch.setattr(kept.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limit[1]))
    try:
        assert_same(one.read(), expected)
        warning = capsys.readouterr().err
        monkeypatch.setattr(kept, "IN_MEMORY", 1000)
        with pytest.raises(InputError, match=rf"GB are too much for memory: .* {kept.CACHE}$") as caught:
            one.read()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert warning.startswith("warning: folder: ")
    assert warning.count("\n") == 1
    assert "\n" not in str(caught.value)
    reason = {"no folder": "File exists", "no room": "No space left", "a file may not be so large": "too large"}
    for text in (warning, str(caught.value)):
        assert f"cannot be kept in {cache}" in text
        assert reason[trouble] in text
    assert cache.is_file() or sets(cache) == []


def test_what_is_refused_leaves_no_set(tmp_path, cache):
    one = choice("folder", tmp_path / "set")
    (tmp_path / "set" / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"bad\.jpg cannot be read"):
        one.read()
    assert sets(cache) == []


def test_the_cache_is_the_users_unless_another_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kept.cache() == tmp_path / "cache"
    monkeypatch.delenv(kept.CACHE)
    assert kept.cache() == tmp_path / "xdg" / "ablations"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kept.cache() == tmp_path / ".cache" / "ablations"


def forked(work: Callable[..., None], *given: object) -> multiprocessing.Process:
    """A process of its own that does `work`."""
    process = multiprocessing.get_context("fork").Process(target=work, args=given)
    process.start()
    return process


def test_of_several_processes_one_decodes_and_all_have_the_same(tmp_path, cache, monkeypatch):
    one = choice("folder", tmp_path / "set")
    opened = tmp_path / "opened"
    open_image = Image.open

    def note(path: Path) -> Image.Image:
        with opened.open("a") as file:
            file.write("x")
        return open_image(path)

    def work(number: int) -> None:
        (tmp_path / f"digest {number}").write_text(one.read().digest)

    monkeypatch.setattr(Image, "open", note)
    processes = [forked(work, number) for number in range(3)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert {(tmp_path / f"digest {number}").read_text() for number in range(3)} == {one.read().digest}
    assert len(opened.read_text()) == 120
    assert len(sets(cache)) == 1


def test_a_killed_process_leaves_nothing_that_is_taken_for_a_set_or_stays(tmp_path, cache, monkeypatch):
    one = choice("folder", tmp_path / "set")
    opened: list[Path] = []
    open_image = Image.open

    def killed(path: Path) -> Image.Image:
        opened.append(path)
        if len(opened) == 50:
            os.kill(os.getpid(), signal.SIGKILL)
        return open_image(path)

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", killed)
        process = forked(one.read)
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path for path in cache.iterdir() if path.is_dir()]
    data = one.read()
    assert data.digest == replace(data).digest
    assert len(sets(cache)) == 1


SIDE, MANY = 64, 16_000
"""Grey pictures of 65 MB, whose histograms take 8 MB."""


def many() -> kept.Pictures[int]:
    """Pictures that are made as they are asked for."""
    found = {"train": list(range(4000)), "validation": list(range(4000, 10_000)), "test": list(range(10_000, MANY))}
    pattern = torch.from_numpy(noise(1, 1, SIDE, SIDE, seed=0)[0])
    return kept.Pictures("many", found, (1, SIDE, SIDE), lambda number: pattern + number % 7)


def within(room: int) -> None:
    """Read them where this process may take so many bytes of memory for itself, mapped files aside."""
    base.CODE_VALUES = 2**18
    status = Path("/proc/self/status").read_text().split()
    taken = 1024 * int(status[status.index("VmData:") + 1])
    resource.setrlimit(resource.RLIMIT_DATA, (taken + room, resource.RLIM_INFINITY))
    folder, os.environ[kept.CACHE] = os.environ[kept.CACHE], os.devnull
    with pytest.raises(RuntimeError, match="memory"):
        kept.kept(Digits(), Path(), [], many)
    os.environ[kept.CACHE] = folder
    data = kept.kept(Digits(), Path(), [], many)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert kept.kept(Digits(), Path(), [], many).digest == data.digest
    assert sum(map(len, data.images.values())) == MANY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count a process's memory in other ways")
@pytest.mark.slow
def test_a_set_is_made_in_a_fraction_of_its_memory_and_mapped_in_none():
    # In a process that has no memory left over; the set alone takes 62.5 MiB.
    work = f"from {__name__} import within; within({30 << 20})"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", work], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
