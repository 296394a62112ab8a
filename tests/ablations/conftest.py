"""One tiny grid, really run once per session, that the tests of the experiment look at."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import shutil
import warnings
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
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.launchers.cluster import QUIET
from ablations.metrics import judging
from ablations.settings import grammar
from ablations.stages import checkpoints, training_loop
from analysis.findings.answers import Answers
from analysis.format.folders import search_alone
from analysis.pages import in_words
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from analysis.tables.search import terminal_search
from diffusion_core.precision import resolve_precision
from tests.made_once import made_once

TINY = [
    "horizon=25",
    "training.steps=60",
    "training.warmup=10",
    "training.learning_rate=0.005",
    "training.batch=64",
    "training.report_every=20",
    "network.channels=8",
    "network.multipliers=[1]",
    "network.attention=[]",
    "evaluation.exact=2",
    "evaluation.strata=2",
    "evaluation.sets=2",
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
def again(tiny, tmp_path, without_pictures, monkeypatch):
    """A copy of the tiny run that a test may change; what it runs, it runs in this process."""
    # A process remembers where a run's artifacts are, and runs of copies are called alike.
    utils._artifact_repos_cache.clear()
    results = tmp_path / "results"
    shutil.copytree(tiny.results, results)
    arguments = [word for word in tiny.arguments if not word.startswith("results=")]
    return Done([*arguments, f"results={results}", "launcher=serial"], results, tiny.code, tiny.printed)


@pytest.fixture
def few_digits(monkeypatch):
    """The first of each split of digits: what goes together does so on a few images too."""
    whole = Digits().load()
    images = {split: values[:FEW] for split, values in whole.images.items()}
    monkeypatch.setattr(Digits, "read", lambda self: replace(whole, images=images))
    for cache in (base._loaded, judging.reference_of):
        cache.cache_clear()
    yield
    for cache in (base._loaded, judging.reference_of):
        cache.cache_clear()


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
def cut_and_whole(tmp_path, monkeypatch):
    """(stage, cuts) → results and weights of a stage cut at its first so many checkpoints, and of a whole one."""
    monkeypatch.setattr(training_loop, "CHECKPOINT_SECONDS", 0)

    class Cut(Exception):
        pass

    write = checkpoints.write_checkpoint

    def cut(folder, *rest):
        write(folder, *rest)
        raise Cut

    def both(stage, cuts):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "write_checkpoint", cut)
            for _ in range(cuts):
                assert perform(stage, Journal(tmp_path / "cut"), "cpu") == "failed"
        results, weights = [], []
        for name in ("cut", "whole"):
            assert perform(stage, Journal(tmp_path / name), "cpu") == "finished"
            results.append(Journal(tmp_path / name).result(stage.id))
            weights.append(read_tensors(Journal(tmp_path / name).folder(stage.id) / "weights.safetensors")[0])
        return results, weights

    return both


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
