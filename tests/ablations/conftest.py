"""One tiny grid, really run once per session, that the tests of the experiment look at."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils

from ablations.data import base
from ablations.data.shipped import Digits
from ablations.driver import run
from ablations.driver.plan import Plan, plan_of_grid
from ablations.grids.grid import make
from ablations.launchers.launcher import Local
from ablations.metrics import scoring
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from ablations.tracking.tracker import Tracker
from analysis import pages, read
from analysis.pages import in_words
from analysis.places import search_alone
from analysis.search import read_search, terminal_search
from tests.ablations.cells import FEW, HERE, TINY, cell_of, over, reproducible, result_of, stages_of_cell
from tests.made_once import made_once

__all__ = ["HERE", "TINY", "cell_of", "over", "reproducible", "result_of", "stages_of_cell"]


@dataclass(frozen=True)
class Done:
    """A finished run: its arguments, results folder, exit code and what it printed."""

    arguments: list[str]
    results: Path
    code: int
    printed: str

    @property
    def folder(self) -> Path:
        return self.results / "tiny"


def rows(folder: Path, name: str = "runs.csv") -> list[dict[str, str]]:
    """The lines of a table in a results folder."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def head(folder: Path) -> dict:
    """What grid.json says."""
    return json.loads((folder / "grid.json").read_text(encoding="utf-8"))


def plan_of(*words: str) -> Plan:
    """The plan of a command on one processor."""
    return plan_of_grid(make(parse_run(list(words))), Local(), ["cpu"])


def tracker_in(results: Path, name: str = "tiny") -> Tracker:
    """The experiment of this name in the store of a results folder."""
    return Tracker(f"sqlite:///{results / 'mlflow.db'}", name, results / ".artifacts")


def runs_of(tracker: Tracker, kind: str = "cell") -> list:
    """The runs of a kind that an experiment has."""
    return tracker.client.search_runs([tracker.experiment_id], f"tags.kind = '{kind}'")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, store):
    """ε and v at two variances (one training each), on digits, by a worker."""

    def make(results: Path) -> Done:
        shutil.copy(store, results / "mlflow.db")
        arguments = ["parameterization=v,epsilon", "variance=beta,beta_tilde", "name=tiny", f"results={results}", *TINY]
        arguments.append("launcher.workers=1")
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            code = run.main(arguments)
        return Done(arguments, results, code, text.getvalue())

    return made_once(tmp_path_factory, "results", make)


def said(folder):
    """What a terminal shows of a results folder, whose pages are not written."""
    return terminal_search(read_search(folder)) if search_alone(folder) else in_words(read(folder))


@pytest.fixture
def without_pictures(monkeypatch):
    """Drawing takes longer than what these tests run."""
    monkeypatch.setattr(pages, "write_pages", said)


@pytest.fixture
def alone(monkeypatch, without_pictures):
    """Nothing is drawn or delivered."""
    for command in ("driver.execute", "search.search"):
        monkeypatch.setattr(f"ablations.{command}.open_tracker", lambda *place: None)


@pytest.fixture
def again(tiny, tmp_path, without_pictures, monkeypatch):
    """A copy of the tiny run that a test may change; what it runs, it runs in this process."""
    # A process remembers where a run's artifacts are, and runs of copies are called alike.
    utils._artifact_repos_cache.clear()
    results = tmp_path / "results"
    shutil.copytree(tiny.results, results)
    arguments = [word for word in tiny.arguments if not word.startswith(("results=", "launcher"))]
    return Done([*arguments, f"results={results}", "launcher=serial"], results, tiny.code, tiny.printed)


@contextlib.contextmanager
def few_of(*every, count=FEW):
    """The first images of each split of these data sets: what goes together does so on a few images too."""
    with pytest.MonkeyPatch.context() as patch:
        for data in every:
            whole = data.load()
            kept = [{split: values[:count] for split, values in of.items()} for of in (whole.images, whole.labels)]
            few = replace(whole, images=kept[0], labels=kept[1])
            patch.setattr(type(data), "read", lambda self, few=few: few)
        forget()
        yield
    forget()


def forget():
    """Data that were read are read anew."""
    for cache in (base._loaded, scoring.real_features):
        cache.cache_clear()


@pytest.fixture
def few_digits():
    with few_of(Digits()):
        yield


@pytest.fixture(scope="module")
def few_digits_here():
    """For all tests of a module, which lean on what it has made of few digits."""
    with few_of(Digits()):
        yield


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A folder of the user's own where commands are run, for files of choices, grids and studies."""
    folder = tmp_path / "configs"
    (folder / "grid").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    grammar.use(None)
    yield folder
    monkeypatch.undo()
    grammar.use(None)
