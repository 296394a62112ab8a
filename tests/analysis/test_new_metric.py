"""A metric that analysis has never heard of: what grid.json says of it brings it into frames, tables and the report."""

import pytest

import analysis
from analysis.report.contents import report
from analysis.tables import render
from analysis.terminal import terminal_table
from tests.analysis.folders import METRICS, NLL, make_folder

WOBBLE = "wobble/train/digits-cnn"
SAYS = {"label": "Wobble", "direction": "max", "decimals": 3, "decides": "samples"}
VALUES = {
    "slow": {seed: {NLL: 2.5 + seed / 100, WOBBLE: 0.1 + seed / 1000} for seed in range(3)},
    "fast": {seed: {NLL: 2.5 - seed / 100, WOBBLE: 0.2 + seed / 1000} for seed in range(3)},
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    metrics = {NLL: METRICS[NLL], WOBBLE: SAYS}
    return analysis.read(make_folder(tmp_path_factory.mktemp("wobble") / "g", VALUES, metrics=metrics))


def test_it_is_given_a_verdict(found):
    (verdict,) = found.comparisons.loc[found.comparisons["metric"] == WOBBLE, "verdict"]
    assert verdict == "worse"
    assert found.best(WOBBLE) == "fast"


def test_tables_and_pages_have_it(found):
    assert "Wobble ↑" in render(found, "markdown")
    assert "Wobble: fast is the best of 2, 0.201 ± 0.002." in " ".join(terminal_table(found).split())
    assert "Wobble" in report(found)
