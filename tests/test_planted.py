"""The planted errors: each still has its place in the source, and each is caught."""

from __future__ import annotations

import pytest

from tests.planted import ERRORS, ROOT, main


def test_every_snippet_stands_once_in_its_file_and_would_be_another():
    counts = {name: (ROOT / error.file).read_text("utf-8").count(error.before) for name, error in ERRORS.items()}
    assert counts == dict.fromkeys(ERRORS, 1)
    assert len(ERRORS) >= 40
    for error in ERRORS.values():
        assert error.before != error.after
        assert all((ROOT / path.partition("::")[0]).is_file() for path in error.tests)


@pytest.mark.slow
def test_each_is_caught_by_the_tests_that_it_names():
    assert main([]) == 0
