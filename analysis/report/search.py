"""The report's section on a search: the trials, how optimistic the best value was, the best trials, and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.figures.drawing import Drawn
from analysis.findings.search import Optimism
from analysis.labels import duration, in_symbols
from analysis.links import read_tracking
from analysis.read.search import Search
from analysis.report.figures import search_pictures
from analysis.report.files import Files
from analysis.report.page import Block, Details, Html, Items, Link, Picture, Section, Text, render
from analysis.tables.search import search_table
from analysis.tables.writers import html_table
from analysis.words.search import search_sentences

FIGURES = ("history", "history_second", "slices", "slices_second", "pareto", "rungs")
"""The figures of a search, in the order in which they are read."""
_ELSEWHERE = (
    "Parallel coordinates of all trials are on the search's page in MLflow, and in Optuna's dashboard: `pip install "
    "optuna-dashboard && optuna-dashboard sqlite:///results/optuna.db`, or with the URL that the search's `storage=` "
    "named."
)


def search_section(search: Search, confirmed: Sequence[Optimism] | None, drawn: Mapping[str, Picture]) -> Section:
    """The section with sentences, the best trials, the search's figures, and a note on where there are more."""
    sentences = tuple(search_sentences(search, confirmed))
    blocks: list[Block] = [Items("What was tried, and what came of it", sentences), *_best(search)]
    figures = [drawn[name] for name in FIGURES if name in drawn]
    more = Details("Every trial, as figures", (*figures[1:], Text(_ELSEWHERE)))
    return Section("search", "Search", tuple(blocks), beside=(*figures[:1], more))


def _best(search: Search) -> list[Html]:
    table = search_table(search)
    if table is None:
        return []
    named = replace(table, name=f"trials-{table.name}")
    return [Html(html_table(named), "the best trials", table.caption)]


def search_report(search: Search, drawn: Mapping[str, Drawn], files: Files) -> str:
    """The page of a search without a confirmation, because there is none yet, or none is needed."""
    head = search.head
    setting = [f"Search `{head.name}`", head.data, f"T = {head.horizon}" if head.horizon else ""]
    parts = [search_section(search, None, search_pictures(drawn, files)), *_provenance(search)]
    tracked = read_tracking(files.folder / "tracking.json") if files.folder else None
    links = [*files.links, *([Link("MLflow", tracked.link)] if tracked else [])]
    metrics = [objective.label for objective in head.objectives]
    return render(in_symbols(head.question), [" · ".join(word for word in setting if word)], parts, links, metrics)


def _provenance(search: Search) -> Sequence[Section]:
    head = search.head
    if not head.command:
        return []
    took = f" ({duration(head.seconds)})" if head.seconds is not None else ""
    code = f"; code {head.code}" if head.code else ""
    return [Section("provenance", "Where it comes from", (Text(f"`{head.command}`{took}{code}."),))]
