"""Answers of grids with `seeds=auto` are recomputed from runs.csv, images.csv and grid.json, without the code.

As in `test_recomputed`, whose difference is used here, by docs/statistics.md, the section on seeds that are added:

    looks       at n_1 < n_2 < … seeds, the first n_l of them        w_l = (n_l² − n_{l−1}²)/n_max²
    declared    the m primary comparisons, or all with the baseline; one of a cell without values counts in m
    claimed     at look l, the least p first: a difference where p ≤ 0.8 · 5 % · w_l/(m − claims so far), and
                equality where the greater p of two one-sided tests is ≤ 0.2 · 5 % · w_l/(m − claims so far);
                the first of all at 0.8 · 5 % · w_l/(m − 1) already, or 0.2 for 0.8, but no more than 5 % · w_l/m
    dropped     not claimed, and the difference has p > ½, for good
    stopped     a cell goes on to the next look while a declared comparison of it is open in a deciding metric;
                a comparison of a cell without values is not open
    interval    at the last look that both took: √(t²_{n−1} V1 + t²_{m−1} V2), t at 1 − 5 % · w_l/2m
    leaders     i is out where the list says so, or some j is better at p ≤ ½ · 5 % · w_l/(k − 1), one-sided, at a look
                that both took; w = 1 at the first where no declared comparison has one of them; k cells have values
    effects     those of a fixed number of seeds, the first look's; the list that tells two cells apart is of all looks
"""

import csv
import itertools
import json
import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy import stats

from tests.analysis.test_recomputed import ROOT, Difference, Grid, adjusted_by_distance, agree, check_estimates

RATE, OF_DIFFERENCE, OF_EQUALITY = 0.05, 0.8, 0.2


def _grids():
    """The grids whose seeds were added while one looked."""
    heads = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("*/grid.json"))}
    return [name for name, head in heads.items() if head.get("auto")]


class Looks(Grid):
    """A grid, look by look."""

    def __init__(self, name):
        super().__init__(name)
        self.looks = self.meta["auto"]["looks"]
        squares = np.array([0, *self.looks]) ** 2
        self.shares = dict(zip(self.looks, np.diff(squares) / self.looks[-1] ** 2, strict=True))
        self.declared = self._declared()

    def _declared(self):
        """The declared comparisons, pairs of cells; what an axis is not named for is the baseline's."""
        base = self.meta["baseline"]
        if given := self.meta.get("primary"):
            return [tuple(self.levels.index(base | one[side]) for side in ("compare", "to")) for one in given]
        return [(cell, self.levels.index(base)) for cell in range(len(self.cells)) if self.levels[cell] != base]

    def took(self, metric, n):
        """The cells that have values at each of the first n seeds."""
        seeds = set(self.meta["seeds"][:n])
        return [cell for cell in range(len(self.cells)) if len(seeds) == n and seeds <= set(self.of(metric, cell))]

    @cache  # noqa: B019
    def at(self, metric, a, b, n):
        """a − b at those of the first n seeds that the same kinds of machine made of both."""
        seeds = [seed for seed in self.meta["seeds"][:n] if seed in self.common(metric, [a, b])]
        return Difference(self.scaled(metric, [a, b], seeds) @ np.array([1.0, -1.0]))

    def last(self, metric, a, b):
        """The last look that both took; null where a cell has no values."""
        return max((n for n in self.looks if {a, b} <= set(self.took(metric, n))), default=None)

    def half_width(self, metric, a, b):
        """Half the interval that holds at all looks together."""
        n = self.last(metric, a, b)
        one, tail = self.at(metric, a, b, n), RATE * self.shares[n] / (2 * len(self.declared))
        return math.sqrt(
            stats.t.isf(tail, one.df1) ** 2 * one.total1 + stats.t.isf(tail, one.df2) ** 2 * one.total2,
        )

    @cache  # noqa: B019
    def settled(self, metric):
        """Declared comparison → (number of seeds at which its verdict came, verdict); and look → which are open."""
        found, is_open, m = {}, {}, len(self.declared)
        claims, dropped = Counter(), set()
        for n in self.looks:
            took, claimed = set(self.took(metric, n)), {}
            tested = {pair: self.at(metric, *pair, n) for pair in self.declared if set(pair) <= took}
            left = {pair: one for pair, one in tested.items() if pair not in found}
            tests = (
                ("different", OF_DIFFERENCE, {pair: one.p for pair, one in left.items()}),
                ("equal", OF_EQUALITY, {pair: one.p_equal(self.margin(metric)) for pair, one in left.items()}),
            )
            for kind, rate, p in tests:
                for pair in sorted(p, key=p.get):
                    first = min(1 / m, rate / (m - 1)) if m > 1 else 1.0
                    share = rate / (m - claims[kind]) if claims[kind] else first
                    if p[pair] > share * RATE * self.shares[n]:
                        break
                    claims[kind] += 1
                    claimed[pair] = kind
            for pair, kind in claimed.items():
                better = left[pair].value * self.sign(metric) > 0
                found[pair] = n, kind if kind == "equal" else "better" if better else "worse"
            dropped |= {pair for pair, one in left.items() if one.p > 0.5}
            is_open[n] = [pair for pair in left if pair not in found and pair not in dropped]
        return found, is_open

    def stopped(self):
        """At how many seeds each cell stops."""
        result = dict.fromkeys(range(len(self.cells)), self.looks[0])
        for n, following in zip(self.looks, self.looks[1:], strict=False):
            needed = {cell for metric in self.deciding for pair in self.settled(metric)[1][n] for cell in pair}
            result |= {cell: following for cell in needed if result[cell] == n}
        return result

    def share_of_pair(self, a, b, n):
        """The w of two cells at a look, where each is compared with each: all at the first if one is undeclared."""
        if {a, b} <= {cell for pair in self.declared for cell in pair}:
            return self.shares[n]
        return 1.0 if n == self.looks[0] else 0.0

    def leaders(self, metric):
        """The cells that may be the best."""
        known, out = self.known(metric), set()
        if metric in self.deciding:
            for (a, b), (_, verdict) in self.settled(metric)[0].items():
                out |= {"better": {b}, "worse": {a}}.get(verdict, set())
        for n in self.looks:
            took = self.took(metric, n)
            for cell, other in itertools.permutations(took, 2):
                one = self.at(metric, other, cell, n)
                share = self.share_of_pair(cell, other, n)
                if one.p_beyond(self.sign(metric) * one.value) <= RATE / 2 * share / (len(known) - 1):
                    out.add(cell)
        return [cell for cell in known if cell not in out]


def first_look(name):
    """The grid as it was at the first look."""
    grid = Grid(name)
    seeds = grid.meta["seeds"][: grid.meta["auto"]["looks"][0]]
    for values in (*grid.values.values(), *grid.images.values()):
        for seed in set(values) - set(seeds):
            del values[seed]
    grid.answers = grid.answers | {"seeds": seeds}
    return grid


@cache
def grid_of(name):
    """The grid of this name."""
    return Looks(name)


every = pytest.mark.parametrize("name", _grids())


@every
def test_stopped(name):
    grid = grid_of(name)
    stopped = {grid.cells[cell]: n for cell, n in grid.stopped().items()}
    assert stopped == grid.meta["auto"]["stopped"]
    with (ROOT / name / "runs.csv").open(newline="", encoding="utf-8") as file:
        runs = [(row["cell_id"], int(row["seed"])) for row in csv.DictReader(file)]
    assert sorted(runs) == sorted((cell, seed) for cell, n in stopped.items() for seed in grid.meta["seeds"][:n])


@every
def test_differences(name):
    grid = grid_of(name)
    listed = [(one["metric"], one["a"], one["b"]) for one in grid.answers["comparisons"]]
    assert listed == [(metric, *pair) for metric in grid.deciding for pair in grid.declared if grid.last(metric, *pair)]
    for given in grid.answers["comparisons"]:
        key = given["metric"], given["a"], given["b"]
        one = grid.at(*key, grid.last(*key))
        assert given["primary"]
        assert one.n == given["n"]
        assert agree(one.value, given["difference"]), given
        assert agree(grid.half_width(*key), given["half_width"]), given
        assert agree(one.p, given["p"]), given


@every
def test_verdicts(name):
    grid = grid_of(name)
    for given in grid.answers["comparisons"]:
        found, _ = grid.settled(given["metric"])
        n, verdict = found.get((given["a"], given["b"]), (None, "cannot tell"))
        assert (n, verdict) == (given["settled_at"], given["verdict"]), given
        assert given["adjusted_p"] is None
        assert given["equal_p"] is None


@every
def test_leaders(name):
    grid = grid_of(name)
    for metric in grid.metrics:
        bold = [one["cell"] for one in grid.answers["estimates"] if one["metric"] == metric and one["may_be_best"]]
        assert bold == (grid.leaders(metric) if grid.sign(metric) else []), metric
    assert [given["metric"] for given in grid.answers["headlines"]] == grid.deciding
    for given in grid.answers["headlines"]:
        assert given["leaders"] == grid.leaders(given["metric"])
        assert given["best"] == grid.best(given["metric"])


@every
def test_estimates(name):
    check_estimates(grid_of(name))


@every
def test_effects(name):
    grid, first = grid_of(name), first_look(name)
    assert list(dict.fromkeys(given["metric"] for given in grid.answers["effects"])) == (
        grid.deciding if len(grid.axes) > 1 else []
    )
    for metric in dict.fromkeys(given["metric"] for given in grid.answers["effects"]):
        listed = {frozenset(one["axes"]): one for one in grid.answers["effects"] if one["metric"] == metric}
        effects = first.effects(metric)
        assert effects.keys() == listed.keys()
        p = adjusted_by_distance([one[2] for one in effects.values()], [one[3] for one in effects.values()], 1.0)
        told = [
            {axis for axis in grid.axes if grid.levels[a][axis] != grid.levels[b][axis]}
            for (a, b), (_, verdict) in grid.settled(metric)[0].items()
            if verdict in ("better", "worse")
        ]
        for (axes, (df, f, p_effect, _, share, _)), p_adjusted in zip(effects.items(), p, strict=True):
            given = listed[axes]
            assert (df, grid.looks[0] - 1) == (given["df"], given["df_error"])
            assert agree(f, given["F"]), given
            assert agree(p_effect, given["p"]), given
            assert agree(p_adjusted, given["adjusted_p"]), given
            assert agree(share, given["share"]), given
            assert given["matters"] == bool(p_adjusted <= RATE or (len(axes) == 1 and axes in told)), given
