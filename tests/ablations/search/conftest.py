"""One small search, really run once per session, that the tests of searching look at."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import pytest

from ablations.search import __main__ as search
from analysis import pages
from tests.ablations.conftest import Done, said
from tests.made_once import made_once

POINTS = [
    *("data=mixture2d", "network=mlp", "network.width=16", "network.layers=1", "schedule=log_snr_linear", "horizon=20"),
    *("training.steps=20", "training.warmup=5", "training.learning_rate=0.01", "training.report_every=5"),
    *("evaluation.exact=2", "evaluation.strata=2", "sampler.steps=5"),
    *("schedule.gamma_min=interval(-14,-2)", "schedule.gamma_max=interval(0,8)"),
    *("study.startup=3", "study.pruner=median", "study.seed=4", "trials=9", "confirm=2", "name=found"),
]


@pytest.fixture(scope="session")
def searched(tmp_path_factory, store):
    """γ_min and γ_max on points, pruned, and confirmed; its pictures are for other tests."""

    def make(results: Path) -> Done:
        shutil.copy(store, results / "mlflow.db")
        arguments = [*POINTS, f"results={results}", "launcher=serial"]
        text = io.StringIO()
        with contextlib.redirect_stdout(text), pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            code = search.main(arguments)
        return Done(arguments, results, code, text.getvalue())

    return made_once(tmp_path_factory, "searched", make)


@pytest.fixture
def again(searched, tmp_path, without_pictures):
    """A copy of the search that a test may change."""
    results = tmp_path / "results"
    shutil.copytree(searched.results, results)
    arguments = [*POINTS, f"results={results}", "launcher=serial"]
    return Done(arguments, results, searched.code, searched.printed)
