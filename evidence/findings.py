"""The tables of docs/findings.md, made of the committed grids and put into the page: python -m evidence.findings

The line `<!-- schedule, schedule-fashion -->` of the page says whose table follows it; all else is written by hand.
"""

import re

import pandas as pd

from analysis.answers import AS_GOOD, BEST, MAY_BE_BEST, Analysis
from analysis.claims import TOLD_APART
from analysis.grid_json import MetricInfo
from analysis.labels import Rounding
from analysis.schema import LIKELIHOOD
from analysis.words import name_in_row
from evidence.freshness import ROOT, committed, marks_of

PAGE = ROOT / "docs" / "findings.md"
TABLE = re.compile(r"<!-- ([\w, -]+) -->\n(?:.+\n)*")
HEAD = "grid | best NLL | best FID | decided\n---|---|---|---"


def table(found: re.Match[str]) -> str:
    """The table of the grids that a line of the page names."""
    return "\n".join([f"<!-- {found[1]} -->\n{HEAD}", *map(rows, found[1].split(", ")), ""])


def rows(name: str) -> str:
    """The rows of a grid: one, or one for each row within which it declares comparisons."""
    grid = committed(name)
    pairs = grid.comparisons[grid.comparisons["primary"]]
    seeds = "–".join(dict.fromkeys(str(end) for end in (pairs["n"].min(), pairs["n"].max())))
    short = [*([] if seeds == "5" else [f"{seeds} seeds"]), *marks_of(name)]
    late = ["exploratory"] if (pairs["declared"] != "beforehand").all() else []
    start = ", ".join([f"[{name}](../results/committed/{name}/table.md)", *short, *late])
    metrics = [next((m for m in grid.deciding if m.decides == purpose), None) for purpose in (LIKELIHOOD, "samples")]
    end, lines = ", ".join(decided(pairs[pairs["metric"] == m.name]) for m in metrics if m), []
    for _, cells in grid.cells.groupby("row", sort=False):
        if cells["cell_id"].isin([*pairs["a"], *pairs["b"]]).any():
            row = name_in_row(grid, cells["cell_id"].iloc[0], inside=False) if grid.meta.rows else ""
            found = [best(grid, m, cells[cells["metric"] == m.name]) if m else "" for m in metrics]
            lines.append(" | ".join([", ".join(filter(None, [start, row])), *found, end]).rstrip(" |"))
            start = end = ""
    return "\n".join(lines)


def best(grid: Analysis, metric: MetricInfo, cells: pd.DataFrame) -> str:
    """The cell with the best mean among those that may be the best, with its interval, and the others."""
    named = {place: [name_in_row(grid, cell) for cell in own] for place, own in cells.groupby("place")["cell_id"]}
    mean, half = cells.loc[cells["place"] == BEST, ["mean", "half_width"]].iloc[0]
    value = Rounding.of(metric.decimals, [half]).measured(mean, half)
    if len({grid.keys(metric.name)[cell] for cell in cells["cell_id"]}) == 1:
        return f"all {value}"
    others = [(word, named[place]) for word, place in (("=", AS_GOOD), ("or", MAY_BE_BEST)) if place in named]
    told = (f"; {word} {names[0] if len(names) == 1 else len(names)}" for word, names in others)
    return f"{named[BEST][0]}: {value}{''.join(told)}"


def decided(rows: pd.DataFrame) -> str:
    """The comparisons that are decided, of those whose cells can differ."""
    pairs = rows[(rows["kind"] == "comparison") & ((rows["difference"] != 0) | (rows["half_width"] != 0))]
    return f"{pairs['verdict'].isin([*TOLD_APART, 'equal']).sum()}/{len(pairs)}"


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
