"""What a large grid takes is arithmetic on operations that are counted and on seconds that were measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evidence import cluster
from evidence.cluster import Driver, Operations

SCALE = """Seconds:

| cells | runs | plan | run | deliver | pages | again | all, per run | peak memory, MB | per run, MB |
|---|---|---|---|---|---|---|---|---|---|
| 10 | 20 | 1 | 1 | 1 | 1 | 1 | 0.2 | 700 | 0.0 |
| 100 | 200 | 2.00 | 4.00 | 10.00 | 2.00 | 2.00 | 0.1 | 800 | 0.1 |
"""


@pytest.fixture
def scale(tmp_path):
    path = tmp_path / "scale.md"
    path.write_text(SCALE)
    return path


def test_the_largest_row_of_the_page_is_the_drivers(scale):
    seconds = {"plan": 2.0, "run": 4.0, "deliver": 10.0, "pages": 2.0, "again": 2.0}
    assert cluster.driver_of(scale) == Driver(200, seconds, 800.0)


def test_the_page_is_arithmetic(monkeypatch, scale, tmp_path, capsys):
    """A step of 1e12 operations at 1e12 a second is a second: 3,600 steps of 10 cells are 10 hours."""
    of = Operations(step=1e12, bound=3.6e15, samples=7.2e15, parameters=1_000_000, sets=2)
    monkeypatch.setattr(cluster, "operations", lambda: of)
    words = ["cells=10", "gpus=2", "peak=1e13", "mfu=0.1", "steps=3600", f"scale={scale}", f"out={tmp_path / 'page'}"]
    assert cluster.main(words) == 0
    lines = (tmp_path / "page").read_text().splitlines()
    assert lines == capsys.readouterr().out.splitlines()
    assert "| 3,600 | 10 | 10 | 20 | 40 | 0.8 | 4.00 |" in lines
    assert "| weights and their average | 8 | 0 |" in lines
    assert "| generated images, 2 sets | 61 | 1 |" in lines
    assert "| deliver | 0 |" in lines
    # 0.1 s a run of 10 are a second; 40 hours on two GPUs are 72,000.
    assert "It is busy for 1 s, 0.00 % of the wall time" in lines[-1]


@pytest.mark.slow
def test_operations_are_those_of_a_network_of_ddpms_channels():
    """The paper's has 35.7 million parameters; ours has the same channels, and some layers fewer."""
    of = cluster.operations()
    assert 25e6 < of.parameters < 36e6
    # A step is three passes of 128 images, a sample a thousand: 10,000 of them twice.
    assert of.samples / of.step == pytest.approx(1000 * 10_000 * 2 / (3 * 128))


def test_docs_say_what_the_committed_page_does():
    root = Path(__file__).parents[2]
    page = (root / "evidence" / "cluster.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    number = {row[0]: [float(cell.replace(",", "")) for cell in row[1:]] for row in rows if row[-1][0].isdigit()}
    said = " ".join((root / "docs" / "scale.md").read_text(encoding="utf-8").split())
    train, _, samples = number["10,000"][:3]
    assert round(samples / train) == 5
    assert "are five times the work of 10,000 training steps" in said
    assert f"averages are {number['weights and their average'][1] / 1000:.1f} TB" in said
    assert f"generated images {number['generated images, 2 sets'][1] / 1000:.1f} TB" in said
    seconds = sum(number[part][0] for part in ("plan", "run", "deliver", "pages", "again"))
    assert 540 < seconds < 660
    assert "took it ten minutes and 3 GB" in said
    assert re.search(r"holds 3\.\d GB at 10,000 runs", page)
