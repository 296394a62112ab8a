"""Results of many cells on one axis: those of one cell again and again, each time a little worse."""

from tests.analysis.conftest import axis_of, build, curves, rows, sheets, write_curves

CELL = "epsilon-simple"


def many(folder, cells):
    """A results folder of so many cells, of which the last is the baseline."""
    names = [f"level {i:03}" for i in range(cells)]
    known = [row for row in rows() if row["cell_id"] == CELL]
    table = [_worse(row, name, i) for i, name in enumerate(names) for row in known]
    build(folder, table, axes=[axis_of("level", "Level", names)], baseline={"level": names[-1]}, layout="general")
    points = [point[1:] for point in curves() if point[0] == CELL]
    lines = [(name, *point) for name in names for point in points]
    write_curves(folder, lines)
    for name in names:
        (folder / "samples" / f"{name}-0.png").write_bytes(sheets()[f"{CELL}-0.png"])
    return folder


def _worse(row, name, i):
    """A row of the cell `name`, by i hundredths worse."""
    own = {key: value for key, value in row.items() if not key.startswith("axis.")}
    measured = {key: value + 0.01 * i for key, value in own.items() if key in ("nll/test", "fid/train/digits-cnn")}
    return own | measured | {"cell_id": name, "training_id": name, "axis.level": name}
