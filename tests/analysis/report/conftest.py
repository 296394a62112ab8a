"""Pages that tests only read, and pictures that take no time."""

import pytest

from tests.analysis.conftest import build, rows
from tests.analysis.latent import latent
from tests.analysis.report.pages import PICTURE, Page, laid_out, page_of


@pytest.fixture
def quick(monkeypatch):
    """Reports of the test have pictures that take no time."""
    monkeypatch.setattr(PICTURE, laid_out)


def with_costs(table):
    costs = {"cost/train_seconds": 20.0, "cost/sample_seconds": 9.0, "cost/flops_per_image": 5e6}
    return [row | costs if row["status"] == "finished" else row for row in table]


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("r") / "parameterization", with_costs(rows()))
    path = page_of(folder)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(text):
    return Page(text)


@pytest.fixture(scope="session")
def latent_page(tmp_path_factory):
    folder = latent(tmp_path_factory.mktemp("r") / "latent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PICTURE, laid_out)
        return Page(page_of(folder).read_text(encoding="utf-8"))
