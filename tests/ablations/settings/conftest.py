"""A place for packages and modules that are made up, forgotten after each test."""

from __future__ import annotations

import sys

import pytest

from ablations.settings import grammar
from ablations.settings.plugins import REGISTERED, offers


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that is imported from, as site-packages is."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    # A file that is edited within a second, at the same length, would be taken for what was compiled before.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = dict(REGISTERED)
    offers.cache_clear()
    yield folder
    # What else was first imported meanwhile stays: a module that is imported twice has its classes twice.
    for name in [
        name for name, module in sys.modules.items() if str(getattr(module, "__file__", None)).startswith(str(folder))
    ]:
        del sys.modules[name]
    REGISTERED.clear()
    REGISTERED.update(known)
    monkeypatch.undo()
    offers.cache_clear()
    grammar.use(None)
