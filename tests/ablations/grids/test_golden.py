"""Every grid file makes the cells and trainings that it made: `golden_ids.csv` has their ids, cell by cell.

They are those of the first seed, and of float32 where a cell leaves its precision to the machine. A cell that makes no
sense has no training. The file was written before the code around it was rewritten; where NUMERICS rises, or a grid
file asks for something else, its rows are made anew, and for no other reason.
"""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.settings.registry import cell_id
from ablations.stages.graph import stages_of
from tests.ablations.cells import GRIDS

with Path(__file__).with_name("golden_ids.csv").open(encoding="utf-8", newline="") as file:
    GOLDEN = defaultdict(list)
    for row in csv.DictReader(file):
        GOLDEN[row.pop("grid")].append(row)


def ids_of(point):
    """The ids of a grid's cell, of its training and of its autoencoder, where it has these."""
    cell, digest = point.cell, point.cell.data.described().digest
    precision = "float32" if cell.training.precision == "auto" else cell.training.precision
    stages = [] if point.refusal else stages_of(cell, digest, precision, None)
    ids = {stage.kind: stage.id for stage in stages}
    learned = {f"{kind}_id": ids.get(kind, "") for kind in ("training", "autoencoder")}
    return {"cell_id": cell_id(cell, digest, precision), **learned}


def test_every_grid_file_is_among_them():
    assert set(GOLDEN) == set(GRIDS)
    assert sum(map(len, GOLDEN.values())) == 413


@pytest.mark.parametrize("name", GOLDEN)
def test_a_grid_makes_the_cells_and_trainings_that_it_made(name):
    assert [ids_of(point) for point in make(parse_run([f"grid={name}"])).points] == GOLDEN[name]
