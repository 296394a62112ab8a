"""One tiny grid, really run once per session, that the tests of the experiment look at."""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import json
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from mlflow.tracking._tracking_service import utils

from ablations import run
from ablations.data import base
from ablations.data.digits import Digits
from ablations.data.tensors import read_tensors
from ablations.driver import pages, showing
from ablations.driver.plan import Plan, plan
from ablations.engine.journal import Journal, Result
from ablations.engine.perform import perform
from ablations.grids.grid import make
from ablations.launchers.cluster import QUIET
from ablations.launchers.local import Local
from ablations.metrics import judging
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from ablations.settings.cell import Cell
from ablations.stages import training_loop
from ablations.stages.graph import stages_of
from ablations.stages.stage import Stage
from ablations.tracking import mlflow_store
from ablations.tracking.mlflow_store import Tracker
from analysis.findings.answers import Answers
from analysis.folders import search_alone
from analysis.pages import in_words
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from analysis.tables.search import terminal_search
from diffusion_core.precision import resolve_precision
from tests.made_once import made_once

TINY = [
    *["horizon=25", "training.steps=60", "training.warmup=10", "training.learning_rate=0.005", "training.batch=64"],
    *["training.report_every=20", "network.channels=8", "network.multipliers=[1]", "network.attention=[]"],
    *["evaluation.exact=2", "evaluation.strata=2", "evaluation.sets=2"],
]

HERE = resolve_precision("auto", torch.device("cpu"))
"""The precision of cells on this machine's processor."""
FEW = 64
"""Images of each split where few are enough."""


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


def over(base: Iterable[str], *words: str) -> list[str]:
    """The words of a command, with these in the place of its own of their names."""
    return list({word.split("=")[0]: word for word in (*base, *words)}.values())


def cell_of(*words: str) -> Cell:
    """The first cell of a command."""
    return make(parse_run(list(words))).points[0].cell


def stages_of_cell(*words: str) -> list[Stage]:
    """The stages of the first cell of a command, in float32."""
    cell = cell_of(*words)
    return stages_of(cell, cell.data.load().digest, "float32", "x")


def plan_of(*words: str) -> Plan:
    """The plan of a command on one processor."""
    return plan(make(parse_run(list(words))), Local(), ["cpu"])


def result_of(stage: Stage, root: Path, device: str = "cpu") -> Result:
    """What a stage comes to that is performed here, in the journal of this folder."""
    journal = Journal(root)
    assert perform(stage, journal, device) == "finished", journal.failure(stage.id)
    return journal.result(stage.id)


def tracker_in(results: Path, name: str = "tiny") -> Tracker:
    """The experiment of this name in the store of a results folder."""
    return Tracker(f"sqlite:///{results / 'mlflow.db'}", name, results / ".artifacts")


def runs_of(tracker: Tracker, kind: str = "cell") -> list:
    """The runs of a kind that an experiment has."""
    return tracker.client.search_runs([tracker.experiment_id], f"tags.kind = '{kind}'")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, store):
    """ε and v at two variances (one training each), on digits, by workers."""

    def make(results: Path) -> Done:
        shutil.copy(store, results / "mlflow.db")
        arguments = ["parameterization=v,epsilon", "variance=beta,beta_tilde", "name=tiny", f"results={results}", *TINY]
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            code = run.main(arguments)
        return Done(arguments, results, code, text.getvalue())

    return made_once(tmp_path_factory, "results", make)


def reproducible(curves):
    """Curves without the clock, which is another each time."""
    return {name: curve for name, curve in curves.items() if not name.startswith("cost/")}


def said(folder):
    """What a terminal shows of a results folder, whose pages are not written."""
    return terminal_search(read_search(folder)) if search_alone(folder) else in_words(Answers.of(read_folder(folder)))


class NoDrawing:
    """A process that has drawn the pages of a round already, and says which round they are of."""

    over = True

    def __init__(self, folder):
        self.folder = folder

    def result(self):
        """What a terminal shows of it."""
        return f"round {json.loads((self.folder / 'grid.json').read_text())['round']['number']}"

    def stop(self):
        """There is nothing to stop."""


@pytest.fixture
def without_pictures(monkeypatch):
    """Drawing takes longer than what these tests run."""
    monkeypatch.setattr(pages, "write_pages", said)
    monkeypatch.setattr(showing, "Drawing", NoDrawing)


@pytest.fixture
def alone(monkeypatch, without_pictures):
    """Nothing is drawn or delivered."""
    monkeypatch.setattr(mlflow_store, "open_tracker", lambda *place: None)


@pytest.fixture
def again(tiny, tmp_path, without_pictures, monkeypatch):
    """A copy of the tiny run that a test may change; what it runs, it runs in this process."""
    # A process remembers where a run's artifacts are, and runs of copies are called alike.
    utils._artifact_repos_cache.clear()
    results = tmp_path / "results"
    shutil.copytree(tiny.results, results)
    arguments = [word for word in tiny.arguments if not word.startswith("results=")]
    return Done([*arguments, f"results={results}", "launcher=serial"], results, tiny.code, tiny.printed)


@pytest.fixture
def few_digits(few_images):
    """The first of each split of digits: what goes together does so on a few images too."""
    few_images(Digits())


@pytest.fixture
def few_images(monkeypatch):
    """A function that leaves the first of each split of a data set of images."""

    def leave(data, count=FEW):
        whole = data.load()
        images, labels = (
            {split: values[:count] for split, values in every.items()} for every in (whole.images, whole.labels)
        )
        monkeypatch.setattr(type(data), "read", lambda self: replace(whole, images=images, labels=labels))
        forget()

    def forget():
        for cache in (base._loaded, judging.reference_of):
            cache.cache_clear()

    yield leave
    forget()


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


@pytest.fixture
def goes_on(tmp_path, monkeypatch):
    """(stage, cuts) → a check that a stage cut at its first so many checkpoints ends, bit by bit, as a whole one."""
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)
    write = training_loop.write_checkpoint

    def cut(*given):
        write(*given)
        raise ZeroDivisionError

    def check(stage, cuts):
        with monkeypatch.context() as patch:
            patch.setattr(training_loop, "write_checkpoint", cut)
            for _ in range(cuts):
                assert perform(stage, Journal(tmp_path / "cut"), "cpu") == "failed"
        left, curves = [], []
        for name in ("cut", "whole"):
            journal = Journal(tmp_path / name)
            assert perform(stage, journal, "cpu") == "finished"
            files = journal.folder(stage.id).glob("*.safetensors")
            left.append({path.name: read_tensors(path)[0] for path in files})
            curves.append(reproducible(journal.result(stage.id).curves))
        assert curves[0] == curves[1]
        assert left[0].keys() == left[1].keys() >= {"weights.safetensors"}
        for mine, whole in zip(left[0].values(), (left[1][name] for name in left[0]), strict=True):
            assert mine.keys() == whole.keys()
            assert all(torch.equal(mine[name], whole[name]) for name in whole)

    return check


@pytest.fixture(scope="module")
def real_ray():
    """Ray itself, with a token of these tests alone; what they start of it ends with them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64, **QUIET}.items():
            patch.setenv(name, value)
        ray = pytest.importorskip("ray")
        yield ray
        ray.shutdown()
    with warnings.catch_warnings():
        # Ray leaves the logs of the processes that it started open.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
