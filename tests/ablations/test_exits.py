"""How commands end whatever they write to: a terminal that knows few letters, a reader that has gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil

HELP = [sys.executable, "-m", "ablations.run", "--help"]


def test_letters_that_a_terminal_has_not_are_written_out():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(HELP, capture_output=True, env=environment, check=True)
    assert b"[key=value[,value\\u2026] \\u2026]" in done.stdout


def test_a_refused_command_leaves_nobody_behind():
    code = (
        "from multiprocessing import forkserver\nfrom ablations.engine.workers import warm_up\n"
        "from analysis.shell import exit_code\nfrom analysis.errors import InputError\n"
        "def main(_):\n warm_up()\n print(forkserver._forkserver._forkserver_pid)\n raise InputError('no')\n"
        "exit_code(main)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: no\n")
    with suppress(psutil.NoSuchProcess):
        # Nobody may be there to reap it.
        left = psutil.Process(int(done.stdout))
        assert any(left.status() == psutil.STATUS_ZOMBIE or time.sleep(0.1) for _ in range(50))


def test_a_help_that_nobody_reads_to_its_end_is_no_error():
    with subprocess.Popen(HELP, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_command_whose_reader_has_gone_says_what_that_means():
    code = "import os, sys\nfrom analysis.shell import outcome\nsys.exit(outcome(lambda _: print('x' * 100_000), []))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        line = process.stderr.read().decode()
    assert line == (
        "error: what read this command's output has ended: what has finished is kept, the same command continues\n"
    )
    assert process.returncode == 1
