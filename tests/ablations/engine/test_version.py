"""Which code this is: its commit, and whether what makes numbers differs from it."""

from __future__ import annotations

import re
import subprocess

import pytest

from ablations.engine.version import code_version


@pytest.fixture
def checkout(tmp_path):
    """A repository with one commit."""
    for name in ("ablations", "diffusion_core", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    for words in ("init -q", "add .", "-c user.name=x -c user.email=x@example.org commit -q -m one"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize(("path", "dirty"), [("ablations", True), ("diffusion_core", True), ("results", False)])
def test_a_checkout_is_dirty_where_its_code_differs_and_not_for_its_results(checkout, path, dirty):
    clean = code_version.__wrapped__(checkout)
    assert re.fullmatch(r"[\d.]+\+[0-9a-f]{8}", clean)
    (checkout / path / "file").write_text("after")
    assert code_version.__wrapped__(checkout) == (f"{clean}-dirty" if dirty else clean)


def test_where_git_does_not_say_there_is_no_commit(tmp_path):
    (tmp_path / ".git").write_text("no repository")
    assert re.fullmatch(r"[\d.]+", code_version(tmp_path))
