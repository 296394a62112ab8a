"""The experiment from Python: a script with classes of its own, and frames of what a grid and a search found."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import textwrap
from contextlib import nullcontext

import pytest

import ablations
from ablations.settings.plugins import REGISTERED
from analysis import pages
from analysis.errors import InputError
from tests.ablations.conftest import TINY
from tests.ablations.settings.outside import STEEP, module

POINTS = [word for word in TINY if not word.startswith(("network.", "training.steps"))]
SMALL = ["data=mixture2d", "schedule=log_snr_linear", "training.steps=10", "horizon=5", "network.width=16"]
SMALL += [word for word in POINTS if "horizon" not in word]


@pytest.fixture
def results(tmp_path, store, monkeypatch):
    """A results folder without anything but an empty store, and no pictures."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(store, folder / "mlflow.db")
    monkeypatch.setattr(pages, "write_pages", lambda folder: "")
    return folder


@pytest.mark.thorough
def test_a_script_registers_a_class_that_its_workers_know(tmp_path, store):
    (tmp_path / "results").mkdir()
    shutil.copy(store, tmp_path / "results" / "mlflow.db")
    text = textwrap.dedent(STEEP).replace("@dataclass", "@ablations.register\n@dataclass", 1)
    words = ["schedule=steep,log_snr_linear", "name=mine", "launcher.workers=1", *SMALL[:1], *SMALL[2:]]
    # Without a guard: a worker reads the script for its classes, and must not run the grid again.
    script = tmp_path / "mine.py"
    plain = "from analysis import pages\npages.write_pages = lambda folder: ''\n"
    script.write_text(f"import ablations\n{plain}{text}\ncode = ablations.main({words!r})\nprint('code', code)\n")
    command = [sys.executable, "mine.py", "name=other"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "code 0" in done.stdout, done.stderr
    rows = (tmp_path / "results" / "other" / "runs.csv").read_text().splitlines()
    assert "schedule.origin" in rows[0]
    assert sum("mine.py " in row for row in rows) == 1
    head = json.loads((tmp_path / "results" / "other" / "grid.json").read_text())
    assert head["command"] == "python mine.py name=other"
    steep = next(row.split(",")[0] for row in rows if "mine.py " in row)
    for program, says in ((["mine.py", "sample"], "samples-"), (["-m", "ablations.sample"], "is a class of mine.py")):
        drawn = [sys.executable, *program, f"cell={steep}", "n=4"]
        done = subprocess.run(drawn, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert says in done.stdout + done.stderr


def test_a_grid_gives_its_frames(results):
    words = ["variance=beta,beta_tilde", "name=frames", f"results={results}", "launcher=serial", *SMALL]
    found = ablations.run(*words)
    assert list(found.runs["axis.variance"]) == ["beta", "beta_tilde"]
    assert found.runs["nll/test"].notna().all()
    assert (found.runs["energy_distance/test"] > 0).all()
    sheets = {f"{cell}-0.csv" for cell in found.runs["cell_id"]}
    assert {path.name for path in (results / "frames" / "samples").iterdir()} == {*sheets, "held-out.csv"}
    assert set(found.curves.columns) == {"cell_id", "seed", "curve", "x", "y"}


def test_wrong_words_are_raised_in_one_line(results):
    with pytest.raises(InputError, match="no schedule called 'linaer'"):
        ablations.run("schedule=linaer")
    with pytest.raises(InputError, match="dry_run=true runs nothing"):
        ablations.run("dry_run=true", f"results={results}", *SMALL)


def test_main_takes_the_name_of_another_command_first(results, capsys):
    assert ablations.main(["publish", f"results={results}"]) == 2
    assert "holds no results to publish" in capsys.readouterr().err
    assert ablations.main(["schedule=linaer"]) == 2
    assert "no schedule called 'linaer'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_gives_its_frames(results):
    words = ["schedule.gamma_max=4.0,6.0", "trials=2", "confirm=2", "study.pruner=none", "name=searched"]
    found = ablations.run_search(*words, f"results={results}", "launcher=serial", *SMALL)
    assert len(found.trials) == 2
    assert set(found.trials["status"]) == {"finished"}
    assert set(map(float, found.trials["param.schedule.gamma_max"])) <= {4.0, 6.0}


def test_results_of_an_edited_class_are_never_overwritten(results, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    known = dict(REGISTERED)
    words = ["schedule=steep", "name=edited", f"results={results}", "launcher=serial", *SMALL[:1], *SMALL[2:]]
    told = pytest.raises(InputError, match="never overwritten")
    for ends, expected in (("(-10.0, 6.0)", nullcontext()), ("(-10.0, 5.0)", told)):
        module(tmp_path, "edited", STEEP.replace("(-10.0, 6.0)", ends))
        ablations.register(importlib.import_module("edited").Steep)
        with expected:
            ablations.run(*words)
    REGISTERED.clear()
    REGISTERED.update(known)
