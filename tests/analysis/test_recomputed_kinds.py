"""A grid whose rows come of two kinds of machine is compared within a kind: recomputed, and by hand."""

import csv
import re
import shutil

import numpy as np
import pytest

from analysis.tables import table_of
from tests.analysis import test_recomputed as recomputed
from tests.analysis import test_recomputed_auto as auto
from tests.analysis.conftest import FID, NLL, answers_of, build, rows

CHECKS = (
    recomputed.test_estimates,
    recomputed.test_differences,
    recomputed.test_verdicts,
    recomputed.test_leaders,
    recomputed.test_as_good,
    recomputed.test_effects,
)


def on_machines(folder, kind_of):
    """Write these machines into runs.csv, by the number of the cell and the seed."""
    with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    cells = list(dict.fromkeys(row["cell_id"] for row in table))
    for row in table:
        row["machine"] = kind_of(cells.index(row["cell_id"]), int(row["seed"]))
    with (folder / "runs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


@pytest.mark.parametrize(
    ("kind_of", "claims"),
    [
        (lambda cell, seed: "B" if cell == 1 and seed == 0 else "A", True),
        (lambda cell, seed: "AB"[seed % 2], True),
        (lambda cell, seed: "B" if cell == 1 else "A", False),
        (lambda cell, seed: "AB"[cell % 2], False),
    ],
    ids=["one run", "a kind per seed", "one cell", "every other cell"],
)
def test_recomputed(kind_of, claims, tmp_path):
    """Claims are left out where some of them cannot be tested."""
    folder = mixed("edm", kind_of, tmp_path)
    for check in (*CHECKS, *([recomputed.test_claims] if claims else [])):
        check(str(folder))


def test_looks_are_recomputed(tmp_path):
    folder = mixed("parameterization", lambda cell, seed: "B" if (cell, seed) == (1, 0) else "A", tmp_path)
    for check in (auto.test_differences, auto.test_verdicts, auto.test_leaders):
        check(str(folder))


def mixed(name, kind_of, into):
    """A copy of committed results as if made on these machines."""
    folder = shutil.copytree(recomputed.ROOT / name, into / name)
    on_machines(folder, kind_of)
    return folder


def made_by(kind_of):
    """The rows of the usual folder with these machines, by their cell and seed."""
    return [row | {"machine": kind_of(row["cell_id"], row["seed"])} for row in rows()]


def values(table, cell, metric):
    """Seed → value."""
    return {row["seed"]: row[metric] for row in table if row["cell_id"] == cell and metric in row}


def test_a_seed_of_two_kinds_is_left_out_and_counted(tmp_path):
    """x₀ under weighted MSE is of another kind at seed 1, so one of its three differences with the baseline goes."""
    table = made_by(lambda cell, seed: "B" if (cell, seed) == ("x0-weighted", 1) else "A")
    answers = answers_of(build(tmp_path / "g", table))
    first, base = values(table, "x0-weighted", FID), values(table, "epsilon-simple", FID)
    expected = np.mean([np.log(first[seed] / base[seed]) for seed in (0, 2)])
    found = next(pair for finding in answers.findings for pair in finding.pairs if is_of(pair, "x0-weighted", FID))
    assert (found.comparison.n, found.comparison.difference) == (2, pytest.approx(expected))
    whole = next(pair for finding in answers.findings for pair in finding.pairs if is_of(pair, "mu-vlb_fixed", NLL))
    assert whole.comparison.n == 3
    said = r"at the seeds that the same kind made of both: 1 of the \d+ differences by seed are left out\."
    assert re.search(said, table_of(answers).caption)


def test_cells_of_different_kinds_are_not_compared_and_nothing_is_called_as_good_as_the_other(tmp_path):
    table = made_by(lambda cell, seed: "B" if cell == "x0-weighted" else "A")
    answers = answers_of(build(tmp_path / "g", table))
    place = next(i for i, cell in enumerate(answers.cells) if cell.cell_id == "x0-weighted")
    for finding in answers.findings:
        assert not any("x0-weighted" in (pair.a.cell_id, pair.b.cell_id) for pair in finding.pairs)
        assert finding.standing.beaten[place] is None
        assert not finding.standing.near
    assert "and 1 of the comparisons have fewer than two seeds left" in table_of(answers).caption


def is_of(pair, cell, metric):
    return pair.a.cell_id == cell and pair.metric.name == metric
