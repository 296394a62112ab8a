"""The first screen: per deciding metric what to take and why, beside it the differences and samples of the best cell.

Where comparisons are within rows, each row has an answer of its own, in a small table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from markupsafe import Markup

from analysis import words
from analysis.answers import Analysis
from analysis.claims import contrast
from analysis.costs import seed_seconds
from analysis.grid_json import MetricInfo
from analysis.labels import counted, listed, listed_names
from analysis.report.page import figure, prose, table
from analysis.schema import HELD_OUT
from analysis.statistics import Paired
from analysis.summary import AS_GOOD, BEST, MAY_BE_BEST

FEW, WIDE = 5, 300
"""The most cells that an entry of a row's table names; and the approximate width of a sheet of samples in pixels."""
Choice = tuple[pd.Series, pd.DataFrame]
"""The best cell of a row that has something to choose, and all cells of the row."""


def first_screen(analysis: Analysis, figures: Iterable[Markup]) -> tuple[list[Markup], list[Markup]]:
    """The two sides of the first screen, with these figures before the samples."""
    if not analysis.deciding:
        return [Markup('<p class="take">No verdict: no cell has a metric that decides.</p>')], [*figures]
    chosen = [(metric, _choices(analysis, metric)) for metric in analysis.deciding]
    answers = [(_by_row if analysis.meta.rows else _answer)(analysis, *each) for each in chosen]
    answers += [_row_table(analysis, *each) for each in chosen if analysis.meta.rows and each[1]]
    return answers, [*figures, *_samples(analysis, analysis.deciding[-1])]


def _choices(analysis: Analysis, metric: MetricInfo) -> list[Choice]:
    """The choices of a grid; cells are named by their levels on the axes that the cells of a row do not share."""
    cells, values = analysis.cells[analysis.cells["metric"] == metric.name], analysis.values(metric.name)
    named = cells.assign(name=[words.name_in_row(analysis, cell) for cell in cells["cell_id"]])
    rows = [row for _, row in named.groupby("row", sort=False) if (values.loc[row["cell_id"]].nunique() > 1).any()]
    return [(best, row) for row in rows for _, best in row[row["place"] == BEST].iterrows()]


def _answer(analysis: Analysis, metric: MetricInfo, choices: list[Choice]) -> Markup:
    """The cell to take, with the alternatives; without a recommendation if nothing is compared."""
    use = metric.decides
    if not choices:
        return _take(analysis, metric, f"For {use}: nothing to choose between.")
    best, cells = choices[0]
    if analysis.meta.preliminary:
        return _take(analysis, metric, f"For {use} so far", best["name"], " leads.")
    why = _beside(analysis, metric, best)
    if not best["bold"]:
        return _take(analysis, metric, f"For {use} no verdict; best value:", best["name"], ".", why)
    as_good, left = (cells.loc[cells["place"] == place, "name"].tolist() for place in (AS_GOOD, MAY_BE_BEST))
    which = f"{as_good[0]}, which is" if len(as_good) == 1 else f"any of {len(as_good)} others that are"
    rest = f", or {which} {words.as_good(metric)}" if as_good else ""
    rest += f"; {counted(len(left), 'other')} cannot be ruled out" if left else ""
    return _take(analysis, metric, f"For {use}, at this budget, take", best["name"], f"{rest}.", why)


def _beside(analysis: Analysis, metric: MetricInfo, best: pd.Series) -> list[str]:
    """The smallest difference of the best cell from those that it is compared with, and the score of real data."""
    own, sentences = (
        analysis.comparisons.query("kind == 'comparison' and metric == @metric.name and n > 1 and sd > 0"),
        [],
    )
    its = own[own[["a", "b"]].eq(best["cell_id"]).any(axis=1)].sort_values("difference", key=abs)
    sentences += [words.comparison_sentence(analysis, row, seed_seconds(analysis)) for _, row in its.head(1).iterrows()]
    for floor in filter(None, [analysis.meta.floors.get(metric.name)]):
        ahead = metric.sign * (best["mean"] - floor.value) > 0
        caution = "; beyond that is not better than real" if ahead else ""
        sentences.append(f"For comparison: {floor.label} score {words.amount(metric, floor.value)}{caution}.")
    return sentences


def _take(
    analysis: Analysis, metric: MetricInfo, take: str, choice: str = "", rest: str = "", why: Sequence[str] = ()
) -> Markup:
    """A choice in large letters, below its limits: that it is exploratory, or that a code without a network is better
    than all cells; and above its reasons."""
    headline = words.headline(analysis, metric)
    marks = ["Exploratory: other seeds were asked for after results were there"] * analysis.meta.continued
    marks += ["Preliminary: no verdict yet"] * analysis.meta.preliminary
    marks += [code for code, _ in [words.beside_codes(analysis, metric)] if code.startswith("Every cell")]
    limits = Markup('<p class="mark">{}</p>').format(". ".join(marks)) if marks else ""
    large = Markup('<p class="take">{} <strong>{}</strong>{}</p>').format(*map(prose, (take, choice, rest)))
    reasons = Markup("").join(Markup("<p>{}</p>").format(prose(line)) for line in (headline, *why) if line)
    return Markup('<div class="answer">{}{}{}</div>').format(limits, large, reasons)


def _rows(analysis: Analysis) -> str:
    """The axes whose levels form rows."""
    return " · ".join(axis.label for axis in analysis.meta.axes if axis.name in analysis.meta.rows)


def _by_row(analysis: Analysis, metric: MetricInfo, choices: list[Choice]) -> Markup:
    """The best mean of each row, those of the same name together: β̃ at 10 and 25; analytic at 50."""
    if not choices:
        return _take(analysis, metric, f"For {metric.decides}: nothing to choose between.")
    best = pd.DataFrame([best for best, _ in choices]).groupby("name", sort=False)["row"]
    choice = "; ".join(f"{name} at {listed(rows.tolist())}" for name, rows in best)
    so_far = " so far" if analysis.meta.preliminary else ""
    return _take(analysis, metric, f"For {metric.decides}, by {_rows(analysis)}, the best mean{so_far}:", choice, ".")


def _row_table(analysis: Analysis, metric: MetricInfo, choices: list[Choice]) -> Markup:
    """A table of each row's best cell, its lead, the cells as good, and others that may be the best."""
    lines = []
    for best, own in choices:
        names = [own.loc[own["place"] == place, "name"].tolist() for place in (AS_GOOD, MAY_BE_BEST)]
        others = [listed_names(of, "and") if len(of) <= FEW else f"{len(of)} cells" for of in names]
        value = words.amount(metric, best["mean"], best["half_width"])
        lines.append([str(best["row"]), f"{best['name']} ({value})", _lead(analysis, metric, best, own), *others])
    head = (_rows(analysis), "Best mean", "Ahead of the next by", "As good", "Cannot be ruled out")
    filled = [column for column in zip(head, *lines, strict=True) if any(column[1:])]
    head, *rows = zip(*filled, strict=True)
    return Markup('<p class="lead">{}, for {}</p>').format(metric.label, metric.decides) + table(head, rows)


def _lead(analysis: Analysis, metric: MetricInfo, best: pd.Series, cells: pd.DataFrame) -> str:
    """The lead of the best cell over the next mean, with its own 95 % interval; "" where no seed has both."""
    others = cells[(cells["rank"] >= 0) & (cells["cell_id"] != best["cell_id"])].sort_values("rank")
    for _, second in others.head(1).iterrows():
        values = contrast(analysis, metric, [(1.0, best["cell_id"]), (-1.0, second["cell_id"])])
        if len(values):
            ahead = Paired.of(values, metric.resolution)
            return f"{words.size(metric, abs(float(ahead.mean)), float(ahead.half_width()))} over {second['name']}"
    return ""


def _samples(analysis: Analysis, metric: MetricInfo) -> list[Markup]:
    """The first sheet of the best cell in a metric, and one of held-out images; none if the data are not images."""
    folder, cells = analysis.folder / "samples", analysis.cells.query("metric == @metric.name")
    best = cells[cells["place"] == BEST].sort_values("mean", ascending=metric.sign < 0)
    if best.empty:
        return []
    sheet = f"{best['cell_id'].iloc[0]}-{analysis.meta.seeds[0]}.png"
    captions = {sheet: f"Samples of {best['name'].iloc[0]}, the best in {metric.label}."}
    captions |= {f"{HELD_OUT}.png": "Real images, held out."}
    return [figure(folder / file, text, WIDE) for file, text in captions.items() if (folder / file).is_file()]
