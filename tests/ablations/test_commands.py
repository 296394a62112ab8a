"""`python -m ablations`: which commands there are, and any of them."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from ablations import __main__ as commands
from ablations import publish
from ablations.scripting import COMMANDS
from tests.analysis.folders import make_folder


def test_every_command_has_its_line_and_help():
    assert list(commands.LINES) == list(COMMANDS)
    assert all(f"python -m ablations.{name}" in commands.page() for name in COMMANDS)


def test_it_runs_the_command_that_is_named():
    words = [sys.executable, "-m", "ablations", "publish", "grd=x"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no option called 'grd'" in done.stderr


def test_publishing_says_which_folder_cannot_be_read(again, capsys):
    broken = again.results / "broken"
    shutil.copytree(again.folder, broken)
    (broken / "grid.json").write_text("[" * 100_000)
    assert publish.main([f"results={again.results}"]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert f"{broken / 'grid.json'} is not valid JSON" in told.err
    for count in (4, 0):  # A folder that was copied is delivered anew, once.
        assert publish.main(["grid=tiny", f"results={again.results}"]) == 0
        assert f"tiny: {count} runs published" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["grid=committed/tiny"], ["results=results/committed"]])
def test_what_is_committed_is_delivered_to_no_store(words, tmp_path, monkeypatch, capsys):
    make_folder(tmp_path / "results" / "committed" / "tiny", {"a": [2.5]})
    monkeypatch.chdir(tmp_path)
    assert publish.main(words) == 2
    assert "results/committed is where committed results are: give results=results," in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.db"))
