"""Locks of results folders: a second command is refused in a line that names the first, and so is a cleaning."""

from __future__ import annotations

import os
import signal

import pytest

from ablations.engine.locks import cleaning_lock, results_lock
from analysis.errors import InputError
from tests.forked import code_of, forked


def test_a_second_command_on_a_folder_is_refused_and_names_the_first(tmp_path):
    with results_lock(tmp_path / "grid"), results_lock(tmp_path / "other"):
        refusal = rf"^another command works on {tmp_path}/grid \(process {os.getpid()}\): wait until it has ended"
        with pytest.raises(InputError, match=refusal), results_lock(tmp_path / "grid"):
            pass
    with results_lock(tmp_path / "grid"):
        pass


def test_what_nobody_needs_is_deleted_only_while_no_command_works(tmp_path):
    folder = tmp_path / "grid"
    with results_lock(folder), pytest.raises(InputError, match="works on a folder of"), cleaning_lock(tmp_path):
        pass
    refusal = rf"cleans {tmp_path} \(process {os.getpid()}\)"
    with cleaning_lock(tmp_path), pytest.raises(InputError, match=refusal), results_lock(folder):
        pass
    with results_lock(folder):
        pass


def test_a_command_that_was_killed_holds_nothing(tmp_path):
    def command():
        with results_lock(tmp_path / "grid"):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert code_of(forked(command, tmp_path / "log")) == -signal.SIGKILL
    with results_lock(tmp_path / "grid"):
        pass
