"""Which code this is: its commit, and whether what makes numbers differs from it."""

from __future__ import annotations

import re
import subprocess

import pytest

from ablations.engine.version import _commit, code_version


@pytest.fixture
def checkout(tmp_path):
    """A repository with one commit."""

    def git(*words):
        identity = ["-c", "user.name=someone", "-c", "user.email=someone@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    for name in ("ablations", "diffusion_core", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    (tmp_path / "pyproject.toml").write_text("before")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return tmp_path


def test_a_commit_is_eight_digits(checkout):
    assert re.fullmatch(r"[0-9a-f]{8}", _commit(checkout))


@pytest.mark.parametrize(
    ("path", "dirty"),
    [("ablations/file", True), ("diffusion_core/file", True), ("pyproject.toml", True), ("results/file", False)],
)
def test_a_checkout_is_dirty_where_its_code_differs_and_not_for_its_results(checkout, path, dirty):
    clean = _commit(checkout)
    (checkout / path).write_text("after")
    assert _commit(checkout) == (f"{clean}-dirty" if dirty else clean)


def test_where_git_does_not_say_there_is_no_commit(tmp_path):
    (tmp_path / ".git").write_text("no repository")
    assert _commit(tmp_path) == ""


def test_a_version_is_a_number_and_at_most_a_commit():
    assert re.fullmatch(r"[\d.]+(\+[0-9a-f]{8}(-dirty)?)?", code_version())
