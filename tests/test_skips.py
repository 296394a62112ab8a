"""In CI no test is skipped in silence."""

import pytest

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("reason", "code"),
    [("no pdflatex here", pytest.ExitCode.TESTS_FAILED), ("this kernel has no mark that can be set back", 0)],
)
def test_a_skip_for_an_unlisted_reason_fails_the_run(pytester, monkeypatch, reason, code, request):
    conftest = (request.config.rootpath / "tests" / "conftest.py").read_text(encoding="utf-8")
    pytester.makeconftest(conftest)
    pytester.makepyfile(f"import pytest\n\ndef test_skipped():\n    pytest.skip({reason!r})\n")
    monkeypatch.setenv("CI", "true")
    assert pytester.inline_run("-p", "no:xdist").ret == code
    monkeypatch.delenv("CI")
    assert pytester.inline_run("-p", "no:xdist").ret == 0
