"""What `ablations.clean` frees, and what it never does: whatever results name, and whatever is at work or may go on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ablations import run, sample
from ablations.clean.__main__ import main
from ablations.engine.folder_lock import CLEANING, FolderLock, wait_for_cleaning
from ablations.engine.journal import Failure, Journal, Result
from ablations.engine.lease import Holder, holder, leased
from ablations.results.csv_text import csv_text
from tests.ablations.conftest import rows

OTHER = "0123456789ab"
"""The id of a stage that no results name."""


@pytest.fixture
def clean(again, capsys):
    """Cleans the copy of the tiny run; what it says."""

    def cleaned(*words: str) -> str:
        assert main([f"results={again.results}", *words]) == 0
        return capsys.readouterr().out

    return cleaned


def left(results: Path) -> dict[str, int]:
    """The files of all stages, with their sizes."""
    root = results / ".stages"
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def stage(results: Path, name: str = OTHER, *, finished: bool = True, checkpoint: bool = False) -> Path:
    """A stage of 1000 bytes of weights, or of its checkpoint, that no results name."""
    journal = Journal(results / ".stages")
    folder = journal.folder(name)
    folder.mkdir()
    (folder / ("checkpoint.safetensors" if checkpoint else "weights.safetensors")).write_bytes(bytes(1000))
    if finished:
        journal.write_result(name, Result("finished", "", {}, {}, {}))
    else:
        journal.write_failure(name, Failure("stopped", "the command was stopped"))
    return folder


def trained(results: Path) -> Path:
    """The folder of a training."""
    return next((results / ".stages").glob("*/weights.safetensors")).parent


def of_the_dead(folder: Path, number: int = 1) -> Path:
    """A lease of a process of this machine that has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"lease.{number}"
    path.write_text(json.dumps(asdict(replace(Holder.here(), started="long ago"))))
    return path


def test_a_finished_grid_needs_all_that_it_has(again, clean):
    before = left(again.results)
    said = clean("yes=true")
    assert "nothing is to be freed" in said
    # Four cells of two trainings: with two bounds and samples each, and what real images score.
    assert "15 stages" in said
    assert "15 of them are needed" in said
    assert left(again.results) == before


def test_it_says_first_and_frees_what_no_results_name_when_it_is_told_to(again, clean):
    folder, before = stage(again.results), left(again.results)
    size = sum(path.stat().st_size for path in folder.iterdir())
    said = clean()
    assert re.search(r"stages that no grid or search here needs +1 +1\.\d+ kB\n", said)
    assert 1000 < size < 1999
    assert f"python -m ablations.clean results={again.results} yes=true" in said
    assert left(again.results) == before
    assert "freed 1 thing" in clean("yes=true")
    assert left(again.results) == {name: size for name, size in before.items() if not name.startswith(OTHER)}


def test_after_it_the_same_command_starts_nothing_and_all_commands_work(again, clean, monkeypatch, tmp_path):
    stage(again.results)
    clean("yes=true")
    monkeypatch.setattr("ablations.engine.workers.perform", lambda *_: pytest.fail("a stage was started"))
    assert run.main(again.arguments) == 0
    words = [f"cell={rows(again.folder)[0]['cell_id']}", "n=2", f"results={again.results}", "device=cpu"]
    assert sample.main([*words, f"out={tmp_path / 'drawn'}"]) == 0
    assert (tmp_path / "drawn.png").exists()


@pytest.mark.thorough
def test_metrics_and_rungs_that_a_grid_was_asked_for_besides_are_its_own(again, clean):
    more = ["evaluation.metrics=[density]", "evaluation.rungs=1"]
    assert run.main([*again.arguments, *more]) == 0
    stages = len(list((again.results / ".stages").iterdir()))
    assert stages > 15
    # The files are those of the cells without them again.
    assert run.main(again.arguments) == 0
    assert f"{stages} of them are needed" in clean("yes=true")
    assert len(list((again.results / ".stages").iterdir())) == stages


def test_a_grid_that_is_moved_away_takes_its_needs_along_but_for_what_another_one_shares(again, clean):
    words = [word for word in again.arguments if not word.startswith(("variance=", "name="))]
    assert run.main([*words, "variance=beta", "name=half"]) == 0
    shutil.rmtree(again.folder)
    shutil.rmtree(again.results / ".leases" / "tiny")
    said = clean("yes=true")
    # Two trainings, and of each the bounds and samples of β; what real images score is of them too.
    assert "9 of them are needed" in said
    assert len({name.split("/")[0] for name in left(again.results)}) == 9
    assert run.main([*words, "variance=beta", "name=half"]) == 0


def test_the_checkpoint_of_a_training_that_is_finished_goes_and_that_of_one_that_goes_on_stays(again, clean):
    training = trained(again.results)
    (training / "checkpoint.safetensors").write_bytes(bytes(500))
    (training / "result.json").rename(again.results / "aside")
    assert "nothing is to be freed" in clean("yes=true")
    (again.results / "aside").rename(training / "result.json")
    said = clean("yes=true")
    assert "checkpoints of trainings that are finished" in said
    assert "500 B" in said
    assert not (training / "checkpoint.safetensors").exists()
    assert (training / "weights.safetensors").exists()


def test_a_training_that_was_stopped_and_that_no_results_name_goes_only_when_that_is_said(again, clean):
    folder = stage(again.results, finished=False, checkpoint=True)
    assert "1 stage (1.1" in clean("yes=true")
    assert folder.exists()
    clean("yes=true", "unfinished=true")
    assert not folder.exists()


def test_a_stage_that_failed_and_that_no_results_name_goes(again, clean):
    folder = stage(again.results, finished=False)
    clean("yes=true")
    assert not folder.exists()


def test_while_a_command_is_at_work_no_stage_goes(again, clean):
    folder = stage(again.results)
    with FolderLock(again.results / "another").at_work():
        said = clean("yes=true")
        assert f"(process {os.getpid()}) is at work on {again.results}/another" in said
    assert folder.exists()
    with leased(folder):
        assert "nothing is to be freed" in clean("yes=true")
    clean("yes=true")
    assert not folder.exists()


def test_what_a_command_that_was_killed_has_left_waits_for_it_to_be_given_again(again, clean):
    folder = stage(again.results)
    of_the_dead(again.results / ".leases" / "tiny" / "deadbeef")
    assert f"a command on {again.folder} was killed" in clean("yes=true")
    assert folder.exists()
    assert run.main(again.arguments) == 0
    assert not (again.results / ".leases" / "tiny" / "deadbeef").exists()
    clean("yes=true")
    assert not folder.exists()


def test_results_whose_command_listed_nothing_keep_all_that_may_be_theirs(again, clean):
    folder = stage(again.results)
    shutil.rmtree(again.results / ".wanted")
    said = clean("yes=true")
    assert f"{again.folder} does not say what it needs (its command listed no stages" in said
    assert "2 of them are needed" in said, "the trainings, which rows name"
    path = again.folder / "runs.csv"
    text = path.read_text()
    path.write_text("no table")
    assert "cannot be read" in clean("yes=true")
    assert folder.exists()
    path.write_text(text)
    assert run.main(again.arguments) == 0
    said = clean("yes=true")
    assert "15 of them are needed" in said
    assert not folder.exists()


def test_results_that_were_run_elsewhere_are_no_riddle(again, clean):
    folder = stage(again.results)
    for name in ("elsewhere", "committed/old"):
        other = again.results / name
        shutil.copytree(again.folder, other)
        found = [row | {"cell_id": "e" * 12, "training_id": "d" * 12} for row in rows(other)]
        (other / "runs.csv").write_text(csv_text(found[0], found))
    clean("yes=true")
    assert not folder.exists()


def test_what_was_committed_keeps_what_the_run_of_its_name_wanted(again, clean):
    (again.results / "committed").mkdir()
    again.folder.rename(again.results / "committed" / "tiny")
    assert "15 of them are needed" in clean("yes=true")


def test_lists_go_with_results_that_are_gone(again, clean):
    shutil.rmtree(again.folder)
    assert "lists of what results that are gone needed" in clean("yes=true")
    assert list((again.results / ".wanted").iterdir()) == []


def test_temporary_files_of_the_dead_go_once_nobody_has_written_to_them_for_an_hour(again, clean):
    training = trained(again.results)
    old = [training / ".weights.safetensors.ab12cd_9", again.folder / ".runs.csv.zzzzzzzz"]
    young = training / ".result.json.abcdefgh"
    for path in (*old, young):
        path.write_bytes(bytes(10))
    for path in old:
        then = path.stat().st_mtime - 3700
        os.utime(path, (then, then))
    mine = again.folder / ".notes"
    mine.write_text("mine")
    assert "temporary files" in clean("yes=true")
    assert [path.exists() for path in (*old, young, mine)] == [False, False, True, True]


def test_leases_of_the_dead_go_and_those_of_the_living_stay(again, clean):
    training = trained(again.results)
    of_the_dead(training)
    of_the_dead(again.results / ".leases" / "removed" / "cafe")
    with leased(again.results / ".leases" / "tiny") as held:
        clean("yes=true")
        held.check()
    assert list(training.glob("lease.*")) == []
    assert not (again.results / ".leases" / "removed").exists()


def test_artifacts_of_deleted_runs_go_and_none_that_lie_elsewhere(again, clean, tmp_path):
    uri = f"sqlite:///{again.results / 'mlflow.db'}"
    client = MlflowClient(uri)
    inside = (again.results / ".artifacts" / "own").absolute().as_uri()
    outside = (tmp_path / "precious").absolute().as_uri()
    folders = []
    for place in (inside, outside):
        experiment = client.create_experiment(place[-9:].replace("/", "-"), artifact_location=place)
        for deleted in (False, True):
            made = client.create_run(experiment).info
            client.log_text(made.run_id, "x" * 300, "note.txt")
            folders.append(Path(made.artifact_uri.removeprefix("file://")).parent)
            if deleted:
                client.delete_run(made.run_id)
    said = clean("yes=true")
    assert "artifacts of runs that were deleted in MLflow" in said
    assert [folder.exists() for folder in folders] == [True, False, True, True]


def test_killed_in_between_it_has_freed_a_stage_or_not_and_goes_on_the_next_time(again, clean, monkeypatch):
    stage(again.results, "a" * 12)
    stage(again.results, "b" * 12)
    before = {name for name in left(again.results) if not name.startswith(("a" * 12, "b" * 12))}

    def killed(path: Path) -> None:
        next(Path(path).iterdir()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        assert main([f"results={again.results}", "yes=true"]) == 130
    assert not (again.results / ".stages" / ("a" * 12)).exists()
    assert (again.results / ".stages" / ("b" * 12) / "result.json").exists()
    said = clean("yes=true")
    assert "what a clean that was killed has left" in said
    assert set(left(again.results)) == before


def test_who_begins_while_it_frees_waits(tmp_path):
    place = tmp_path / ".leases" / CLEANING
    code = (
        "import sys, pathlib; from ablations.engine.folder_lock import FolderLock\n"
        f"with FolderLock(pathlib.Path({str(tmp_path / 'grid')!r})).at_work(): print('at work', flush=True)\n"
    )
    with leased(place):
        command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        own = tmp_path / ".leases" / "grid"
        began = time.monotonic()
        while not list(own.glob("*/lease.*")) and time.monotonic() - began < 30:
            time.sleep(0.05)
        # It is seen, and has not begun.
        assert any(holder(path) is not None for path in own.glob("*/"))
        time.sleep(0.5)
        assert command.poll() is None
    assert command.communicate(timeout=30)[0] == "at work\n"
    wait_for_cleaning(tmp_path / ".leases")


def test_two_of_them_are_one_after_the_other(again, capsys):
    with leased(again.results / ".leases" / CLEANING):
        assert main([f"results={again.results}", "yes=true"]) == 2
    assert f"(process {os.getpid()}) is cleaning {again.results} already" in capsys.readouterr().err


def test_a_folder_that_is_none(tmp_path, capsys):
    assert main([f"results={tmp_path / 'none'}"]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_the_end_of_a_grid_says_what_its_stages_take_and_where_they_are(again, tmp_path, capsys):
    def told():
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("disk")]
        return line

    assert run.main(again.arguments) == 0
    root = again.results / ".stages"
    floor = [path.parent for path in root.glob("*/result.json") if "extractor" in path.read_text()]
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and path.parent not in floor)
    taken = f"disk     {size / 1e3:.3g} kB in 14 stages of these cells"
    assert told() == f"{taken}; python -m ablations.clean frees what nobody needs"
    root.rename(tmp_path / "stages")
    assert run.main([*again.arguments, f"journal={tmp_path / 'stages'}"]) == 0
    assert told() == f"{taken}, in {tmp_path / 'stages'}"
