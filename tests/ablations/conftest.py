"""One tiny grid, really run once per session, that the tests of the experiment look at."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablations import run

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
def store(tmp_path_factory):
    """An empty, migrated MLflow store, made once: creating one takes seconds."""
    from ablations.tracking import Tracker

    folder = tmp_path_factory.mktemp("store")
    Tracker(f"sqlite:///{folder}/empty.db", "Default", folder)
    return folder / "empty.db"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, store):
    """ε and x_0 at two variances (one training each), on digits."""
    results = tmp_path_factory.mktemp("results")
    shutil.copy(store, results / "mlflow.db")
    arguments = ["parameterization=v,epsilon", "variance=beta,beta_tilde", "name=tiny", f"results={results}", *TINY]
    import contextlib
    import io

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = run.main(arguments)
    return Done(arguments, results, code, text.getvalue())


@pytest.fixture
def again(tiny, tmp_path):
    """A copy of the tiny run that a test may change."""
    results = tmp_path / "results"
    shutil.copytree(tiny.results, results)
    arguments = [word for word in tiny.arguments if not word.startswith("results=")] + [f"results={results}"]
    return Done(arguments, results, tiny.code, tiny.printed)
