"""Committed answers are recomputed from runs.csv, images.csv and grid.json, by docs/statistics.md, without the code.

`analysis` only gives what is checked: what agrees here was computed twice. The page's rules, in formulas:

    value       x_s is a cell's value at seed s, on a log scale its logarithm (FID, rFID; what decides where all values
                are above 0 and the largest of the cells' means is more than 5 times the least); by image, of the mean
                x̄_s over images, log x̄_s + (x_si − x̄_s)/x̄_s
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
    claim       mean over pairs of cells of (better − than), less that at `since`; of the family of its metric
    effect      y_s projected on what an effect adds to all others that do not contain it: F = |ȳ|²/(V1 + V2)

    margin      of what is in logs for its span, its share of the best mean
    images      q_j is max(q_j, n · 3.5² · V2): within 3.5 standard errors of images alone all have one weight
    median      of the whole family, once, of those q above 0; shares of v are of those that are left
    as good     has the best's values, equals it by the list, or is worse than no cell by the margin: one-sided at 5 %/k
    equality    a claim of it is beyond its margin with the p of the side where it lies, doubled, and q less the margin
    too early   in place of contrary: even the best of the cells is worse than a code, or above five floors of samples;
                or D has moved towards the claim since the last rung
    effects     q is the mean over an effect's contrasts; an effect of 0 counts as a hypothesis; all of the 5 %; the
                contrast of a comparison or claim has the p of that
    machines    of a seed, only cells that the same kinds of machine made are compared; effects leave out a seed at
                which the cells are of several; below two seeds in common nothing is tested
"""

import csv
import itertools
import json
import math
from collections import defaultdict
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from tests.analysis.conftest import written_of
from tests.axes import thinned

ROOT = Path(__file__).parents[2] / "results" / "committed"
SEVEN_DIGITS = 2e-6
MARGINS = {"nll": 0.01, "fid": 0.05}
SUPPORTING = {"nll_iwae": 0.01, "looseness": 0.01}
"""Margins of metrics that give no verdict, and that claims are about."""
LOGARITHMIC = ("fid", "rfid", "bound_variance")
NOT_TOLD = ("cannot tell", "no difference that matters")
SPAN = 5


def _grids():
    """The grids of a fixed number of seeds, two at least."""
    heads = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("*/grid.json"))}
    return [name for name, head in heads.items() if len(head["seeds"]) > 1 and not head.get("auto")]


def kind_of(metric):
    """The kind of a metric: nll for nll/test."""
    return metric.split("/")[0]


class Difference:
    """A difference by seed, d [n], or by seed and image, d [n, m]; or the coordinates [n, m, k] of an effect.

    `p_beyond(x)` is one-sided: that of a mean which lies x above what is held to be.
    """

    def __init__(self, d):
        self.values = d = np.asarray(d, float)
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
        self.answers, self.table = written_of(folder)
        self.meta = json.loads((folder / "grid.json").read_text("utf-8"))
        self.values, self.images, self.machines = defaultdict(dict), defaultdict(dict), {}
        with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
            for row in (one for one in csv.DictReader(file) if not one.get("trial")):
                self.machines[row["cell_id"], int(row["seed"])] = row.get("machine", "")
                apart = (row.get("not_comparable") or "").split(", ")
                for column, text in row.items():
                    if row["status"] == "finished" and "/" in column and text and kind_of(column) not in apart:
                        self.values[column, row["cell_id"]][int(row["seed"])] = float(text)
        if (folder / "images.csv").is_file():
            with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
                for cell, seed, metric, *values in itertools.islice(csv.reader(file), 1, None):
                    self.images[metric, cell][int(seed)] = np.array(values, float)
        self.rungs = defaultdict(lambda: defaultdict(dict))
        curves = pd.read_parquet(folder / "curves.parquet")
        for row in curves[curves["curve"].str.startswith("rung/")].itertuples():
            self.rungs[row.curve.removeprefix("rung/"), row.cell_id][row.x][row.seed] = row.y
        self.cells = [cell["cell_id"] for cell in self.answers["cells"]]
        self.places = range(len(self.cells))
        self.levels = [self.meta["cells"][cell] for cell in self.cells]
        self.places = dict(enumerate(self.levels))
        self.metrics = [metric["name"] for metric in self.meta["metrics"]]
        self.deciding = [name for name in self.metrics if kind_of(name) in MARGINS and self.sign(name)]
        self.axes = [axis["name"] for axis in self.meta["axes"]]

    def sign(self, metric):
        """1 where more is better, −1 where less is, 0 where neither."""
        given = next(one for one in self.meta["metrics"] if one["name"] == metric)
        return {"max": 1, "min": -1, "none": 0}[given["direction"]]

    def margin(self, metric):
        """What matters, on the metric's scale; None where that is not said."""
        given = self.meta.get("relevant", {}).get(kind_of(metric), (MARGINS | SUPPORTING).get(kind_of(metric)))
        if given is None or not self.in_logs(metric):
            return given
        best = max if self.sign(metric) > 0 else min
        return math.log1p(given if kind_of(metric) in LOGARITHMIC else given / best(self.first_means(metric)))

    def first_means(self, metric):
        """The mean of each cell that has values, at the first look where there are looks."""
        seeds = self.meta["seeds"]
        first = seeds[: self.meta["auto"]["looks"][0]] if self.meta.get("auto") else seeds
        at_first = [[of[seed] for seed in first if seed in of] for of in map(partial(self.of, metric), self.places)]
        return [float(np.mean(values)) for values in at_first if values]

    @cache  # noqa: B019
    def in_logs(self, metric):
        """Whether a metric is compared by its logarithm."""
        if kind_of(metric) in LOGARITHMIC:
            return True
        positive = all(value > 0 for cell in self.places for value in self.of(metric, cell).values())
        means = self.first_means(metric)
        return metric in self.deciding and positive and max(means) > SPAN * min(means)

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
        if all(by_image):
            images = np.stack([[values[seed] for seed in seeds] for values in by_image], -1)
            mean = images.mean(1, keepdims=True)
            return np.log(mean) + (images - mean) / mean if self.in_logs(metric) else images
        values = np.array([[self.of(metric, cell)[seed] for cell in cells] for seed in seeds])
        return np.log(values) if self.in_logs(metric) else values

    def common(self, metric, cells):
        """The seeds at which all of these cells have a value, each made by the same kinds of machine."""
        seeds = sorted(set.intersection(*(set(self.of(metric, cell)) for cell in cells)))
        return [seed for seed in seeds if len({self.machines[self.cells[cell], seed] for cell in cells}) == 1]

    def contrast(self, metric, weights):
        """The difference that gives cells these weights."""
        weights = {cell: weight for cell, weight in weights.items() if weight}
        seeds = self.common(metric, weights)
        return Difference(self.scaled(metric, list(weights), seeds) @ np.array(list(weights.values()), float))

    @cache  # noqa: B019
    def difference(self, metric, a, b):
        """a − b."""
        return self.contrast(metric, {a: 1.0, b: -1.0})

    def pairs(self, metric):
        """The comparisons that the grid asks for, the primary ones first, of cells that have values."""
        known = self.known(metric)
        first = primary_pairs(self.places, self.meta)
        if len(self.axes) == 1 and len(self.meta["axes"][0]["levels"]) <= 6:
            rest = list(itertools.combinations(range(len(self.cells)), 2))
        else:
            rest = with_baseline(self.places, self.meta["baseline"], shared_axes(self.places, first))
        listed = [*first, *(pair for pair in rest if pair not in first and pair[::-1] not in first)]
        return [pair for pair in listed if set(pair) <= set(known) and len(self.common(metric, pair)) > 1]

    def key(self, metric, weights):
        """What tells a contrast of cells from others: cells with equal values are one, and either sign is the same."""
        total = defaultdict(float)
        for cell, weight in weights.items():
            total[self.same(metric, cell)] += weight
        terms = sorted((of, round(weight, 9)) for of, weight in total.items() if abs(weight) > 1e-9)
        return tuple((of, weight * (1 if terms[0][1] > 0 else -1)) for of, weight in terms)

    @cache  # noqa: B019
    def family(self, metric):
        """The adjusted p of what is compared and claimed: of (contrast, limit) that a difference lies beyond it, and of
        (contrast, margin) that it lies within it."""
        first = primary_pairs(self.places, self.meta)
        listed = self.pairs(metric) if metric in self.deciding else []
        asked = [({a: 1.0, b: -1.0}, self.margin(metric), False, (a, b) in first) for a, b in listed]
        for weights, margin, name in self.claimed():
            asked += [(weights, margin, margin is not None, bool(first))] if name == metric and weights else []
        asked = [(self.key(metric, of[0]), *of) for of in asked]
        declared = {key for key, *_, is_first in asked if is_first}
        beyond, equal = {}, {}
        for part, share in ((declared, 0.8 if len(declared) < len({of[0] for of in asked}) else 1.0), (None, 0.2)):
            of_part = [of for of in asked if of[0] and ((of[0] in declared) == (part is not None))]
            if not declared:
                share = 1.0
            differences, within = self.hypotheses(metric, of_part)
            p, q = zip(*differences.values(), strict=True) if differences else ((), ())
            rate = share * (0.75 if within else 1.0)
            beyond |= dict(zip(differences, adjusted_by_distance(p, q, rate), strict=True)) if differences else {}
            equal |= dict(zip(within, holm(list(within.values()), 0.25 * share), strict=True))
        return beyond, equal

    def hypotheses(self, metric, asked):
        """(contrast, limit) → (p, q) of lying beyond it, and (contrast, margin) → p of lying within it."""
        differences, within = {}, {}
        for key, weights, margin, claimed_equal, _ in asked:
            one, limit = self.contrast(metric, weights), margin if claimed_equal else 0.0
            beyond = Difference(one.values - math.copysign(limit, one.value)) if limit else one
            p = min(1.0, 2 * one.p_beyond(abs(one.value) - limit)) if limit else one.p
            differences.setdefault((key, limit), (p, beyond.q))
            if margin is not None:
                within.setdefault((key, margin), one.p_equal(margin))
        return differences, within

    @cache  # noqa: B019
    def compared(self, metric):
        """The list of comparisons: (a, b) → (difference, adjusted p, adjusted p of equality, verdict)."""
        beyond, equal = self.family(metric)
        result = {}
        for a, b in self.pairs(metric):
            one, key = self.difference(metric, a, b), self.key(metric, {a: 1.0, b: -1.0})
            p, p_equal = beyond.get((key, 0.0)), equal.get((key, self.margin(metric)))
            verdict = "cannot tell"
            if p_equal is not None and p_equal <= 0.05:
                verdict = "equal"
            elif p is not None and p <= 0.05:
                verdict = "better" if one.value * self.sign(metric) > 0 else "worse"
            result[a, b] = one, p, p_equal, verdict
        return result

    def comparable(self, metric):
        """The cells that have two seeds in common with any other."""
        known = self.known(metric)
        return [a for a in known if any(a != b and len(self.common(metric, [a, b])) > 1 for b in known)]

    def leaders(self, metric):
        """The cells that may be the best; one is out where an equal one is."""
        known, out = self.comparable(metric), set()
        if metric in self.deciding:
            for (a, b), (*_, verdict) in self.compared(metric).items():
                out |= {"better": {b}, "worse": {a}}.get(verdict, set())
        return self.unbeaten(metric, known, out)

    def rows(self):
        """The cells of each row of two or more, by what they share; none where no primary comparison is within rows."""
        shared = shared_axes(self.places, primary_pairs(self.places, self.meta))
        found = defaultdict(list)
        for cell, levels in enumerate(self.levels):
            found[tuple((axis, levels[axis]) for axis in shared)].append(cell)
        return {row: cells for row, cells in found.items() if len(cells) > 1} if shared else {}

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
            others = [other for other in reversed(known) if len(self.common(metric, [cell, other])) > 1]
            rivals = {self.same(metric, other): other for other in others}
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
        """The others that are as good as the best of all."""
        return self.as_good_as(metric, self.best(metric), self.known(metric))

    def as_good_as(self, metric, best, known):
        """Those of some cells with the best's values, that the list says equal it, or that are worse than none of them
        by the margin or more."""

        def shown(cell, rival):
            if self.same(metric, cell) == self.same(metric, rival):
                return True
            if len(self.common(metric, [cell, rival])) < 2:
                return False
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
        """The contrast of a claim, its margin or None, and its metric."""
        metric = next(name for name in self.metrics if kind_of(name) == expected["metric"])
        weights, than = defaultdict(float), []
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
            if len(self.common(metric, parts)) > 1:
                than.append(np.mean(list(self.of(metric, self.levels.index(second)).values())))
                for part, weight in parts.items():
                    weights[part] += weight
        share = expected.get("within")
        margin = share and than and (math.log1p(share) if self.in_logs(metric) else share * float(np.mean(than)))
        return {cell: weight / len(than) for cell, weight in weights.items() if weight}, margin, metric

    def claimed(self):
        """Every claim as a contrast."""
        return [self.claim(expected) for expected in self.meta.get("expects", [])]

    def early(self, metric, weights):
        """Whether even the best of these cells is worse than a code without a network, or far from real data."""
        sign = self.sign(metric)
        best = max(sign * np.mean(list(self.of(metric, cell).values())) for cell in weights)
        codes = [one["value"] for one in self.meta["baselines"].get(metric, []) if "density" not in one["label"]]
        floor = self.meta["floors"].get(metric)
        far = kind_of(metric) == "fid" and floor is not None and -best > 5 * floor["value"]
        return far or any(best < sign * code for code in codes)

    def moved(self, metric, weights, difference):
        """Whether the contrast has changed against its sign since the last rung, by a 95 % interval over seeds."""
        name = metric.replace("/test", "/val")
        pairs = []
        for cell in weights:
            rungs, end = self.rungs[name, self.cells[cell]], self.values.get((name, self.cells[cell]), {})
            last = rungs[max(rungs)] if rungs else {}
            pairs.append({seed: (end[seed], value) for seed, value in last.items() if seed in end})
        seeds = sorted(set.intersection(*map(set, pairs)))
        seeds = [seed for seed in seeds if len({self.machines[self.cells[cell], seed] for cell in weights}) == 1]
        if len(seeds) < 2:
            return False
        values = np.array([[pair[seed] for pair in pairs] for seed in seeds])
        values = np.log(values) if self.in_logs(metric) else values
        change = (values[..., 0] - values[..., 1]) @ np.array(list(weights.values()), float)
        low, high = stats.ttest_1samp(change, 0).confidence_interval(0.95)
        return bool(low * high > 0 and change.mean() * difference < 0)

    def claims(self):
        """Of each claim (metric, difference, margin, adjusted p, p of equality, fate)."""
        result = []
        for weights, margin, metric in self.claimed():
            one, key = self.contrast(metric, weights), self.key(metric, weights)
            if not key:
                # Cells that share all that the metric reads.
                result.append((metric, one, margin, None, None, "cannot tell"))
                continue
            beyond, equal = self.family(metric)
            p, p_equal = beyond[key, margin or 0.0], None if margin is None else equal[key, margin]
            listed = equal.get((key, self.margin(metric)), 1.0) if self.is_listed(metric, key) else 1.0
            fate = "no difference that matters" if margin is None and listed <= 0.05 else "cannot tell"
            if p_equal is not None and p_equal <= 0.05:
                fate = "as published"
            elif p <= 0.05 and (margin is not None or listed > 0.05):
                better = margin is None and one.value * self.sign(metric) > 0
                early = not better and (self.early(metric, weights) or self.moved(metric, weights, one.value))
                fate = "as published" if better else "too early to say" if early else "contrary to the paper"
            result.append((metric, one, margin, p, p_equal, fate))
        return result

    def is_listed(self, metric, key):
        """Whether the list compares these cells."""
        return any(self.key(metric, {a: 1.0, b: -1.0}) == key for a, b in self.pairs(metric))

    def even(self, metric):
        """The seeds of the grid at which all cells that have a value were made by the same kinds of machine."""
        known = [cell for cell in range(len(self.cells)) if self.of(metric, cell)]
        made = {
            seed: {self.machines[self.cells[cell], seed] for cell in known if seed in self.of(metric, cell)}
            for seed in self.answers["seeds"]
        }
        return [seed for seed, kinds in made.items() if len(kinds) < 2]

    def effects(self, metric):
        """The effect of each axis and of each two: axes → (df, F, p, q, share, its contrast if it is one)."""
        seeds = self.even(metric)
        cells = [cell for cell in self.known(metric) if set(seeds) <= set(self.of(metric, cell))]
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
                result[frozenset(term)] = contrasts.shape[1], 0.0, 1.0, 0.0, 0.0, None
                continue
            f = square / (one.total1 + one.total2)
            p = 2 * one.p_beyond(math.sqrt(square))
            alone = (
                self.key(metric, dict(zip(cells, contrasts[:, 0], strict=True))) if contrasts.shape[1] == 1 else None
            )
            result[frozenset(term)] = contrasts.shape[1], f, p, one.q, one.n * square / total, alone
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


def primary_pairs(cells, declaration):
    """The primary comparisons of cells (key → levels), by a baseline that names all axes."""
    pairs = []
    for one in declaration.get("primary") or []:
        for at in itertools.product(*([(axis, to) for to in of] for axis, of in one.get("at", {}).items())):
            sides = [declaration["baseline"] | dict(at) | one.get(side, {}) for side in ("compare", "to")]
            found = [next((cell for cell, levels in cells.items() if levels == side), None) for side in sides]
            pairs += [] if None in found else [tuple(found)]
    return pairs


def shared_axes(cells, pairs):
    """The axes along which none of these pairs goes, and at several levels of which there are some."""
    axes = dict.fromkeys(axis for levels in cells.values() for axis in levels)
    alike = [axis for axis in axes if all(cells[a][axis] == cells[b][axis] for a, b in pairs)]
    return [axis for axis in alike if len({cells[a][axis] for a, _ in pairs}) > 1]


def with_baseline(cells, baseline, shared):
    """Each cell with the baseline of its row; the first cell of a row without one stands for it."""
    rows = defaultdict(list)
    for cell, levels in cells.items():
        rows[tuple(levels[axis] for axis in shared)].append(cell)
    wanted = {axis: level for axis, level in baseline.items() if axis not in shared}
    bases = {
        row: next((cell for cell in of if wanted.items() <= cells[cell].items()), of[0]) for row, of in rows.items()
    }
    paired = [(cell, bases[tuple(levels[axis] for axis in shared)]) for cell, levels in cells.items()]
    return [(cell, base) for cell, base in paired if cell != base]


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
def test_scales(name):
    grid = grid_of(name)
    for given in grid.answers["metrics"]:
        if given["name"] in grid.deciding:
            in_logs = grid.in_logs(given["name"])
            assert given["scale"] == ("log" if in_logs else "linear"), given
            relevant = math.log1p(given["relevant"]) if in_logs else given["relevant"]
            assert agree(grid.margin(given["name"]), relevant), given


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
    may = defaultdict(list)
    for given in grid.answers["estimates"]:
        may[given["metric"]] += [given["cell"]] if given["may_be_best"] else []
    for metric in grid.metrics:
        rows = [cell for cells in grid.rows().values() for cell in grid.leaders_of(metric, cells)]
        leaders = sorted(rows) if grid.rows() else grid.leaders(metric)
        assert may[metric] == (leaders if grid.sign(metric) else []), metric
    for given in grid.answers["headlines"]:
        assert given["leaders"] == grid.leaders(given["metric"])
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
    """Bold is the best and what is as good, of those that may be the best; ° are the others: within each row."""
    grid = grid_of(name)
    cells = [row for row in grid.table if row["row"] == "cell"]
    for given in grid.answers["headlines"]:
        metric = given["metric"]
        rows = [(of, set(grid.leaders_of(metric, of))) for of in grid.rows().values()]
        for of_row, leaders in rows or [(range(len(cells)), set(grid.leaders(metric)))]:
            known = [cell for cell in of_row if cell in grid.known(metric)]
            best = grid.best_of(metric, leaders)
            good = leaders & {best, *grid.as_good_as(metric, best, known)}
            for cell in of_row:
                word = "good" if cell in good else "open" if cell in leaders else "worse"
                assert cells[cell][f"{metric} standing"] == (word if cell in known else ""), (metric, cell)


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


def told_apart(grid, metric):
    """The axes along which the list, or a claim, tells apart what differs in nothing else."""
    told = [
        frozenset(axis for axis in grid.axes if grid.levels[a][axis] != grid.levels[b][axis])
        for (a, b), (*_, verdict) in grid.compared(metric).items()
        if verdict in ("better", "worse")
    ]
    told = [axes for axes in told if len(axes) == 1]
    for expected, (name, _, _, p, p_equal, fate) in zip(grid.meta.get("expects", []), grid.claims(), strict=True):
        if name == metric and fate not in NOT_TOLD and p <= 0.05 and (p_equal is None or p_equal > 0.05):
            axes = expected["than"].keys() | (expected.get("since") or {}).keys()
            told += [frozenset(axes)] if len(expected["than"]) == 1 else []
    return told


def scaled(contrast):
    """A contrast with 1 for its first coefficient; None stays None."""
    return contrast and tuple((of, round(weight / contrast[0][1], 9)) for of, weight in contrast)


@every
def test_effects(name):
    grid = grid_of(name)
    for metric in dict.fromkeys(given["metric"] for given in grid.answers["effects"]):
        listed = {frozenset(one["axes"]): one for one in grid.answers["effects"] if one["metric"] == metric}
        effects = grid.effects(metric)
        assert effects.keys() == listed.keys()
        p = adjusted_by_distance([one[2] for one in effects.values()], [one[3] for one in effects.values()], 1.0)
        told = told_apart(grid, metric)
        judged = {scaled(key): p_of for (key, limit), p_of in grid.family(metric)[0].items() if not limit}
        equal = [pair for pair, (*_, verdict) in grid.compared(metric).items() if verdict == "equal"]
        small = {scaled(grid.key(metric, {a: 1.0, b: -1.0})) for a, b in equal}
        for (axes, (df, f, p_effect, _, share, alone)), p_adjusted in zip(effects.items(), p, strict=True):
            given, p_adjusted = listed[axes], judged.get(scaled(alone), p_adjusted)
            shown = p_adjusted <= 0.05 and scaled(alone) not in small
            assert (df, len(grid.even(metric)) - 1) == (given["df"], given["df_error"])
            assert agree(f, given["F"]), given
            assert agree(p_effect, given["p"]), given
            assert agree(p_adjusted, given["adjusted_p"]), given
            assert agree(share, given["share"]), given
            assert given["matters"] == bool(shown or axes in told), given
