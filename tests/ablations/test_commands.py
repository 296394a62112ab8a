"""`python -m ablations`: which commands there are, and any of them."""

from __future__ import annotations

import subprocess
import sys

import ablations
from ablations import __main__ as commands


def test_every_command_has_its_line_and_help():
    assert list(commands.LINES) == list(ablations.COMMANDS)
    page = subprocess.run([sys.executable, "-m", "ablations"], capture_output=True, text=True, check=True).stdout
    assert all(f"python -m ablations.{name}" in page for name in ablations.COMMANDS)


def test_it_runs_the_command_that_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "ablations", "publish", "grd=x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no option called 'grd'" in done.stderr
