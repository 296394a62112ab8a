"""The report's records: other differences between cells, runs that did not finish, and the origin of everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import pandas as pd

from analysis.figures.curves import weights_sentence
from analysis.findings.answers import Answers
from analysis.findings.best import MOST_ROWS
from analysis.findings.cells import CellRuns
from analysis.findings.spaces import in_latents
from analysis.labels import duration, some
from analysis.links import Tracking
from analysis.read.runs import GridResults
from analysis.report.costs import in_all
from analysis.report.page import Block, Details, Fact, FactTable, Items, Link, Section, Text, Verbatim
from analysis.schema import AUTOENCODER, COUNTED, TRACEBACK
from analysis.words.cells import noted, reason_in_short, why_not_comparable
from analysis.words.provenance import numerics
from analysis.words.rounds import round_of
from analysis.words.weights import weight_lines


def besides(answers: Answers) -> Section | None:
    """The section on differences between cells besides the declared axes; None where there is nothing to compare."""
    if len(answers.cells) < 2:
        return None
    axes, meta = _axes(answers), answers.meta
    notes = [*meta.footnotes, *_apart(answers), *_notes(answers.cells)]
    blocks: list[Block] = [Items("What each axis changes", tuple(axes))] if axes else []
    blocks += [Items("Effective weight of each t", tuple(_weights(answers)))] if axes else []
    blocks += [Items("Notes", tuple(notes))] if notes else []
    if meta.decoder:
        blocks.append(Text(f"The decoder of all bounds at t = 1: {meta.decoder}."))
    return Section("besides", "What else differed", tuple(blocks)) if blocks else None


def _axes(answers: Answers) -> list[str]:
    """The parameters that change along each axis."""
    changed = {axis.label: sorted(answers.changes[axis.name]) for axis in answers.axes}
    return [f"{label}: {', '.join(f'`{name}`' for name in names)}." for label, names in changed.items() if names]


def _weights(answers: Answers) -> list[str]:
    """The result of the check of the weight of t along every axis; one sentence where all cells have the same."""
    same = weights_sentence(answers)
    return [same] if same else weight_lines(answers.weight_check, answers.axes, recorded=bool(answers.weights))


def _notes(cells: Sequence[CellRuns]) -> list[str]:
    """The notes of runs, with the cells that have them."""
    names: dict[str, list[str]] = {}
    for cell, lines in zip(cells, noted(cells), strict=True):
        for line in lines:
            names.setdefault(line, []).append(cell.name)
    return [f"{line} ({some(who)})" for line, who in names.items()]


def _apart(answers: Answers) -> list[str]:
    """The cells that have no comparable value of a metric, and why."""
    lines = []
    for metric in answers.metrics:
        names = [cell.name for cell in answers.cells if not cell.comparable(metric.name)]
        lines += [f"{metric.label} {why_not_comparable(metric)} ({some(names)})."] if names else []
    return lines


def lost(answers: Answers) -> int:
    """The number of runs that did not finish or, in a round of rungs, were not scored."""
    return len(_lost(answers.grid.runs))


def _lost(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[~runs["status"].isin(COUNTED)]


def missing(answers: Answers) -> Section:
    """The section on runs that did not finish or, in a round of rungs, were not scored: their ends, and the reasons."""
    everyone, runs = answers.grid.runs, _lost(answers.grid.runs)
    whole, lacking = "finished", "did not finish"
    if answers.meta.at_rungs:
        whole, lacking = "were scored at their first rung", "were not scored"
    did = lacking.partition(" ")[0]
    title = f"What {lacking.replace('were', 'was')}"
    if runs.empty:
        all_did = f"all {len(everyone)} runs {whole}"
        return Section("missing", title, (Text(f"Nothing: {all_did}."),), all_did)
    rows, traces = [], []
    for cell in answers.cells:
        failures = _lost(cell.runs)[["seed", "status", "reason", TRACEBACK]]
        for seed, status, reason, trace in failures.itertuples(index=False):
            message = reason_in_short(reason)
            rows.append((cell.name, str(seed), status, message or "no reason was recorded"))
            full = trace.strip() or reason.strip()
            traces += [Verbatim(f"{cell.name}, seed {seed}", full)] if full not in ("", message) else []
    count = f"{len(runs)} of {len(everyone)} runs {lacking}. Means and intervals are over the seeds that {did}."
    sheet = FactTable(
        f"Runs that {lacking}{_first(len(rows))}",
        ("Cell", "Seed", "Status", "Reason"),
        tuple(rows[:MOST_ROWS]),
        numbers=False,
    )
    folded = [Details(f"Tracebacks{_first(len(traces))}", tuple(traces[:MOST_ROWS]))] if traces else []
    return Section("missing", title, (Text(count), sheet, *folded))


def provenance(answers: Answers) -> Section:
    """The section on command, versions, data and device, and on every run by its ids, with its page in MLflow if
    any."""
    grid, meta, tracked = answers.grid, answers.meta, answers.grid.tracking
    judged = any(metric.name.endswith(f"/{meta.extractor}") for metric in meta.metrics)
    facts: dict[str, Fact] = {
        "Grid": meta.name,
        "Round": round_of(answers.meta).removeprefix("round "),
        "Command": f"`{meta.command}`" if meta.command else "",
        "Took": in_all(answers) or (duration(meta.seconds) if meta.seconds else ""),
        "Code": _codes(grid),
        "Numerics": numerics(grid),
        "Data": meta.data,
        "Data digest": _values(grid, "data_digest"),
        "Seeds": ", ".join(str(seed) for seed in meta.seeds),
        "Extractor": meta.extractor if meta.extractor and judged else "",
        "Device": meta.device or "",
        "Machine": "; ".join(kind for kind, _ in grid.machines),
        "MLflow": Link(f"experiment {tracked.experiment} in {tracked.uri}", tracked.link) if tracked else "",
    }
    sheet = FactTable("Provenance", (), tuple((name, fact) for name, fact in facts.items() if fact), numbers=False)
    coded = any(in_latents(cell) for cell in answers.cells)
    more = [*(["Autoencoder id"] if coded else []), *(["MLflow run"] if tracked else [])]
    heads = ("Cell", "Seed", "Status", "Cell id", "Training id", *more)
    rows = tuple(islice(_runs(grid, answers.cells), MOST_ROWS))
    ids = FactTable(f"Every run{_first(len(grid.runs))}", heads, rows, numbers=False)
    gist = f"`{meta.command}`" if meta.command else ""
    return Section("provenance", "Where it comes from", (sheet, Details(f"All {len(grid.runs)} runs", (ids,))), gist)


def _first(n: int) -> str:
    """The words for a list that is cut to its first entries; "" if it has all of them."""
    return f": the first {MOST_ROWS} of {n}, runs.csv has all" if n > MOST_ROWS else ""


def _values(grid: GridResults, column: str) -> str:
    """The distinct values of a column of the runs."""
    return ", ".join(dict.fromkeys(value for value in grid.runs[column].astype(str) if value))


def _codes(grid: GridResults) -> str:
    """The versions of the code, each with the number of its runs; the grid's version if the runs do not say."""
    codes = grid.codes
    if len(codes) == 1:
        return codes[0][0]
    return ", ".join(f"{code} ({n} runs)" for code, n in codes) or grid.meta.code or ""


def _runs(grid: GridResults, cells: Sequence[CellRuns]) -> Iterable[tuple[Fact, ...]]:
    columns = ["seed", "status", "cell_id", "training_id", AUTOENCODER]
    coded = any(in_latents(cell) for cell in cells)
    for cell in cells:
        for seed, status, cell_id, training_id, autoencoder in cell.runs[columns].itertuples(index=False):
            ids: tuple[Fact, ...] = (cell.name, str(seed), str(status), f"`{cell_id}`", f"`{training_id}`")
            ids += (f"`{autoencoder}`" if autoencoder else "–",) if coded else ()
            yield ids + ((_run(grid.tracking, cell_id, seed),) if grid.tracking else ())


def _run(tracked: Tracking, cell_id: str, seed: int) -> Fact:
    """A link to a run's page, named by its id; "–" if it has none."""
    page = tracked.run_link(cell_id, seed)
    return "–" if page is None else Link(tracked.runs[cell_id][seed], page)
