"""Every comparison, claim and mark of three committed grids, computed again by docs/statistics.md alone.

Nothing of `analysis` is used but what it reads. `ddpm_table_2` has looks and claims beside them; `deck` claims of
changes, one baseline and log scales; `average` rows, claims over several cells, equality and a linear scale.
"""

import csv
import json
from functools import cached_property
from itertools import pairwise, product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import t as student

from evidence.freshness import COMMITTED, committed

ALPHA, NAN, UNTOLD = 0.05, float("nan"), "cannot tell"
NUMBERS = ("n", "difference", "half_width", "p_adjusted", "p_equal", "seeds")
TOLD, OTHER = {True: "better", False: "worse"}, {"better": "worse", "worse": "better"}
DIRECTED = {"better": "as published", "worse": "contrary", "equal": UNTOLD, UNTOLD: UNTOLD}
EQUAL = {"equal": "as published", "better": "contrary", "worse": "contrary", UNTOLD: UNTOLD}


class Grid:
    """The files of a grid: its runs, its cells by their levels, the comparisons it declares, and its rows."""

    def __init__(self, folder):
        self.meta = json.loads((folder / "grid.json").read_text("utf-8"))
        runs = csv.DictReader((folder / "runs.csv").read_text("utf-8").splitlines())
        self.runs = [run for run in runs if run["status"] == "finished"]
        self.cells, self.auto, base = self.meta["cells"], self.meta.get("auto"), self.meta["baseline"]
        self.axes = [axis["name"] for axis in self.meta["axes"]]
        ids, self.primary = {frozenset(own.items()): cell for cell, own in self.cells.items()}, []
        for one, at in [(said, at) for said in self.meta["primary"] for at in product(*said["at"].values())]:
            levels = base | dict(zip(one["at"], at, strict=True))
            pair = [ids.get(frozenset((levels | one[side]).items())) for side in ("compare", "to")]
            self.primary += [tuple(pair)] if all(pair) else []
        levels = {x: {(self.cells[a][x], self.cells[b][x]) for a, b in self.primary} for x in self.axes}
        along = [x for x, of in levels.items() if len(of) > 1 and all(a == b for a, b in of)]
        rows = {}
        for cell, own in self.cells.items():
            rows.setdefault(tuple(own[x] for x in along), []).append(cell)
        self.rows = rows.values()
        self.further, wanted = [], {x: base[x] for x in self.axes if x not in along}
        for cells in self.rows:
            first = next((c for c in cells if wanted.items() <= self.cells[c].items()), cells[0])
            self.further += [(c, first) for c in cells if c != first and not {(c, first), (first, c)} & {*self.primary}]

    def sides(self, said):
        """The contrast of a claim, as signs and cells of its sides, matched by the levels on all other axes."""
        better, than = said["better"], said["better"] | said["than"]
        levels = [better, than, better | said["since"], than | said["since"]][: 4 if said["since"] else 2]
        other = [axis for axis in self.axes if axis not in levels[-1]]
        all_of = self.cells.items()
        of = [{tuple(own[x] for x in other): c for c, own in all_of if own.items() >= at.items()} for at in levels]
        both = sorted(set.intersection(*map(set, of)))
        return [(sign, [by[x] for x in both]) for sign, by in zip((1, -1, -1, 1), of, strict=False)]


class Metric:
    """The comparisons, claims and marks of a metric, from its values by seed and kind of machine on its scale."""

    def __init__(self, grid, declared):
        self.grid, self.name, self.auto = grid, declared["name"], grid.auto
        self.raw = {cell: {} for cell in grid.cells}
        for run in [run for run in grid.runs if run.get(self.name)]:
            self.raw[run["cell_id"]][int(run["seed"]), run["machine"]] = float(run[self.name])
        self.log = declared.get("scale") == "log" and all(v > 0 for of in self.raw.values() for v in of.values())
        self.values = {c: {k: np.log(v) if self.log else v for k, v in of.items()} for c, of in self.raw.items()}
        self.sign = {"min": -1, "max": 1, "none": 0}[declared["direction"]]
        self.decides, self.step = bool(declared.get("decides")), declared.get("resolution", 0.0)
        share = grid.meta["relevant"].get(self.name.split("/")[0], declared.get("relevant", NAN))
        self.margin = np.log1p(share) if self.log else share if declared.get("scale") != "log" else NAN
        looks = pairwise([0, *self.auto["looks"]]) if self.auto else ()
        self.weights = {n: (n**2 - m**2) / self.auto["looks"][-1] ** 2 for m, n in looks}

    def difference(self, sides, n=None):
        """The sum of the sides' means, at those of the first n seeds that one kind of machine ran for all cells."""
        shared = set.intersection(*(set(self.values[c]) for _, of in sides for c in of))
        keys = [key for key in sorted(shared) if key[0] in self.grid.meta["seeds"][:n]]
        return sum(sign * np.mean([[self.values[c][key] for key in keys] for c in of], axis=0) for sign, of in sides)

    def between(self, a, b, n=None):
        return self.difference([(1, [a]), (-1, [b])], n)

    def error(self, d):
        return np.sqrt(max(d.var(ddof=1) / len(d), self.step**2 / (6 * len(d))))

    def above(self, d, bound=0.0):
        """The one-sided p of a mean above a bound."""
        error = self.error(d)
        return student.sf((d.mean() - bound) / error, len(d) - 1) if error else float(d.mean() <= bound)

    def differs(self, d, beyond=0.0):
        """The p that a difference lies beyond a bound on its side, and its q."""
        further = np.sign(d.mean()) * d - beyond
        return min(1.0, 2 * self.above(further)), np.square(further).sum()

    def equal(self, d, margin):
        return max(self.above(d, -margin), self.above(-d, -margin))

    def judge(self, rows, rate=1.0):
        """Decide on the rows of a family that has this part of the error rate."""
        first = {row.same for row in rows if row.primary}
        for part in (True, False):
            own = [row for row in rows if (row.same in first) == part]
            share = rate * (1.0 if len(own) == len(rows) else 0.8 if part else 0.2)
            own = [row for row in own if row.d.any()]
            p = settle({(row.same, row.beyond): self.differs(row.d, row.beyond) for row in own})
            equal = settle({(r.same, r.margin): (self.equal(r.d, r.margin), 1.0) for r in own if r.margin > 0})
            for row in own:
                row.p_adjusted = min(1.0, p[row.same, row.beyond] / share / (0.75 if equal else 1.0))
                row.p_equal = np.minimum(1.0, equal.get((row.same, row.margin), NAN) / share / 0.25)
        for row in rows:
            row.half_width = student.isf(ALPHA / 2, row.n - 1) * self.error(row.d)
            row.verdict = TOLD[self.sign * row.d.mean() > 0] if row.p_adjusted <= ALPHA else UNTOLD
            row.verdict = "equal" if row.p_equal <= ALPHA or (row.beyond and not row.d.any()) else row.verdict
            row.outcome = (EQUAL if row.beyond else DIRECTED)[row.verdict] if row.kind == "claim" else ""

    def claims(self, n=None):
        """The claims about the metric, by the first n seeds."""
        rows, names = [], [metric["name"] for metric in self.grid.meta["metrics"]]
        for i, said in enumerate(self.grid.meta["expects"]):
            if self.name == next(name for name in names if name.startswith(said["metric"] + "/")):
                sides = self.grid.sides(said)
                a, b = [of[0] if len(sides) == 2 and len(of) == 1 else "" for _, of in sides[:2]]
                mean, share = np.mean([np.mean([*self.raw[c].values()]) for c in sides[1][1]]), said["within"] or 0.0
                margin = np.log1p(share) if self.log else share * abs(mean)
                rows.append(row_of("claim", a, b, self.difference(sides, n), True, margin or NAN, margin, i))
        return rows

    @cached_property
    def rows(self):
        """The rows of the frame of comparisons."""
        pairs = self.grid.primary + ([] if self.auto else self.grid.further) if self.decides else []
        listed = [row_of("comparison", *of, self.between(*of), of in self.grid.primary, self.margin) for of in pairs]
        claims, known = self.claims(), {row.pair: row for row in listed}
        inside = [(row, known[row.pair]) for row in claims if row.pair in known and not row.beyond]
        family = listed + claims
        if self.auto:
            family = [row for row in self.claims(min(self.weights)) if row.beyond or row.pair not in known]
            self.follow(listed, ALPHA * (0.8 if family else 1.0))
            claims = [row for row, _ in inside] + family
        self.judge(family, 0.2 if self.auto and listed else 1.0)
        for row, own in inside:
            row.verdict = own.verdict if row.a == own.a else OTHER.get(own.verdict, own.verdict)
            row.half_width, row.p_equal, row.seeds = own.half_width, own.p_equal, own.seeds
            row.outcome = DIRECTED[row.verdict]
        return listed + claims

    def looks(self, *cells):
        return [n for n in self.weights if n <= min(self.auto["stopped"][cell] for cell in cells)]

    def follow(self, rows, alpha):
        """Decide on the rows look by look."""
        m, equal, different, dropped = len(rows), {}, {}, {}
        for n, weight in self.weights.items():
            now = {i: self.between(r.a, r.b, n) for i, r in enumerate(rows) if n in self.looks(r.a, r.b)}
            p = {i: self.differs(d)[0] for i, d in now.items()}
            p_equal = {i: self.equal(d, self.margin) for i, d in now.items() if self.margin > 0}
            for found, claimed, part in ((p, different, 0.8 if p_equal else 1.0), (p_equal, equal, 0.2)):
                for i in sorted(found.keys() - claimed.keys(), key=found.get):
                    share = part / (m - len(claimed)) if claimed else min(1 / m, part / max(m - 1, part))
                    claimed |= {i: n} if found[i] <= alpha * weight * share else {}
            dropped = {i: n for i in now if p[i] > 0.5} | dropped
            for i, d in now.items():
                rows[i].half_width = student.isf(alpha * weight / (2 * m), len(d) - 1) * self.error(d)
                rows[i].verdict = TOLD[self.sign * d.mean() > 0] if different.get(i) == n else rows[i].verdict
                rows[i].verdict = "equal" if i in equal else rows[i].verdict
                rows[i].seeds = (dropped | different | equal).get(i, -1)

    def leads(self, i, j):
        """By how much cell j is better than i, at each look with its weight."""
        if self.auto and {i, j} <= {cell for pair in self.grid.primary for cell in pair}:
            return [(self.sign * self.between(j, i, n), self.weights[n]) for n in self.looks(i, j)]
        return [(self.sign * self.between(j, i, min(self.weights, default=None)), 1.0)]

    def marks(self, cells):
        """The place of each cell of a row, and whether it is bold."""
        cells = [cell for cell in cells if self.raw[cell]]
        if len(cells) < 2 or not self.sign:
            return dict.fromkeys(cells, ("not tested", False))
        alike = {cell: [other for other in cells if self.raw[other] == self.raw[cell]] for cell in cells}
        listed = [row for row in self.rows if row.kind == "comparison"]
        beaten = {row.a if row.verdict == "worse" else row.b for row in listed if row.verdict in OTHER}
        unlike, k = [cell for cell in cells if alike[cell][0] == cell], len(cells)
        for i in unlike:
            leads = [self.leads(i, j) for j in unlike if j != i]
            v = np.ones(k - 1) if self.auto else v_of([np.square(looks[0][0]).sum() for looks in leads])
            for looks, share in zip(leads, v / v.sum(), strict=False):
                beaten |= {i for d, weight in looks if self.above(d) <= ALPHA / 2 * share * weight}
        beaten = {cell for one in beaten.intersection(cells) for cell in alike[one]}
        means = {cell: self.sign * np.mean([*self.raw[cell].values()]) for cell in cells if cell not in beaten}
        best = max(means, key=means.get)
        good = {*alike[best], *(x for r in listed if r.verdict == "equal" and best in (r.a, r.b) for x in (r.a, r.b))}
        for i in cells if self.decides else ():
            last = [self.leads(i, j)[-1] for j in cells if j != i]
            good |= {i} if all(self.above(-d, -self.margin) <= ALPHA * weight / k for d, weight in last) else set()
        words = dict.fromkeys(cells, "may be best") | dict.fromkeys(beaten, "worse") | dict.fromkeys(good, "as good")
        return {cell: ("best" if cell == best else words[cell], cell in good - beaten) for cell in cells}


def row_of(kind, a, b, d, primary, margin, beyond=0.0, claim=-1):
    """A row by its differences d over seeds; a claim of equality tests whether they lie beyond its margin."""
    pair, same = frozenset((a, b)), (np.round(d * np.sign(d[d != 0][:1].sum()), 12) + 0.0).tobytes()
    blank = {"half_width": NAN, "p_adjusted": NAN, "p_equal": NAN, "seeds": -1, "verdict": UNTOLD, "outcome": ""}
    return SimpleNamespace(**locals(), **blank, n=len(d), difference=d.mean())


def v_of(q):
    return np.minimum(q, 10 * np.median([one for one in q if one > 0])) ** 2 if len(q) else np.ones(0)


def settle(tests):
    """The least error rate at which each test of (p, q) is settled."""
    v, rates = dict(zip(tests, v_of([q for _, q in tests.values()]), strict=True)), {}
    while left := tests.keys() - rates.keys():
        total = sum(v[key] for key in left)
        now = {key: tests[key][0] / (0.25 / len(left) + 0.75 * v[key] / total) for key in left}
        least = min(now, key=now.get)
        rates[least] = max(now[least], *rates.values(), 0.0)
    return rates


@pytest.mark.parametrize("name", ["ddpm_table_2", "deck", "average"])
def test_the_frames_are_what_the_rules_say(name):
    grid, read = Grid(COMMITTED / name), committed(name)
    for metric in [Metric(grid, declared) for declared in grid.meta["metrics"]]:
        frame = read.comparisons[read.comparisons.metric == metric.name].fillna({"claim": -1, "seeds": -1})
        theirs = {(row.kind, row.claim, row.a, row.b): row for row in frame.itertuples()}
        ours = {(row.kind, row.claim, row.a, row.b): row for row in metric.rows}
        assert theirs.keys() == ours.keys()
        for key, row in ours.items():
            found, due = ([getattr(of, name) for name in NUMBERS] for of in (theirs[key], row))
            assert found == pytest.approx(due, rel=1e-6, abs=1e-9, nan_ok=True)
            assert (theirs[key].verdict, theirs[key].outcome) == (row.verdict, row.outcome)
        cells = read.cells[read.cells.metric == metric.name].set_index("cell_id")
        for cell, (place, bold) in [pair for of in grid.rows for pair in metric.marks(of).items()]:
            own, values = cells.loc[cell], np.array([*metric.raw[cell].values()])
            half = student.isf(ALPHA / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
            assert [own["mean"], own.half_width] == pytest.approx([values.mean(), half], rel=1e-6, abs=1e-9)
            assert (own.bold, own.place) == (bold, place)
