"""A cache may help and never hurt: damaged, foreign or unwritable, the result is that of a fetch."""

from pathlib import Path

import pytest

from analysis.read.cache import cache_folder, cached


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "diffusion-ablations"


class Source:
    """Counts how often it is asked."""

    def __init__(self, content):
        self.content, self.asked = content, 0

    def __call__(self):
        self.asked += 1
        return self.content


@pytest.mark.parametrize("content", [b"", b"some bytes \x00\xff" * 1000])
def test_what_was_fetched_is_not_fetched_again(home, content):
    source = Source(content)
    assert [cached(("a", "1"), source) for _ in range(3)] == [content] * 3
    assert source.asked == 1
    assert [path.suffix for path in home.rglob("*") if path.is_file()] == [".gz"]


def test_every_part_of_the_key_counts(home):
    keys = [("a", "bc"), ("ab", "c"), ("a", "b", "c"), ("a", "bd")]
    assert [cached(key, Source(str(key).encode())) for key in keys] == [str(key).encode() for key in keys]
    assert [cached(key, Source(b"other")) for key in keys] == [str(key).encode() for key in keys]


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:-9], lambda b: b[: len(b) // 2], lambda b: b"text", lambda b: b[:-6] + b"\0" + b[-5:]],
)
def test_a_damaged_file_is_fetched_again_and_mended(home, damage):
    content = bytes(range(256)) * 50
    cached(("a",), Source(content))
    (path,) = (path for path in home.rglob("*") if path.is_file())
    path.write_bytes(damage(path.read_bytes()))
    source = Source(content)
    assert [cached(("a",), source) for _ in range(2)] == [content] * 2
    assert source.asked == 1


def test_a_folder_that_cannot_be_written_costs_a_fetch_each_time(home):
    home.write_text("a file where the folder would be")
    source = Source(b"content")
    assert [cached(("a",), source) for _ in range(2)] == [b"content"] * 2
    assert source.asked == 2
    assert home.read_text() == "a file where the folder would be"


def test_a_write_that_fails_leaves_nothing(home, monkeypatch):
    def full(self, target):
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert cached(("a",), Source(b"content")) == b"content"
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_relative_cache_home_counts_as_none(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "diffusion-ablations"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "diffusion-ablations"
