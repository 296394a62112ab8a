"""Committed answers are recomputed from runs.csv, images.csv and grid.json, by docs/statistics.md, without the code.

Nothing of `analysis` is imported: what agrees here was computed twice. The page's rules, in formulas:

    value       x_s is a cell's value at seed s, on a log scale its logarithm (FID, rFID)
    estimate    mean ± t_{n−1} √(var_s/n), of values as they are
    difference  d_si by seed and image, d_s = mean_i d_si; without images d_s alone, and V2 = 0
                V1 = var(d_s)/n                V2 = (MS_image − MS_rest)₊/(nm)
                half-width √(t²_{n−1}(95 %) V1 + t²_{m−1}(95 %) V2); p is the level at which it is |d̄|; one-sided, half
    family      hypotheses are pairs of cells with different values; pairs that have equal values are one
                q_j = Σ_s d_js²                v_j = min(q_j, 10 · median q)²
                stepwise, k left: w_j = ¼/k + ¾ v_j/Σ v; the least p_j/w_j goes; adjusted p is the running maximum
                differences have ¾ of the 5 %; equality, the greater p of two one-sided tests, ¼ by Holm's method
    verdict     better or worse: adjusted p ≤ 5 %; equal: adjusted p of equality ≤ 5 %; else cannot tell
    leaders     i is out where a difference of the list says so, or some j is better at p ≤ ½ · 5 % · v_ji/Σ_j v_ji
    rows        axes along which no primary comparison goes, and at several of whose levels there are some: leaders of
                the cells that share their levels there, by the list's verdicts among them, and by all pairs of them
    claim       mean over pairs of cells of (better − than), less that at `since`
    effect      y_s projected on what an effect adds to all others that do not contain it: F = |ȳ|²/(V1 + V2)

    images      q_j is max(q_j, n · 3.5² · V2): within 3.5 standard errors of images alone all have one weight
    median      of the whole family, once, of those q above 0; shares of v are of those that are left
    as good     has the best's values, equals it by the list, or is worse than no cell by the margin: one-sided at 5 %/k
    claims      of k claims those of a difference share theirs by Holm's method, each of equality has 5 %/k;
                that one is beyond its margin has the p of either side, doubled
    effects     q is the mean over an effect's contrasts; an effect of 0 counts as a hypothesis; all of the 5 %
"""

import csv
import itertools
import json
import math
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from tests.axes import thinned

ROOT = Path(__file__).parents[2] / "results" / "committed"
SEVEN_DIGITS = 2e-6
MARGINS = {"nll": 0.01, "fid": 0.05}
LOGARITHMIC = ("fid", "rfid")


def _grids():
    """The grids of a fixed number of seeds, two at least, all of whose comparisons are alike."""
    heads = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("*/grid.json"))}
    return [
        name
        for name, head in heads.items()
        if len(head["seeds"]) > 1 and not head.get("auto") and not head.get("primary")
    ]


def kind_of(metric):
    """The kind of a metric: nll for nll/test."""
    return metric.split("/")[0]


class Difference:
    """A difference by seed, d [n], or by seed and image, d [n, m]; or the coordinates [n, m, k] of an effect.

    `p_beyond(x)` is one-sided: that of a mean which lies x above what is held to be.
    """

    def __init__(self, d):
        d = np.asarray(d, float)
        d = d.reshape(d.shape + (1,) * (3 - d.ndim))
        self.n, m = d.shape[:2]
        self.d = d.mean(1)
        self.mean = self.d.mean(0)
        self.v1 = ((self.d - self.mean) ** 2).sum(0) / (self.n - 1) / self.n
        self.v2 = np.zeros_like(self.v1)
        self.df1, self.df2 = self.n - 1, max(m - 1, 1)
        if m > 1:
            image = d.mean(0)
            rest = d - self.d[:, None] - image + self.mean
            by_image = self.n * ((image - self.mean) ** 2).sum(0) / (m - 1)
            by_rest = (rest**2).sum((0, 1)) / ((self.n - 1) * (m - 1))
            self.v2 = by_image - by_rest
        self.total1 = self.v1.sum()
        self.total2 = max(0.0, self.v2.sum()) / (self.n * m)

    @property
    def value(self):
        """The mean of a single difference."""
        return float(self.mean[0])

    def _square(self, p):
        """The square of the half-width at a one-sided p."""
        by_seed = stats.t.isf(p, self.df1) ** 2 * self.total1
        return by_seed + (stats.t.isf(p, self.df2) ** 2 * self.total2 if self.total2 > 0 else 0.0)

    @property
    def half_width(self):
        """Half the 95 % interval."""
        return math.sqrt(self._square(0.025))

    def p_beyond(self, x):
        """The one-sided p of lying x above a bound."""
        if x < 0:
            return 1 - self.p_beyond(-x)
        if x == 0 or self.total1 + self.total2 == 0:
            return 0.5 if x == 0 else 0.0
        if self.total2 == 0:
            return float(stats.t.sf(x / math.sqrt(self.total1), self.df1))
        log_p = optimize.brentq(lambda log: self._square(math.exp(log)) - x * x, -100, math.log(0.5), xtol=1e-13)
        return math.exp(log_p)

    @property
    def p(self):
        """Two-sided, of no difference."""
        return 1.0 if self.value == 0 else min(1.0, 2 * self.p_beyond(abs(self.value)))

    def p_equal(self, margin):
        """The greater p of two one-sided tests."""
        return max(self.p_beyond(margin - self.value), self.p_beyond(margin + self.value))

    @property
    def q(self):
        """How far seeds lie from 0, in the mean over contrasts; what images alone could make of it is the least."""
        return max(float((self.d**2).sum()), self.n * 3.5**2 * self.total2) / self.d.shape[1]


def capped(q):
    """v of all q."""
    q = np.asarray(q)
    return np.minimum(q, 10 * np.median(q[q > 0]) if (q > 0).any() else 0) ** 2


def adjusted(p, shares, rate=1.0):
    """Adjusted p, stepwise: `shares` gives the weights of those that are left, `rate` is the family's share of 5 %."""
    left, result, greatest = list(range(len(p))), np.ones(len(p)), 0.0
    while left:
        ratios = np.array([p[j] for j in left]) / shares(left)
        least = int(np.argmin(ratios))
        greatest = max(greatest, min(1.0, ratios[least] / rate))
        result[left.pop(least)] = greatest
    return result


def adjusted_by_distance(p, q, rate):
    """Adjusted p with weights by how far seeds lie from 0."""
    v = capped(q)

    def shares(left):
        total = v[left].sum()
        return np.full(len(left), 1 / len(left)) if total == 0 else 0.25 / len(left) + 0.75 * v[left] / total

    return adjusted(p, shares, rate)


def holm(p, rate=1.0):
    """Adjusted p with even shares."""
    return adjusted(p, lambda left: np.full(len(left), 1 / len(left)), rate)


def agree(ours, theirs):
    """Whether a number is that of the file, which has seven digits and null for what is not known."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return bool(np.isclose(ours, theirs, rtol=SEVEN_DIGITS, atol=1e-12))


class Grid:
    """The files of a grid: values by (metric, cell) and seed, and by seed and image."""

    def __init__(self, name):
        folder = ROOT / name
        self.answers = json.loads((folder / "answers.json").read_text("utf-8"))
        self.meta = json.loads((folder / "grid.json").read_text("utf-8"))
        self.values, self.images = defaultdict(dict), defaultdict(dict)
        with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
            for row in (one for one in csv.DictReader(file) if not one.get("trial")):
                apart = (row.get("not_comparable") or "").split(", ")
                for column, text in row.items():
                    if row["status"] == "finished" and "/" in column and text and kind_of(column) not in apart:
                        self.values[column, row["cell_id"]][int(row["seed"])] = float(text)
        if (folder / "images.csv").is_file():
            with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
                for cell, seed, metric, *values in itertools.islice(csv.reader(file), 1, None):
                    self.images[metric, cell][int(seed)] = np.array(values, float)
        self.cells = [cell["cell_id"] for cell in self.answers["cells"]]
        self.levels = [self.meta["cells"][cell] for cell in self.cells]
        self.metrics = [metric["name"] for metric in self.meta["metrics"]]
        self.deciding = [name for name in self.metrics if kind_of(name) in MARGINS and self.sign(name)]
        self.axes = [axis["name"] for axis in self.meta["axes"]]

    def sign(self, metric):
        """1 where more is better, −1 where less is, 0 where neither."""
        given = next(one for one in self.meta["metrics"] if one["name"] == metric)
        return {"max": 1, "min": -1, "none": 0}[given["direction"]]

    def margin(self, metric):
        """What matters, on the metric's scale."""
        share = self.meta.get("relevant", {}).get(kind_of(metric), MARGINS[kind_of(metric)])
        return math.log1p(share) if kind_of(metric) in LOGARITHMIC else share

    def of(self, metric, cell):
        """Seed → value."""
        return self.values.get((metric, self.cells[cell]), {})

    def known(self, metric):
        """The cells that have a value at two seeds at least."""
        return [cell for cell in range(len(self.cells)) if len(self.of(metric, cell)) > 1]

    def same(self, metric, cell):
        """What tells a cell from others by this metric."""
        return tuple(sorted(self.of(metric, cell).items()))

    def scaled(self, metric, cells, seeds):
        """Values [n, cells], or [n, m, cells] where they are known by image, on the metric's scale."""
        by_image = [self.images.get((metric, self.cells[cell])) for cell in cells]
        if kind_of(metric) not in LOGARITHMIC and all(by_image):
            return np.stack([[values[seed] for seed in seeds] for values in by_image], -1)
        values = np.array([[self.of(metric, cell)[seed] for cell in cells] for seed in seeds])
        return np.log(values) if kind_of(metric) in LOGARITHMIC else values

    def contrast(self, metric, weights):
        """The difference that gives cells these weights."""
        weights = {cell: weight for cell, weight in weights.items() if weight}
        seeds = sorted(set.intersection(*(set(self.of(metric, cell)) for cell in weights)))
        return Difference(self.scaled(metric, list(weights), seeds) @ np.array(list(weights.values()), float))

    @cache  # noqa: B019
    def difference(self, metric, a, b):
        """a − b."""
        return self.contrast(metric, {a: 1.0, b: -1.0})

    @cache  # noqa: B019
    def compared(self, metric):
        """The list of comparisons: (a, b) → (difference, adjusted p, adjusted p of equality, verdict)."""
        known = self.known(metric)
        if len(self.axes) == 1 and len(self.meta["axes"][0]["levels"]) <= 6:
            pairs = list(itertools.combinations(known, 2))
        else:
            base = self.levels.index(self.meta["baseline"])
            pairs = [(cell, base) for cell in known if cell != base] if base in known else []
        first = {}
        for a, b in pairs:
            if self.same(metric, a) != self.same(metric, b):
                first.setdefault(frozenset([self.same(metric, a), self.same(metric, b)]), (a, b))
        tested = [self.difference(metric, a, b) for a, b in first.values()]
        by_distance = adjusted_by_distance([one.p for one in tested], [one.q for one in tested], 0.75)
        equality = holm([one.p_equal(self.margin(metric)) for one in tested], 0.25)
        found = dict(zip(first, zip(by_distance, equality, strict=True), strict=True))
        result = {}
        for a, b in pairs:
            one = self.difference(metric, a, b)
            p, p_equal = found.get(frozenset([self.same(metric, a), self.same(metric, b)]), (None, None))
            verdict = "cannot tell"
            if p is not None and p <= 0.05:
                verdict = "better" if one.value * self.sign(metric) > 0 else "worse"
            elif p_equal is not None and p_equal <= 0.05:
                verdict = "equal"
            result[a, b] = one, p, p_equal, verdict
        return result

    def leaders(self, metric):
        """The cells that may be the best; one is out where an equal one is."""
        known, out = self.known(metric), set()
        if metric in self.deciding:
            for (a, b), (*_, verdict) in self.compared(metric).items():
                out |= {"better": {b}, "worse": {a}}.get(verdict, set())
        return self.unbeaten(metric, known, out)

    def rows(self):
        """The cells of each row, by what they share; none where no primary comparison is within rows."""
        base = self.meta["baseline"]
        sides = []
        for one in self.meta.get("primary") or []:
            for at in itertools.product(*([(axis, to) for to in of] for axis, of in one.get("at", {}).items())):
                pair = [base | dict(at) | one[side] for side in ("compare", "to")]
                sides += [pair] if all(side in self.levels for side in pair) else []
        shared = [
            axis
            for axis in self.axes
            if all(a[axis] == b[axis] for a, b in sides) and len({a[axis] for a, _ in sides}) > 1
        ]
        found = defaultdict(list)
        for cell, levels in enumerate(self.levels):
            found[tuple((axis, levels[axis]) for axis in shared)].append(cell)
        return dict(found) if shared else {}

    def leaders_of(self, metric, cells):
        """The cells of a row that may be the best of it."""
        known = [cell for cell in cells if self.of(metric, cell)]
        out = set()
        for one in self.answers["comparisons"]:
            if one["metric"] == metric and {one["a"], one["b"]} <= set(known):
                out |= {"better": {one["b"]}, "worse": {one["a"]}}.get(one["verdict"], set())
        return self.unbeaten(metric, known, out)

    def unbeaten(self, metric, known, listed):
        """Those of some cells that may be the best among them, where these are out by the list."""
        out = set(listed)
        for cell in known:
            rivals = {self.same(metric, other): other for other in reversed(known)}
            rivals.pop(self.same(metric, cell))
            tests = [self.difference(metric, rival, cell) for rival in rivals.values()]
            v = capped([one.q for one in tests])
            p = np.array([one.p_beyond(self.sign(metric) * one.value) for one in tests])
            if tests and (p <= 0.5 * 0.05 * v / v.sum()).any():
                out.add(cell)
        gone = {self.same(metric, cell) for cell in out}
        return [cell for cell in known if self.same(metric, cell) not in gone]

    def best(self, metric):
        """The leader with the best mean."""
        return self.best_of(metric, self.leaders(metric))

    def best_of(self, metric, cells):
        """The one of some cells that has the best mean."""
        return max(cells, key=lambda cell: self.sign(metric) * np.mean(list(self.of(metric, cell).values())))

    def as_good(self, metric):
        """The others with the best's values, that the list says equal it, or that are worse than no cell by the
        margin or more."""
        known, best = self.known(metric), self.best(metric)

        def shown(cell, rival):
            if self.same(metric, cell) == self.same(metric, rival):
                return True
            one = self.difference(metric, cell, rival)
            return one.p_beyond(self.margin(metric) + self.sign(metric) * one.value) <= 0.05 / len(known)

        listed = {pair for pair, (*_, verdict) in self.compared(metric).items() if verdict == "equal"}
        return [
            cell
            for cell in known
            if cell != best
            and (
                self.same(metric, cell) == self.same(metric, best)
                or {(cell, best), (best, cell)} & listed
                or all(shown(cell, rival) for rival in known)
            )
        ]

    def claim(self, expected):
        """The difference of a claim, the mean of what it is compared with, and its metric."""
        metric = next(name for name in self.metrics if kind_of(name) == expected["metric"])
        weights, than, pairs = defaultdict(float), [], []
        for cell, levels in enumerate(self.levels):
            second = levels | expected["than"]
            if not expected["better"].items() <= levels.items() or second == levels or second not in self.levels:
                continue
            parts = {cell: 1.0, self.levels.index(second): -1.0}
            if since := expected.get("since"):
                if not all(one | since in self.levels for one in (levels, second)):
                    continue
                for one, weight in ((levels, -1.0), (second, 1.0)):
                    place = self.levels.index(one | since)
                    parts[place] = parts.get(place, 0.0) + weight
            if all(self.of(metric, part) for part in parts):
                pairs.append((cell, self.levels.index(second)))
                than.append(np.mean(list(self.of(metric, self.levels.index(second)).values())))
                for part, weight in parts.items():
                    weights[part] += weight
        one = self.contrast(metric, {cell: weight / len(than) for cell, weight in weights.items()})
        direct = len(pairs) == 1 and not expected.get("since") and expected.get("within") is None
        return one, float(np.mean(than)), metric, self.listed(metric, *pairs[0]) if direct else None

    def listed(self, metric, a, b):
        """(p, verdict on a) of two cells by the list, None where it does not compare them."""
        if metric not in self.deciding:
            return None
        compared = self.compared(metric)
        if (a, b) in compared:
            return compared[a, b][1], compared[a, b][3]
        if (b, a) in compared:
            turned = {"better": "worse", "worse": "better"}
            return compared[b, a][1], turned.get(compared[b, a][3], compared[b, a][3])
        return None

    def claims(self):
        """Of each claim (metric, difference, margin, adjusted p, p of equality, fate)."""
        given = self.meta.get("expects", [])
        found = [self.claim(expected) for expected in given]
        margins = [
            None
            if expected.get("within") is None
            else math.log1p(expected["within"])
            if kind_of(metric) in LOGARITHMIC
            else expected["within"] * than
            for expected, (_, than, metric, _) in zip(given, found, strict=True)
        ]
        equal = [i for i, margin in enumerate(margins) if margin is not None]
        unequal = [i for i, margin in enumerate(margins) if margin is None and found[i][3] is None]
        k = len(equal) + len(unequal)
        p, p_equal = np.ones(len(given)), [None] * len(given)
        p[unequal] = holm([found[i][0].p for i in unequal], len(unequal) / max(k, 1))
        beyond = [min(1.0, 2 * found[i][0].p_beyond(abs(found[i][0].value) - margins[i])) for i in equal]
        for i, one in zip(equal, beyond, strict=True):
            p[i] = min(1.0, k * one)
            p_equal[i] = min(1.0, k * found[i][0].p_equal(margins[i]))
        result = []
        for (one, _, metric, listed), margin, of_difference, of_equality in zip(
            found, margins, p, p_equal, strict=True
        ):
            fate = "cannot tell"
            if listed is not None:
                of_difference = listed[0]
                fate = {"better": "as published", "worse": "contrary to the paper"}.get(listed[1], "cannot tell")
            elif margin is None:
                if of_difference <= 0.05:
                    fate = "as published" if one.value * self.sign(metric) > 0 else "contrary to the paper"
            elif of_equality <= 0.05:
                fate = "as published"
            elif of_difference <= 0.05:
                fate = "contrary to the paper"
            result.append((metric, one, margin, of_difference, of_equality, fate))
        return result

    def effects(self, metric):
        """The effect of each axis and of each two: axes → (df, F, p, q, share)."""
        seeds = self.answers["seeds"]
        cells = [cell for cell in self.known(metric) if len(self.of(metric, cell)) == len(seeds)]
        y = self.scaled(metric, cells, seeds)
        y = y[:, None] if y.ndim == 2 else y
        total = ((y.mean(1) - y.mean((1, 2))[:, None]) ** 2).sum()
        terms = [(axis,) for axis in self.axes] + list(itertools.combinations(self.axes, 2))
        result = {}
        for term in terms:
            others = [other for other in terms if not set(term) <= set(other)]
            before = np.hstack([np.ones((len(cells), 1)), *(self._dummies(cells, other) for other in others)])
            contrasts = orthonormal(self._dummies(cells, term), before)
            if not contrasts.size:
                continue
            one = Difference(y @ contrasts)
            square = float((one.mean**2).sum())
            if one.n * square < 1e-15 * total:
                result[frozenset(term)] = contrasts.shape[1], 0.0, 1.0, 0.0, 0.0
                continue
            f = square / (one.total1 + one.total2)
            p = 2 * one.p_beyond(math.sqrt(square))
            result[frozenset(term)] = contrasts.shape[1], f, p, one.q, one.n * square / total
        return result

    def _dummies(self, cells, term):
        """A column per combination of the levels of these axes that cells have, in the order of the levels."""
        levels = {axis["name"]: [level["name"] for level in axis["levels"]] for axis in self.meta["axes"]}
        combinations = itertools.product(*(levels[axis] for axis in term))
        columns = [
            [
                float(all(self.levels[cell][axis] == level for axis, level in zip(term, one, strict=True)))
                for cell in cells
            ]
            for one in combinations
        ]
        return np.array([column for column in columns if any(column)]).T


def orthonormal(columns, before):
    """An orthonormal basis of what the columns add to those before, by Gram and Schmidt."""
    left, sizes, _ = np.linalg.svd(before, full_matrices=False)
    basis = list(left[:, sizes > 1e-9 * sizes[0]].T)
    start = len(basis)
    for column in columns.T:
        for _ in range(2):
            column = column - sum(one * (one @ column) for one in basis)
        size = np.linalg.norm(column)
        if size > 1e-7:
            basis.append(column / size)
    return np.array(basis[start:]).T


@cache
def grid_of(name):
    """The grid of this name."""
    return Grid(name)


every = pytest.mark.parametrize("name", thinned(_grids(), 6, _grids()))


def check_estimates(grid):
    """Every estimate is the mean of the cell's seeds, with Student's interval."""
    assert len(grid.answers["estimates"]) == len(grid.metrics) * len(grid.cells)
    for given in grid.answers["estimates"]:
        values = np.array(list(grid.of(given["metric"], given["cell"]).values()))
        n = len(values)
        assert n == given["n"]
        assert agree(values.mean() if n else None, given["mean"]), given
        half_width = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n) if n > 1 else None
        assert agree(half_width, given["half_width"]), given


@every
def test_estimates(name):
    check_estimates(grid_of(name))


@every
def test_differences(name):
    grid = grid_of(name)
    listed = [(one["metric"], one["a"], one["b"]) for one in grid.answers["comparisons"]]
    assert listed == [(metric, *pair) for metric in grid.deciding for pair in grid.compared(metric)]
    for given in grid.answers["comparisons"]:
        one = grid.difference(given["metric"], given["a"], given["b"])
        assert one.n == given["n"]
        assert agree(one.value, given["difference"]), given
        assert agree(one.half_width, given["half_width"]), given
        assert agree(one.p, given["p"]), given


@every
def test_verdicts(name):
    grid = grid_of(name)
    for given in grid.answers["comparisons"]:
        _, p, p_equal, verdict = grid.compared(given["metric"])[given["a"], given["b"]]
        assert agree(p, given["adjusted_p"]), given
        assert agree(p_equal, given["equal_p"]), given
        assert verdict == given["verdict"], given


@every
def test_leaders(name):
    grid = grid_of(name)
    bold = defaultdict(list)
    for given in grid.answers["estimates"]:
        bold[given["metric"]] += [given["cell"]] if given["may_be_best"] else []
    for metric in grid.metrics:
        assert bold[metric] == (grid.leaders(metric) if grid.sign(metric) else []), metric
    for given in grid.answers["headlines"]:
        assert given["leaders"] == bold[given["metric"]]
        assert given["best"] == grid.best(given["metric"])


@every
def test_as_good(name):
    grid = grid_of(name)
    for given in grid.answers["headlines"]:
        assert given["as_good"] == grid.as_good(given["metric"]), given["metric"]


def _declaring():
    """The grids of a fixed number of seeds that declare comparisons."""
    heads = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("*/grid.json"))}
    return [name for name, head in heads.items() if head.get("primary") and not head.get("auto")]


@pytest.mark.parametrize("name", _declaring())
def test_leaders_of_rows(name):
    grid = grid_of(name)
    rows = {(metric, *levels): cells for metric in grid.deciding for levels, cells in grid.rows().items()}
    told = {(one["metric"], *one["levels"].items()): one for one in grid.answers["rows"]}
    assert told.keys() == rows.keys()
    for (metric, *levels), cells in rows.items():
        given, leaders = told[metric, *levels], grid.leaders_of(metric, cells)
        assert given["cells"] == cells
        assert given["leaders"] == leaders, (metric, levels)
        assert given["best"] == grid.best_of(metric, leaders)


@every
def test_what_a_table_marks(name):
    """Bold is the best and what is as good, of those that may be the best; ° are the others of these."""
    grid = grid_of(name)
    with (ROOT / name / "table.csv").open(encoding="utf-8", newline="") as file:
        cells = [row for row in csv.DictReader(file) if row["row"] == "cell"]
    for given in grid.answers["headlines"]:
        metric = given["metric"]
        leaders = set(grid.leaders(metric))
        good = leaders & {grid.best(metric), *grid.as_good(metric)}
        for cell, row in enumerate(cells):
            known = "good" if cell in good else "open" if cell in leaders else "worse"
            expected = known if cell in grid.known(metric) else ""
            assert row[f"{metric} standing"] == expected, (metric, row)


@every
def test_claims(name):
    grid = grid_of(name)
    for given, (metric, one, margin, p, p_equal, fate) in zip(grid.answers["claims"], grid.claims(), strict=True):
        assert given["metric"] == metric
        assert agree(one.value, given["difference"]), given
        assert agree(one.half_width, given["half_width"]), given
        assert agree(margin, given["margin"]), given
        assert agree(p, given["adjusted_p"]), given
        assert agree(p_equal, given["equal_p"]), given
        assert fate == given["fate"], given


@every
def test_effects(name):
    grid = grid_of(name)
    for metric in dict.fromkeys(given["metric"] for given in grid.answers["effects"]):
        listed = {frozenset(one["axes"]): one for one in grid.answers["effects"] if one["metric"] == metric}
        effects = grid.effects(metric)
        assert effects.keys() == listed.keys()
        p = adjusted_by_distance([one[2] for one in effects.values()], [one[3] for one in effects.values()], 1.0)
        told = [
            {axis for axis in grid.axes if grid.levels[a][axis] != grid.levels[b][axis]}
            for (a, b), (*_, verdict) in grid.compared(metric).items()
            if verdict in ("better", "worse")
        ]
        for (axes, (df, f, p_effect, _, share)), p_adjusted in zip(effects.items(), p, strict=True):
            given = listed[axes]
            assert (df, len(grid.answers["seeds"]) - 1) == (given["df"], given["df_error"])
            assert agree(f, given["F"]), given
            assert agree(p_effect, given["p"]), given
            assert agree(p_adjusted, given["adjusted_p"]), given
            assert agree(share, given["share"]), given
            assert given["matters"] == bool(p_adjusted <= 0.05 or (len(axes) == 1 and axes in told)), given
