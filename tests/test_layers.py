"""Imports run one way: diffusion_core ◀ ablations ▶ analysis, and in no circle (the contracts of pyproject.toml)."""

from pathlib import Path

from importlinter.cli import lint_imports


def test_imports_keep_the_contracts(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[1])
    code, printed = lint_imports(no_cache=True), capsys.readouterr().out
    assert code == 0, printed
    assert "8 kept, 0 broken" in printed
