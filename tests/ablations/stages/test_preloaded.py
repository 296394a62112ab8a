"""What workers are forked with is exempt from garbage collection, in the process that they are forked from alone, and
until that process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

LAST = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count()))"
BUILT = (
    "from ablations.launchers.protocol import Launcher; from ablations.settings.registry import build; "
    "build('launcher', {'name': 'serial'}, Launcher)"
)


@pytest.mark.parametrize(("first", "frozen"), [("import ablations.stages.preloaded", "True"), (BUILT, "False")])
def test_the_process_of_the_workers_alone_is_frozen_and_none_is_at_its_end(first, frozen):
    """Compiled libraries, such as Triton's, print what is never collected."""
    program = f"{LAST}; {first}; print(gc.get_freeze_count() > 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [frozen, "0"]
