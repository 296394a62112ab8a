"""The contents of the page: a first screen that says what to take, the table below it, and folded parts.

The first screen has, per deciding metric, what to take and why; beside it the differences, and samples of the best
cell. Where comparisons are within rows, each row has an answer of its own. Each part stands under a line that sums it
up. The same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from analysis import remarks, words
from analysis.answers import AS_GOOD, BEST, MAY_BE_BEST, Analysis
from analysis.costs import seed_seconds, work_seconds
from analysis.factorial import averages_of
from analysis.figures import FIGURES, caption_of
from analysis.files import read_json
from analysis.grid_json import MetricInfo
from analysis.labels import Rounding, counted, duration, listed, probability, sentence_start, some
from analysis.places import pages_of
from analysis.report.page import PHOTOS, Part, figure, link, links_of, prose, render, scrolled, sheets, table
from analysis.schema import HELD_OUT
from analysis.search import Search, overview, tables
from analysis.statistics import ALPHA
from analysis.tables import render as render_table

WIDE = 300
"""The approximate width of a sheet of samples in pixels."""


def first_screen(analysis: Analysis, figures: Iterable[Markup]) -> tuple[list[Markup], list[Markup]]:
    """The two sides of the first screen, with these figures before the samples."""
    if not analysis.deciding:
        return [Markup('<p class="take">No verdict: no cell has a metric that decides.</p>')], [*figures]
    answers = [_answer(analysis, metric) for metric in analysis.deciding]
    return answers, [*figures, *_samples(analysis, analysis.deciding[-1])]


def _answer(analysis: Analysis, metric: MetricInfo) -> Markup:
    """The cell to take, with the alternatives; without a recommendation if nothing was tested. Cells are named by their
    levels on the axes that the cells of a row do not share; a row without anything to choose is left out."""
    use, values = metric.decides, analysis.values(metric.name)
    cells = analysis.cells[analysis.cells["metric"] == metric.name]
    cells = cells.assign(name=[words.name_in_row(analysis, cell) for cell in cells["cell_id"]])
    rows = [row for _, row in cells.groupby("row", sort=False) if (values.loc[row["cell_id"]].nunique() > 1).any()]
    bests = [best for row in rows for _, best in row[row["place"] == BEST].iterrows()]
    if not bests:
        return _take(analysis, metric, f"For {use}: nothing to choose between.")
    if analysis.meta.rows:
        # Rows with a best cell of the same name stand together: β̃ at 10 and 25; analytic at 50.
        named = pd.DataFrame(bests).groupby("name", sort=False)["row"]
        choice = "; ".join(f"{name} at {listed(at.tolist())}" for name, at in named)
        by, so_far = " · ".join(analysis.meta.row_labels), " so far" * analysis.meta.preliminary
        headlines = [words.headline(analysis, metric, best["row"]) for best in bests]
        return _take(analysis, metric, f"For {use}, by {by}, the best mean{so_far}:", choice, ".", headlines)
    best = bests[0]
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
    own = analysis.comparisons.query("kind == 'comparison' and metric == @metric.name and n > 1 and sd > 0")
    its = own[own[["a", "b"]].eq(best["cell_id"]).any(axis=1)].sort_values("difference", key=abs)
    nearest = its.head(1).to_dict("records")
    sentences = [words.comparison_sentence(analysis, row, seed_seconds(analysis)) for row in nearest]
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


COSTS = ("Parameters", "Training (FLOPs)", "Training (s)", "A sample (s)", "Peak memory (bytes)")
"""The heads of the columns of `Analysis.costs`."""
LEGEND = Part("legend", "How to read this page", [table(("Mark", "Meaning"), list(words.LEGEND.items()))])


def report(analysis: Analysis) -> str:
    """The page of a grid, with the figures that were drawn."""
    folder, search = analysis.folder, analysis.search
    tracked = read_json(folder / "tracking.json")
    drawn = figures(pages_of(folder), sheets(analysis))

    def taken(*names: str) -> dict[str, Markup]:
        return {name: drawn.pop(name) for name in names if name in drawn}

    screen, cost = first_screen(analysis, taken("differences").values()), taken("cost", "compute")
    content = [
        Part("table", "Table", [scrolled(render_table(analysis, "html"))], opened=True),
        search_part(search, analysis.optimism, taken(*SEARCHED)) if search else None,
        _gallery("seeds", "Every seed, as figures", taken("metrics", "lines")),
        _comparisons(analysis),
        _published(analysis),
        _axes(analysis),
        _gallery("samples", "Samples", taken(*PHOTOS)),
        _gallery("curves", "Curves", drawn),
        _cost(analysis, cost),
        _provenance(analysis),
        _go_on(analysis, tracked),
        LEGEND,
    ]
    lead = [f"Grid `{analysis.meta.name}`: {words.setting(analysis)}", words.banner(analysis)]
    links = [*links_of(folder, pages_of(folder)), *([link("MLflow", tracked["link"])] if tracked else [])]
    return render(analysis.meta.question, lead, links, screen, content)


def search_report(search: Search, folder: Path) -> str:
    """The page of a search that has confirmed nothing, with the figures that were drawn."""
    lead, pages = [f"Search `{search.head.name}`: {search.head.data}"], pages_of(folder)
    parts = [search_part(search, None, figures(pages)), LEGEND]
    return render(search.head.question, lead, links_of(folder, pages), (), parts)


SEARCHED = ("history", "slices", "pareto")
"""The figures of a search."""


def search_part(search: Search, optimism: pd.DataFrame | None, figures: Mapping[str, Markup]) -> Part:
    """The search's part of a page: a sentence on what was tried, three tables, figures."""
    blocks = [overview(search, optimism)]
    for caption, of in tables(search, optimism).items():
        blocks += [caption, table(list(map(str, of)), of.to_numpy().tolist())]
    return Part("search", "Search", [*blocks, *figures.values()], counted(len(search.trials), "trial"), opened=True)


def figures(pages: Path, sheets: str = "") -> dict[str, Markup]:
    """The figures that were drawn, by name; that of samples with their sheets over training steps."""
    paths = {name: pages / "figures" / f"{name}.png" for name in FIGURES}
    there = {name: path for name, path in paths.items() if path.is_file()}
    return {n: figure(path, caption_of(n), sheets=sheets * (n == "samples")) for n, path in there.items()}


def _comparisons(analysis: Analysis) -> Part | None:
    """All comparisons as one table, with roughly the seeds that would tell what is not told."""
    names, rows, decided, seconds = analysis.names, [], [], seed_seconds(analysis)
    for name, own in analysis.comparisons.query("kind == 'comparison' and n > 0").groupby("metric", sort=False):
        metric = analysis.metric(str(name))
        decided.append(f"{metric.label} {own['verdict'].isin(['better', 'worse', 'equal']).sum()} of {len(own)}")
        for _, row in own.iterrows():
            needed = words.seeds_needed(row, seconds) if row["verdict"] == "cannot tell" else []
            seeds = "".join(needed).replace(" seeds would show a difference of this size", "")
            rest = [*_difference(metric, row), row["verdict"], seeds, row["declared"]]
            rows.append([metric.label, names[row["a"]], names[row["b"]], *rest])
    head = ("Metric", "a", "b", "a − b, or a/b", "p, or looks", "a is", "Seeds to tell", "Declared")
    return _part("comparisons", "Which differences are real", head, rows, f"decided: {'; '.join(decided)}")


def _part(name: str, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], gist: str) -> Part | None:
    return Part(name, title, [table(head, rows)], gist) if rows else None


def _difference(metric: MetricInfo, row: pd.Series) -> list[str]:
    """The difference with its interval, on a log scale the ratio a/b; and p or, with looks, the seeds it took."""
    if row["difference"] == row["half_width"] == 0:
        return ["the same at every seed", "–"]
    size = words.size(metric, row["difference"], row["half_width"]).removeprefix("a factor of ")
    evidence = words.evidence(row).partition(", ")[0].removeprefix("p ").removeprefix("= ")
    return [size, evidence.replace("< ", "<\xa0")]


def _published(analysis: Analysis) -> Part | None:
    """The outcome of each claim of a paper."""
    claims, rows = analysis.comparisons.query("kind == 'claim'").sort_values("claim"), []
    for _, row in claims.iterrows():
        claim, fields = analysis.meta.expects[row["claim"]], [row["metric"], row["untested"], ""]
        if row["outcome"] != "not tested":
            metric = analysis.metric(row["metric"])
            fields = [metric.label, *_difference(metric, row)]
        rows.append([claim.claim, claim.source, *fields, row["outcome"], row["declared"]])
    outcomes = listed([f"{n} {outcome}" for outcome, n in claims["outcome"].value_counts(sort=False).items()])
    head = ("Claim", "Source", "Metric", "Here", "p, or looks", "Outcome", "Declared")
    return _part("published", "Against the papers", head, rows, f"of {counted(len(rows), 'claim')} {outcomes}")


def _axes(analysis: Analysis) -> Part | None:
    """The effects of axes and their interactions, and each level averaged over the other axes."""
    rows, gists = [], []
    if analysis.effects.empty:
        return None
    for name, own in analysis.effects.groupby("metric", sort=False):
        label, matter = analysis.metric(str(name)).label, own.loc[own["p_adjusted"] <= ALPHA, "factors"]
        gists.append(f"{label}: {some(matter.tolist(), 3) or 'none'}")
        for _, row in own.iterrows():
            test = f"F({row['df']}, {row['df_error']}) = {Rounding().number(row['F'])}"
            p = probability(row["p_adjusted"]).removeprefix("= ")
            rows.append([label, row["factors"], test, p, f"{100 * row['share']:.0f} %"])
    head = ("Metric", "Axis, or two that depend on each other", "Test", "p", "Share of the variance")
    means = []
    for name, axis, level, *mean in averages_of(analysis, analysis.deciding).itertuples(index=False):
        metric = analysis.metric(name)
        means.append([metric.label, axis, level, words.size(metric, *mean).removeprefix("a factor of ")])
    averages = table(("Metric", "Axis", "Level", "Mean over the other axes"), means)
    return Part("axes", "Which axes matter", [table(head, rows), averages], "; ".join(gists))


def _gallery(name: str, title: str, figures: Mapping[str, Markup]) -> Part | None:
    """A part of figures alone."""
    return Part(name, title, list(figures.values()), listed(list(figures))) if figures else None


def _cost(analysis: Analysis, figures: Mapping[str, Markup]) -> Part | None:
    """The costs of each cell."""
    costs = analysis.costs.set_axis(COSTS, axis="columns").dropna(axis="columns", how="all")
    rows = [[analysis.names[str(cell)], *map(Rounding().number, own)] for cell, own in costs.iterrows()]
    took = {"of computing": work_seconds(analysis.runs), "by the clock": analysis.meta.seconds}
    gist = ", ".join(f"{duration(seconds)} {what}" for what, seconds in took.items() if seconds)
    blocks = ["Means over seeds:", table(("Cell", *map(str, costs)), rows), *figures.values()]
    return None if costs.columns.empty else Part("cost", "Cost", blocks, gist)


def _provenance(analysis: Analysis) -> Part | None:
    """Command, versions, machine, and notes on the numbers."""
    rows = [("Made by", remarks.provenance(analysis)), ("Machine", "; ".join(analysis.counted("machine")))]
    rows += [("Note", note) for note in remarks.of_table(analysis)]
    gist = f"`{analysis.meta.command or analysis.meta.name}`"
    return _part("provenance", "Where it comes from", ("What", "Which"), [row for row in rows if row[1]], gist)


def _go_on(analysis: Analysis, tracked: Any) -> Part | None:
    """The commands that go on from here, with that of the store that the grid was delivered to, if any."""
    rows = [(sentence_start(what), f"`{way}`") for what, way in remarks.go_on(analysis).items()]
    if tracked and not tracked["uri"].startswith("http"):
        rows.append(("The runs in MLflow", f"`mlflow ui --backend-store-uri {tracked['uri']}`"))
    price = f"{duration(s)} of computing for a seed of all cells" if (s := seed_seconds(analysis)) else ""
    return _part("further", "How to go on", ("What", "Command"), rows, price)
