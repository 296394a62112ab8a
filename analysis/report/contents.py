"""The contents of the page: a first screen that says what to take, the table below it, and folded parts.

Each part stands under a line that sums it up. The same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from analysis import remarks, words
from analysis.answers import Analysis
from analysis.costs import seed_seconds, work_seconds
from analysis.figures import FIGURES, caption_of
from analysis.folders import pages_of
from analysis.grid_json import MetricInfo
from analysis.labels import Rounding, begun, counted, duration, listed, probability, some
from analysis.report.first import first_screen
from analysis.report.page import PHOTOS, Part, figure, link, links_of, render, scrolled, table
from analysis.report.search import search_part
from analysis.search import Search
from analysis.statistics import ALPHA
from analysis.tables import render as render_table

COSTS = ("Parameters", "Training (FLOPs)", "Training (s)", "A sample (s)", "Peak memory (bytes)")
"""The heads of the columns of `Analysis.costs`."""
LEGEND = Part("legend", "How to read this page", [table(("Mark", "Meaning"), list(words.LEGEND.items()))])


def report(analysis: Analysis) -> str:
    """The page of a grid, with the figures that were drawn."""
    folder, search, tracked = analysis.folder, analysis.search, analysis.tracking
    drawn = figures(pages_of(folder))

    def taken(*names: str) -> dict[str, Markup]:
        return {name: drawn.pop(name) for name in names if name in drawn}

    screen, cost = first_screen(analysis, taken("differences").values()), taken("cost", "compute")
    content = [
        Part("table", "Table", [scrolled(render_table(analysis, "html"))], opened=True),
        search_part(search, analysis.optimism, taken("history", "slices", "pareto")) if search else None,
        _gallery("seeds", "Every seed, as figures", taken("metrics", "lines")),
        _comparisons(analysis),
        _published(analysis),
        _axes(analysis),
        _gallery("samples", "Samples", taken(*PHOTOS)),
        _gallery("curves", "Curves", drawn),
        _cost(analysis, cost),
        _provenance(analysis),
        _go_on(analysis),
        LEGEND,
    ]
    lead = [f"Grid `{analysis.meta.name}`: {words.setting(analysis)}", words.banner(analysis)]
    links = [*links_of(folder, pages_of(folder)), *([link("MLflow", tracked.link)] if tracked else [])]
    return render(analysis.meta.question, lead, links, screen, content)


def search_report(search: Search, folder: Path) -> str:
    """The page of a search that has confirmed nothing, with the figures that were drawn."""
    lead, pages = [f"Search `{search.head.name}`: {search.head.data}"], pages_of(folder)
    parts = [search_part(search, None, figures(pages)), LEGEND]
    return render(search.head.question, lead, links_of(folder, pages), (), parts)


def figures(pages: Path) -> dict[str, Markup]:
    """The figures that were drawn, by name."""
    paths = {name: pages / "figures" / f"{name}.png" for name in FIGURES}
    return {name: figure(path, caption_of(name)) for name, path in paths.items() if path.is_file()}


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
    return [size, words.evidence(row).partition(", ")[0].removeprefix("p ").removeprefix("= ")]


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
    for name, own in analysis.effects.groupby("metric", sort=False):
        label, matter = analysis.metric(str(name)).label, own.loc[own["p_adjusted"] <= ALPHA, "factors"]
        gists.append(f"{label}: {some(matter.tolist(), 3) or 'none'}")
        for _, row in own.iterrows():
            test = f"F({row['df']}, {row['df_error']}) = {Rounding().number(row['F'])}"
            p = probability(row["p_adjusted"]).removeprefix("= ")
            rows.append([label, row["factors"], test, p, f"{100 * row['share']:.0f} %"])
    head = ("Metric", "Axis, or two that depend on each other", "Test", "p", "Share of the variance")
    means = []
    for name, axis, level, *mean in analysis.averages.itertuples(index=False):
        metric = analysis.metric(name)
        means.append([metric.label, axis, level, words.size(metric, *mean).removeprefix("a factor of ")])
    averages = table(("Metric", "Axis", "Level", "Mean over the other axes"), means)
    return Part("axes", "Which axes matter", [table(head, rows), averages], "; ".join(gists)) if rows else None


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


def _go_on(analysis: Analysis) -> Part | None:
    """The commands that go on from here."""
    rows = [(begun(what), f"`{way}`") for what, way in remarks.go_on(analysis).items()]
    if analysis.tracking and not analysis.tracking.uri.startswith("http"):
        rows.append(("The runs in MLflow", f"`mlflow ui --backend-store-uri {analysis.tracking.uri}`"))
    seconds = seed_seconds(analysis)
    price = f"{duration(seconds)} of computing for a seed of all cells" if seconds else ""
    return _part("further", "How to go on", ("What", "Command"), rows, price)
