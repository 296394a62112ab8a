"""What all tests share: one thread, so that they are as fast beside others as alone, and repeatable.

What one machine skips another one can make up for: SKIPPED=FILE writes the ids of what was skipped, one a line, and
AGAIN=FILE marks what has these ids, or is in these files, for `pytest -m again`.
"""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

import pytest
import torch

from ablations.driver import estimate
from tests.made_once import made_once


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def estimated_at_once() -> None:
    """What a dry run says of its minutes is measured by a pass of each kind, and no longer."""
    estimate.MEASURED = 1e-4


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory) -> None:
    """What tests decode is kept for them alone, and not in the cache of whoever runs them."""
    os.environ["DIFFUSION_ABLATIONS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The file of an empty, migrated MLflow store, made once: creating one takes seconds."""
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)

    def make(folder: Path) -> Path:
        mlflow.MlflowClient(f"sqlite:///{folder / 'empty.db'}").search_experiments()
        return folder / "empty.db"

    return made_once(tmp_path_factory, "store", make)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is slow or needs a device is asked for by that name alone; THOROUGH=K/N leaves every N-th of the thorough
    tests, from the K-th on: CI takes another share of them each time."""
    again = set(Path(os.environ["AGAIN"]).read_text(encoding="utf-8").splitlines()) if "AGAIN" in os.environ else set()
    for item in items:
        if again & {item.nodeid, item.nodeid.partition("::")[0]}:
            item.add_marker("again")
        if item.get_closest_marker("slow") or item.get_closest_marker("gpu"):
            item.own_markers = [mark for mark in item.own_markers if mark.name != "thorough"]
    turn, shares = map(int, os.environ.get("THOROUGH", "0/1").split("/"))
    thorough = [item for item in items if item.get_closest_marker("thorough")]
    left_out = {item for i, item in enumerate(thorough) if i % shares != turn}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What is imported by now stays: to look through all of it for garbage again and again takes long."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "SKIPPED" in os.environ and reporter is not None and not hasattr(session.config, "workerinput"):
        ids = sorted({f"{report.nodeid}\n" for report in reporter.stats.get("skipped", [])})
        Path(os.environ["SKIPPED"]).write_text("".join(ids), encoding="utf-8")
