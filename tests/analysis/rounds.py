"""The synthetic grid while its command goes on: five seeds are planned, of which three have been scored on their way.

At its first rung, 125 of 500 steps, a cell's values are those of its end times a factor, 1.5 of NLL on validation
images and 2 of the others; at the second, 250 steps, they are those of the end. Some trainings have gone further than
others.
"""

import json

from tests.analysis.conftest import DIVERGED, FID, IS, NLL, build, cell_id, curves, meta, rows, write_curves, write_rows

PLANNED = (0, 1, 2, 3, 4)
NLL_VAL = "nll/val"
FACTORS = {NLL: 1.5, FID: 2.0, IS: 2.0}
RUNGS = (125, 250)
UNSCORED = ("x0", "weighted")
"""The cell that no rung is of."""
FIRST = {"number": 1, "of": 3, "seeds": 3, "rung": True, "preliminary": True, "finished": 4, "trainings": 55}
NONE = FIRST | {"number": 0, "seeds": 0, "rung": False, "finished": 0}
WHOLE = FIRST | {"number": 2, "rung": False, "finished": 33}
END = FIRST | {"number": 3, "seeds": 5, "rung": False, "preliminary": False, "finished": 55}
DECLARED = [{"compare": {"parameterization": "x0"}}, {"compare": {"loss": "vlb_fixed"}}]


def described(**changes):
    """grid.json, of metrics that decide."""
    head = meta() | {"seeds": list(PLANNED), "rungs": 2, "primary": DECLARED}
    claim = {"claim": "ε has a better FID than x₀", "source": "DDPM, Table 2", "metric": "fid"}
    levels = {"better": {"parameterization": "epsilon"}, "than": {"parameterization": "x0"}}
    cells = {cell_id(levels): dict(zip(("parameterization", "loss"), levels, strict=True)) for levels in _cells()}
    return head | {"cells": cells, "expects": [claim | levels], "round": FIRST} | changes


def _cells():
    return dict.fromkeys((row["axis.parameterization"], row["axis.loss"]) for row in rows())


def ended():
    """runs.csv once all five seeds are over: seeds 3 and 4 are like 0 and 2."""
    table = rows()
    again = [row | {"seed": seed} for row in table for seed, of in ((3, 0), (4, 2)) if row["seed"] == of]
    return [*table, *again]


def under_way(over=()):
    """runs.csv meanwhile: what is over at these (levels, seed) is whole, the rest is interrupted."""
    table = []
    for row in ended():
        levels = row["axis.parameterization"], row["axis.loss"]
        if (levels, row["seed"]) in over or row["status"] == "diverged":
            table.append(row)
        else:
            choices = {key: value for key, value in row.items() if "/" not in key}
            table.append(choices | {"status": "interrupted", "reason": "it was stopped"})
    return table


def rungs(steps=RUNGS, seeds=(0, 1, 2)):
    """The points of curves at rungs."""
    for row in ended():
        levels = row["axis.parameterization"], row["axis.loss"]
        if levels in (DIVERGED, UNSCORED) or row["seed"] not in seeds or FID not in row:
            continue
        for step in steps:
            for name, factor in FACTORS.items():
                value = row[name] * (factor if step == RUNGS[0] else 1.0)
                yield row["cell_id"], row["seed"], f"rung/{name.replace('/test', '/val')}", step, f"{value:.7g}"


def write(folder, table, points, **changes):
    """The files of a results folder, which is there already."""
    (folder / "grid.json").write_text(json.dumps(described(**changes), ensure_ascii=False), encoding="utf-8")
    write_rows(folder, table)
    write_curves(folder, [*curves(), *points])
    return folder


def in_round(path, table=None, points=None, **changes):
    """A results folder in the middle of its first round, or as these say."""
    table = under_way() if table is None else table
    return write(build(path, table), table, list(rungs()) if points is None else points, **changes)
