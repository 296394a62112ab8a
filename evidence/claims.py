"""The outcome of each claim of a paper that a committed grid tests: python -m evidence.claims > docs/claims.md"""

import math
import re
from collections import Counter
from itertools import chain, groupby

from analysis.grid_json import MetricInfo
from evidence.freshness import COMMITTED, committed, marks_of

HEAD = """# Papers' claims

This page answers: does what a paper says hold here, too? Of {} claims, {} came out *as published* and {} *contrary*; of
{} these seeds *cannot tell*, and {} were *not tested*. Contrary means that here the opposite holds, on small images, by
small networks and at this budget, and not that a paper is wrong. *Exploratory* claims were declared after results.

**Here** is the difference of two sides, the one that should be better first, with its 95 % interval: ×0.39 (0.27–0.57)
is a ratio, −0.21 ± 0.01 an amount, in bits/dim for NLL. **In the paper** is the same of two numbers that it prints, of
larger images and after longer training. [Statistics](statistics.md#papers-claims) says how claims are judged,
[findings](findings.md) what follows. `python -m evidence.claims > docs/claims.md` makes this of committed grids."""
TABLE = "outcome | claim | source | here | in the paper\n---|---|---|---|---"


def size(metric: MetricInfo, difference: float, half: float = 0.0) -> str:
    """A difference on the metric's scale: the ratio ×1.37 (1.22–1.55), or the amount −0.21 ± 0.01."""
    if metric.scale == "log":
        ends = [math.exp(difference + step) for step in (0, -half, half)]
        n = next((n for n in (2, 3, 4) if not half or len({f"{end:.{n}f}" for end in ends}) == 3), 5)
        return f"×{ends[0]:.{n}f}" + (f" ({ends[1]:.{n}f}–{ends[2]:.{n}f})" if half else "")
    n = 3 if 0 < half < 0.005 or max(abs(difference), half) < 0.02 else 2
    return (f"{difference:.{n}f}" + (f" ± {half:.{n}f}" if half else "")).replace("-", "−")


def place(source: str) -> str:
    """The paper and the part of it where a claim stands, without what it says there."""
    parts = re.split(r"[;:]|, (?![^(]*\))", re.sub(r" \((?!arXiv|Lu)[^)]*\)", "", source))[:2]
    return re.sub(r"(.+) \(arXiv ([\d.]+)\)", r"[\1](https://arxiv.org/abs/\2)", ", ".join(parts))


def page() -> str:
    """The content of docs/claims.md: a table for the grids of one question, in which a claim is written once."""
    grids = [grid for path in sorted(COMMITTED.iterdir()) if (grid := committed(path.name)).meta.expects]
    fates = Counter(fate for grid in grids for fate in grid.comparisons["outcome"] if fate)
    lines = [HEAD.format(fates.total(), *(fates[x] for x in ("as published", "contrary", "cannot tell", "not tested")))]
    for _, family in groupby(grids, lambda grid: grid.meta.name.partition("-")[0]):
        names, rows = [], dict[str, list[str]]()
        for grid in family:
            name, found = grid.meta.name, grid.comparisons[grid.comparisons["kind"] == "claim"]
            names.append(" ".join([f"[{name}](../results/committed/{name}/table.md)", *marks_of(name)]))
            for row in found.to_dict("records"):
                said, metric = grid.meta.expects[row["claim"]], grid.metric(row["metric"])
                here = row["untested"] or size(metric, row["difference"], row["half_width"])
                printed = [math.log(x) if metric.scale == "log" else x for x in said.published or ()]
                paper = size(metric, printed[0] - printed[1]) if printed else ""
                same = rows.setdefault(first := f"{said.claim} | {place(said.source)}", [])
                outcome = row["outcome"] + ("" if row["declared"] == "beforehand" else ", exploratory")
                same.append(f"{outcome} | {f'… in {name} |' if same else first} | {here} | {paper}".rstrip(" |"))
        lines += [f"\n## {', '.join(names)}\n\n{TABLE}", *chain(*rows.values())]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page())
