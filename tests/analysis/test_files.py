"""Files are whole, whatever happens while they are made."""

import os

import pytest

from analysis.files import make_file


def refused(*given):
    raise PermissionError("no hard links here")


@pytest.mark.parametrize("link", [os.link, refused])
def test_the_first_of_two_that_make_a_file_makes_it(link, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "store"

    def second(temporary):
        make_file(path, lambda other: other.write_text("first"))
        temporary.write_text("second")

    make_file(path, second)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_what_breaks_on_its_way_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        make_file(tmp_path / "store", lambda temporary: 1 / 0)
    assert list(tmp_path.iterdir()) == []
