"""The answers of a committed grid, in the words of a page. A direction that a page says is asserted where its
size is read: a sentence about another verdict than the grid's cannot be written.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from functools import cached_property
from typing import Any, Literal

from analysis.curves import read_curves
from analysis.labels import percent
from evidence.answers import answers_of
from evidence.freshness import COMMITTED, marks_of, rows_of


class Untrue(AssertionError):
    """A page says what a grid's answers do not."""


def check(holds: object, what: str = "") -> str:
    """Nothing to print; Untrue where something that a page says does not hold."""
    if not holds:
        raise Untrue(what or "what the page says does not hold")
    return ""


class CommittedGrid:
    """A committed grid. Cells are named by their levels in the order of the axes, with spaces between; metrics by their
    names, or by what stands before the first "/" in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def answers(self) -> dict[str, Any]:
        """What is found of it, as answers.json has it."""
        return answers_of(self.name)

    @cached_property
    def grid(self) -> dict[str, Any]:
        """Its grid.json."""
        content: dict[str, Any] = json.loads((COMMITTED / self.name / "grid.json").read_text(encoding="utf-8"))
        return content

    @cached_property
    def cells(self) -> dict[str, int]:
        """The places of its cells by their levels."""
        return {" ".join(cell["levels"].values()): i for i, cell in enumerate(self.answers["cells"])}

    # What a page says of the run

    @property
    def seeds(self) -> int:
        """The number of its seeds."""
        return len(self.answers["seeds"])

    @property
    def minutes(self) -> str:
        """The minutes that its command took."""
        return f"{self.grid['seconds'] / 60:.0f} minutes"

    @property
    def words(self) -> str:
        """The words of its command."""
        command: str = self.grid["command"]
        return command.removeprefix("python -m ablations.run ")

    @property
    def path(self) -> str:
        """Its folder, from the documentation."""
        return f"../results/committed/{self.name}"

    @property
    def marks(self) -> str:
        """The marks of what it is short of, to stand behind a comma; "" where it is of today, and what it compares was
        declared beforehand."""
        return "".join(f", {mark}" for mark in [*marks_of(self.name), *(["exploratory"] if self.exploratory else [])])

    @property
    def exploratory(self) -> bool:
        """True where all that it declares was declared after results."""
        declared = [pair for pair in self.answers["comparisons"] if pair["primary"]] + self.answers["claims"]
        return bool(declared) and all(one["exploratory"] for one in declared)

    # Values

    def metric(self, name: str) -> dict[str, Any]:
        """A metric by its name or its kind."""
        metrics: list[dict[str, Any]] = self.answers["metrics"]
        return next(one for one in metrics if one["name"] == name or one["name"].startswith(f"{name}/"))

    def curve(self, name: str, cell: str, x: float) -> float:
        """The mean over seeds of a curve of a cell at one place."""
        values = self.curves[self.answers["cells"][self.cells[cell]]["cell_id"], name, float(x)]
        check(values, f"{self.name}: {cell} has no {name} at {x}")
        return sum(values) / len(values)

    @cached_property
    def curves(self) -> dict[tuple[str, str, float], list[float]]:
        """The values of all seeds by cell, curve and place."""
        found = defaultdict(list)
        for cell, _, curve, x, y in read_curves(COMMITTED / self.name).itertuples(index=False, name=None):
            found[str(cell), str(curve), float(x)].append(float(y))
        return found

    def rung(self, metric: str, cell: str, steps: int) -> float:
        """The mean of a cell on its way, after so many steps."""
        name = self.metric(metric)["name"]
        (found,) = (one for one in self.answers["rungs"] if one["metric"] == name and steps in one["steps"])
        mean: float = found["means"][self.cells[cell]]
        return mean

    def estimate(self, metric: str, cell: str) -> dict[str, Any]:
        """The entry of a metric and a cell."""
        key = (self.metric(metric)["name"], self.cells[cell])
        (found,) = (one for one in self.answers["estimates"] if (one["metric"], one["cell"]) == key)
        entry: dict[str, Any] = found
        return entry

    def trials(self, key: str, value: str, status: str = "") -> int:
        """The number of a search's trials with this value of a setting, and with this status if one is given."""
        return sum(row[key] == value and status in ("", row["status"]) for row in self.trial_rows)

    def best_trial(self, column: str, key: str, value: str) -> float:
        """The lowest value in a column among a search's finished trials with this value of a setting."""
        return min(float(row[column]) for row in self.trial_rows if row[key] == value and row["status"] == "finished")

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """The rows of its runs.csv, as text."""
        return rows_of(COMMITTED / self.name / "runs.csv")

    @property
    def trial_rows(self) -> list[dict[str, str]]:
        """The rows of a search's trials; none of a grid's."""
        return [row for row in self.rows if row.get("trial")]

    def of_winners(self, key: str) -> list[str]:
        """The values of a setting that a search's winners have."""
        return [winner["params"][key] for winner in self.grid["search"]["winners"]]

    def by_seed(self, metric: str, cell: str) -> list[float]:
        """The values of a metric of a cell, one of each seed."""
        name, cell_id = self.metric(metric)["name"], self.answers["cells"][self.cells[cell]]["cell_id"]
        return [float(row[name]) for row in self.rows if row["cell_id"] == cell_id]

    def value(self, metric: str, cell: str) -> float:
        """A mean over seeds."""
        mean: float = self.estimate(metric, cell)["mean"]
        return mean

    def mean(self, metric: str, cell: str, decimals: int | None = None) -> str:
        """The same with the decimals that are worth printing."""
        return f"{self.value(metric, cell):.{self._decimals(metric) if decimals is None else decimals}f}"

    def measured(self, metric: str, cell: str, decimals: int | None = None) -> str:
        """A mean with its interval."""
        n = self._decimals(metric) if decimals is None else decimals
        found = self.estimate(metric, cell)
        return f"{found['mean']:.{n}f} ± {found['half_width']:.{n}f}"

    def _decimals(self, metric: str) -> int:
        decimals: int = self.metric(metric)["decimals"]
        return decimals

    def reference(self, metric: str, label: str) -> str:
        """A value that was known beforehand, by the start of its label."""
        name = self.metric(metric)["name"]
        of_metric = (one for one in self.answers["references"] if one["metric"] == name)
        found = next(one["value"] for one in of_metric if one["label"].startswith(label))
        return f"{found:.{self._decimals(metric)}f}"

    # Verdicts

    def headline(self, metric: str) -> dict[str, Any]:
        """The answer in a metric."""
        name = self.metric(metric)["name"]
        (found,) = (one for one in self.answers["headlines"] if one["metric"] == name)
        headline: dict[str, Any] = found
        return headline

    def leaders(self, metric: str) -> set[str]:
        """The cells that may be the best."""
        return {cell for cell, i in self.cells.items() if i in self.headline(metric)["leaders"]}

    def leaders_at(self, metric: str, axis: str, level: str) -> set[str]:
        """The cells that may be the best of one row, where comparisons are within rows."""
        name = self.metric(metric)["name"]
        (row,) = (one for one in self.answers["rows"] if (one["metric"], one["levels"]) == (name, {axis: level}))
        return {cell for cell, i in self.cells.items() if i in row["leaders"]}

    def best(self, metric: str, cell: str) -> str:
        """The mean of the cell that has the best one; Untrue where it is another's."""
        best = list(self.cells)[self.headline(metric)["best"]]
        check(best == cell, f"{self.name}: the best {metric} has {best}, and not {cell}")
        return self.mean(metric, cell)

    def lowest(self, metric: str) -> str:
        """The cell of the lowest mean among those that have one."""
        name = self.metric(metric)["name"]
        means = {one["cell"]: one["mean"] for one in self.answers["estimates"] if one["metric"] == name}
        known = {cell: means[i] for cell, i in self.cells.items() if means.get(i) is not None}
        return min(known, key=lambda cell: known[cell])

    def effects(self, metric: str) -> dict[str, str]:
        """The shares of a metric's variation among cells that go with each axis, and with each pair of axes ("a × b")
        beyond both, largest first; of those that are shown to matter."""
        name = self.metric(metric)["name"]
        shown = (one for one in self.answers["effects"] if one["metric"] == name and one["matters"])
        ranked = sorted(shown, key=lambda one: -one["share"])
        return {" × ".join(one["axes"]): percent(one["share"]) for one in ranked}

    def pair(self, metric: str, a: str, b: str) -> dict[str, Any]:
        """The comparison of two cells, a − b."""
        name, of = self.metric(metric)["name"], (self.cells[a], self.cells[b])
        every = self.answers["comparisons"]
        (found,) = (one for one in every if one["metric"] == name and {one["a"], one["b"]} == set(of))
        pair: dict[str, Any] = found if (found["a"], found["b"]) == of else turned(found)
        return pair

    def better(self, metric: str, a: str, b: str) -> str:
        """The size by which one cell is better than another; Untrue where it is not shown to be."""
        return self._size(metric, a, b, "better")

    def worse(self, metric: str, a: str, b: str) -> str:
        """The size by which one cell is worse than another; Untrue where it is not shown to be."""
        return self._size(metric, a, b, "worse")

    def equal(self, metric: str, a: str, b: str) -> str:
        """The difference of two cells that are equal for practical purposes; Untrue where that is not shown."""
        return self._size(metric, a, b, "equal")

    def untold(self, metric: str, a: str, b: str) -> str:
        """The difference of two cells that cannot be told apart; Untrue where they are told."""
        return self._size(metric, a, b, "cannot tell")

    def firm(self, metric: str) -> str:
        """The number of declared differences that would hold at twice the training, of those that are told."""
        name, answers = self.metric(metric)["name"], self.answers
        declared = {(one["a"], one["b"]) for one in answers["comparisons"] if one["primary"]}
        courses = [one for one in answers["courses"] if one["metric"] == name and (one["a"], one["b"]) in declared]
        told = [one["settled"] for one in courses if one["verdicts"][-1] in ("better", "worse")]
        return f"{sum(told)} of {len(told)}"

    def _size(self, metric: str, a: str, b: str, verdict: str) -> str:
        found = self.pair(metric, a, b)
        check(found["verdict"] == verdict, f"{self.name}: {found['sentence']}")
        unit = self.metric(metric)["unit"]
        return f"{size(found)}{f' {unit}' if unit and found['scale'] == 'linear' else ''}"

    def claim(self, start: str, fate: str) -> str:
        """The difference that a claim is about, by the claim's first words; Untrue where its fate is another."""
        (found,) = (one for one in self.answers["claims"] if one["claim"].startswith(start))
        check(found["fate"] == fate, f"{self.name}: {found['sentence']}")
        return size({**found, "scale": self.metric(found["metric"])["scale"]})

    @property
    def fates(self) -> list[str]:
        """The fates of its claims, in order."""
        return [one["fate"] for one in self.answers["claims"]]

    def published(self, start: str) -> str:
        """The difference that a paper printed for a claim, by the claim's first words."""
        (claim,) = (one for one in self.grid["expects"] if one["claim"].startswith(start))
        better, worse = claim["published"]
        return f"{better - worse:+.2f}".replace("-", "−")

    def printed(self, start: str, side: Literal["better", "than"]) -> str:
        """The value that a paper printed for one side of a claim, by the claim's first words."""
        (claim,) = (one for one in self.grid["expects"] if one["claim"].startswith(start))
        return f"{claim['published'][('better', 'than').index(side)]:g}"

    def of_published(self, start: str) -> float:
        """The difference that a claim is about, as a share of what a paper printed for it."""
        (here,) = (one for one in self.answers["claims"] if one["claim"].startswith(start))
        (claim,) = (one for one in self.grid["expects"] if one["claim"].startswith(start))
        share: float = here["difference"] / (claim["published"][0] - claim["published"][1])
        return share


def turned(pair: dict[str, Any]) -> dict[str, Any]:
    """A comparison the other way round."""
    verdict = {"better": "worse", "worse": "better"}.get(pair["verdict"], pair["verdict"])
    return {**pair, "a": pair["b"], "b": pair["a"], "difference": -pair["difference"], "verdict": verdict}


def size(pair: dict[str, Any]) -> str:
    """The size of a difference as the pages write it: a factor above 1, or an amount."""
    difference, half = abs(pair["difference"]), pair["half_width"]
    if pair["scale"] == "linear":
        n = 3 if half < 0.005 or max(difference, half) < 0.02 else 2
        return f"{difference:.{n}f} ± {half:.{n}f}"
    mean, low, high = (math.exp(difference + shift) for shift in (0, -half, half))
    return f"a factor of {mean:.2f} ({low:.2f} to {high:.2f})"
