"""Each program of evidence says which page it rebuilds, but for those that promote grids and fill in tables, and each
page has its program."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "evidence"


def test_each_program_rebuilds_a_page_that_is_there_and_that_names_it():
    rebuilt = set()
    for file in sorted(FOLDER.glob("*.py")):
        if file.stem in ("promote", "findings") or 'if __name__ == "__main__"' not in file.read_text(encoding="utf-8"):
            continue
        words = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        command = re.search(rf"python -m evidence\.{file.stem}.* (?:out=|>>? )(\S+)$", words, re.MULTILINE)
        assert command, f"{file.name} says no command that rebuilds its page"
        path = ROOT / command[1]
        page = path / f"{file.stem}.md" if path.is_dir() else path
        assert f"python -m evidence.{file.stem}" in page.read_text(encoding="utf-8"), page
        rebuilt.add(page)
    assert set(FOLDER.glob("*.md")) <= rebuilt
