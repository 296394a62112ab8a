"""A table as text: columns, rows and footnotes; and a grid as layouts need it to set one out.

Footnotes at a cell say how its runs ended, and what their notes say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from analysis.answers import Analysis
from analysis.costs import changed_along, weight_notes
from analysis.grid_json import Axis, MetricInfo
from analysis.labels import Rounding
from analysis.published import LABELS, PaperTable
from analysis.results import FINISHED, Results
from analysis.schema import NOTES, UNCOMPARED

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")


class Entry(NamedTuple):
    """A label or a number, bold for the best and those as good, with the letters of its footnotes."""

    text: str = ""
    bold: bool = False
    mark: str = ""


class Head(NamedTuple):
    """A column's head, the group above it, and the letters of the group's footnotes, or of a head without a group."""

    label: str
    group: str = ""
    mark: str = ""


class Line(NamedTuple):
    """A row of a cell, or of values `known` beforehand; rows with the same title stand below it."""

    entries: tuple[Entry, ...]
    title: Entry = Entry()
    known: bool = False


@dataclass(frozen=True)
class Table:
    """The first `labels` columns name cells, the others hold numbers. Notes are marked a, b, c …"""

    labels: int
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def part(self, columns: Sequence[int]) -> Table:
        """These columns alone, without values known beforehand of which none is left."""
        lines = [line._replace(entries=tuple(line.entries[i] for i in columns)) for line in self.lines]
        full = tuple(line for line in lines if not line.known or any(e.text for e in line.entries[self.labels :]))
        return replace(self, heads=tuple(self.heads[i] for i in columns), lines=full)

    def parts(self, widths: Sequence[float], room: float, gap: float) -> list[list[int]]:
        """The columns in parts that fit into `room`, each with all columns of labels and at least one other."""
        parts: list[list[int]] = [[]]
        for i in range(self.labels, len(widths)):
            wide = [*range(self.labels), *parts[-1], i]
            if parts[-1] and sum(widths[j] + gap for j in wide) - gap > room:
                parts.append([])
            parts[-1].append(i)
        return [[*range(self.labels), *own] for own in parts]

    def flat(self) -> Table:
        """The table with its titles in a first column, where it has any."""
        n = int(any(line.title.text for line in self.lines))
        lines = tuple(Line((line.title,) * n + line.entries, known=line.known) for line in self.lines)
        return replace(self, labels=self.labels + n, heads=(Head(""),) * n + self.heads, lines=lines)


@dataclass(frozen=True)
class Form:
    """The marks of a language for bold texts, for the letters of footnotes, for titles and the labels of known values
    with their letters, and before what stands below a title."""

    escape: Callable[[str], str]
    bold: str
    mark: str
    aside: str = "{}{}"
    indent: str = ""

    def entry(self, entry: Entry, form: str = "{}{}") -> str:
        """An entry with its marks."""
        text = self.escape(entry.text)
        return form.format(self.bold.format(text) if entry.bold else text, self.letters(entry.mark))

    def letters(self, mark: str) -> str:
        """The letters of footnotes, "" for none."""
        return self.mark.format(mark) if mark else ""

    def heads(self, table: Table) -> list[str]:
        """The heads, each with its group; a group that heads all columns is named once."""
        several = len({head.group for head in table.heads[table.labels :]}) > 1
        texts = [
            f"{head.group}: {head.label}" if head.group and (several or i == table.labels) else head.label
            for i, head in enumerate(table.heads)
        ]
        return [self.entry(Entry(text, mark=head.mark)) for text, head in zip(texts, table.heads, strict=True)]

    def rows(self, table: Table) -> Iterator[tuple[str, list[str]]]:
        """The rows, each with its kind: a title that begins, a cell, or known values."""
        above = Entry()
        for line in table.lines:
            if line.title.text and line.title != above:
                yield "title", [self.entry(line.title, self.aside), *[""] * (len(table.heads) - 1)]
            above, (first, *others) = line.title, line.entries
            label = self.entry(first, self.aside if line.known else "{}{}")
            kind = "known" if line.known else "cell"
            yield kind, [self.indent * bool(above.text) + label, *map(self.entry, others)]


class Sheet:
    """A grid to be set out, and its footnotes so far.

    `of` is cell → its parameters by name, in the order of cells; `changes` axis → its name and the choices that differ
    along it; `varied` the choices in which cells differ; `rounding` that of each metric's column.
    """

    def __init__(self, analysis: Analysis) -> None:
        cells, self.notes = analysis.cells, list[str]()
        self.analysis, self.axes = analysis, analysis.meta.axes
        self.of = analysis.parameters
        self.changes = {axis.name: {axis.name, *changed_along(analysis, axis)} for axis in self.axes}
        self.varied = set(analysis.varied)
        halves = cells.groupby("metric")["half_width"].agg(list)
        self.rounding = {
            m.name: Rounding(m.decimals, counted=True) if m.kind == "cost" else Rounding.of(m.decimals, halves[m.name])
            for m in analysis.metrics
        }
        self._rows: dict[Any, dict[Any, Any]] = cells.set_index(["metric", "cell_id"]).to_dict("index")
        self._remarks = of_cells(analysis)
        self._not_all_bold = set(cells.loc[~cells["bold"].astype(bool), "metric"])

    def over(self, *parameters: str) -> list[Axis]:
        """The axes that change one of these parameters, or a field of theirs."""
        inside = tuple(f"{name}." for name in parameters)
        return [axis for axis in self.axes if any(f"{name}.".startswith(inside) for name in self.changes[axis.name])]

    def chosen(self, kinds: Sequence[str], *, rest: bool) -> list[MetricInfo]:
        """The metrics of these kinds in this order, then others if `rest`, or if none is of these kinds. Metrics that
        were asked for are always shown, and so are deciding ones that no paper's table has."""
        present = self.analysis.metrics
        first = [metric for kind in kinds for metric in present if metric.kind == kind]
        left = [metric for metric in present if metric not in first]
        wanted = [metric for metric in left if metric.asked or (metric.deciding and metric.kind not in LABELS)]
        return first + (left if rest or not first else wanted)

    def marks(self, *texts: str) -> str:
        """The letters of these footnotes, "a,c"; the same text gets the same letter."""
        self.notes.extend(text for text in dict.fromkeys(texts) if text not in self.notes)
        return ",".join(letter(i) for i in sorted({self.notes.index(text) for text in texts}))

    def entry(self, metric: MetricInfo, cell: str) -> Entry:
        """Our number, with footnotes on unfinished seeds and the runs' notes; ° where it may be the best."""
        row, notes = self._rows[metric.name, cell], self._remarks[cell]
        text = self.rounding[metric.name].measured(row["mean"], row["half_width"])
        if not self.analysis.comparable(cell, metric.name):
            text, notes = UNCOMPARED, [*notes, f"{UNCOMPARED}: a VQ code has no likelihood, its encoder is no density"]
        sign = "°" if row["beaten_by"] == () and not row["bold"] else ""
        return Entry(text + sign, bool(row["bold"]) and metric.name in self._not_all_bold, self.marks(*notes))

    def labelled(self, labels: Sequence[str], columns: Mapping[str, int]) -> list[Head]:
        """The heads of columns of labels, with footnotes: the grid's at the first; an axis's, on hidden changes of t's
        weight, at its own of the `columns`, or at the first."""
        texts = [[*self.analysis.meta.footnotes], *([] for _ in labels[1:])]
        for axis, note in weight_notes(self.analysis).items():
            texts[columns.get(axis, 0)].append(note)
        return [Head(label, mark=self.marks(*its)) for label, its in zip(labels, texts, strict=True)]

    def beside(self, tables: Sequence[PaperTable]) -> tuple[list[Head], dict[str, list[Entry]]]:
        """The columns of the papers that have a number for at least one cell, and their entries by cell."""
        heads: list[Head] = []
        entries: dict[str, list[Entry]] = {cell: [] for cell in self.of}
        for paper in tables:
            texts = {cell: paper.numbers(of, self.varied) for cell, of in self.of.items()}
            if any(text for of_cell in texts.values() for text in of_cell.values()):
                mark = self.marks(paper.footnote())
                heads += [Head(LABELS.get(name, name), paper.head(), mark) for name in next(iter(texts.values()))]
                for cell, of_cell in texts.items():
                    entries[cell] += map(Entry, of_cell.values())
        return heads, entries

    def known(self, metrics: Sequence[MetricInfo]) -> dict[str, dict[str, str]]:
        """Label → metric → a value known beforehand: of codes without a network, then of held-out data."""
        meta, by_label = self.analysis.meta, dict[str, dict[str, str]]()
        for name in (metric.name for metric in metrics):
            for label, value in meta.known_values(name).items():
                by_label.setdefault(label, {})[name] = self.rounding[name].number(value)
        return by_label


def letter(i: int) -> str:
    """The letter of footnote i: a … z, aa, ab …"""
    return (letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


def merged(texts: Iterable[str]) -> dict[str, str]:
    """Text → the text that stands for all that differ from it in numbers only, with the range of each number."""
    alike: dict[str, list[str]] = {}
    for text in texts:
        alike.setdefault(_NUMBER.sub("{}", text.replace("{", "{{").replace("}", "}}")), []).append(text)
    words: dict[str, str] = {}
    for form, same in alike.items():
        columns = [sorted(column, key=float) for column in zip(*map(_NUMBER.findall, same), strict=True)]
        ranges = ("–".join(dict.fromkeys((column[0], column[-1]))) for column in columns)
        words |= dict.fromkeys(same, form.format(*ranges))
    return words


def of_cells(results: Results) -> dict[str, list[str]]:
    """Cell → the seeds that did not finish, with the reason, and the notes of its runs."""
    runs = results.runs[["cell_id", "status", "reason", NOTES]].astype(object)
    runs["reason"] = [text.strip().partition("\n")[0][:200] for text in runs["reason"]]
    reasons = merged(text for text in runs["reason"] if text)
    notes = merged(line for text in runs[NOTES] for line in text.splitlines())
    by_cell = {}
    for cell, own in runs.groupby("cell_id", sort=False):
        parts = []
        for status, ended in own[own["status"] != FINISHED].groupby("status", sort=False)["reason"]:
            why = "; ".join(dict.fromkeys(reasons[text] for text in ended if text))
            parts.append(f"{status} in {len(ended)} of {len(own)} seeds" + (f" ({why})" if why else ""))
        kept = int((own["status"] == FINISHED).sum())
        parts += [f"mean over the other {kept}"] if parts and kept else []
        lines = [notes[line] for text in own[NOTES] for line in text.splitlines()]
        by_cell[str(cell)] = [text for text in dict.fromkeys(["; ".join(parts), *lines]) if text]
    return by_cell
