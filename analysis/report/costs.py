"""The report's costs: a table of each cell's costs, the differences between them, and the cells on the fronts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analysis.findings.answers import Answers
from analysis.findings.best import MOST_ROWS, best
from analysis.findings.cells import CellRuns
from analysis.findings.costs import (
    AUTOENCODER_FLOPS,
    MEMORY,
    PARAMETERS,
    SAME_FLOPS,
    SAME_SECONDS,
    SAMPLE_FLOPS,
    Cost,
    included,
)
from analysis.labels import Rounding, counted, duration, some
from analysis.report.another_seed import seed_seconds
from analysis.report.page import Block, FactTable, Items, Section, Text
from analysis.schema import RUNG_SECONDS

Write = Callable[[float], str]
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def cost(answers: Answers, pictures: Sequence[Block]) -> Section | None:
    """The section on time, operations and memory; None where nothing is known."""
    cut = best(answers, MOST_ROWS)
    columns = [column for column in _columns(cut) if any(text != "–" for text in column[1])]
    if not columns:
        return None
    rows = tuple((cell.name, *(texts[i] for _, texts in columns)) for i, cell in enumerate(cut.cells))
    on = f"Times were measured on {answers.meta.device}." if answers.meta.device else ""
    parts = ("Cost of a cell: mean over its seeds, in brackets their range.", on, cut.left_out("runs.csv"))
    caption = " ".join(text for text in parts if text)
    sheet = FactTable(caption, ("Cell", *(head for head, _ in columns)), rows)
    sentences: list[Block] = [Text(words) for words in (in_all(answers), _differences(answers)) if words]
    return Section("cost", "Cost", (*sentences, *_fronts(answers), *pictures, sheet), _gist(answers))


def in_all(answers: Answers) -> str:
    """A sentence on the cost of the whole grid, over all commands, and of a seed of it; "" where unknown."""
    work, clock = answers.costs.work, answers.meta.seconds
    if not work:
        return ""
    each = f"{duration(seed_seconds(answers))} for a seed of all {counted(len(answers.cells), 'cell')}"
    by_clock = (
        f" By the clock, with workers side by side, the commands took {duration(clock)}; what had been computed before "
        "they began is not in that."
        if clock
        else ""
    )
    whole = f"{duration(work)} of computing (training, scoring, drawing)"
    return f"{whole}, {each}; what cells share counts once.{by_clock}"


def _gist(answers: Answers) -> str:
    """The total cost, and the cost of a training, in few words."""
    seconds = [value for cell in answers.costs.train_seconds.values for value in cell.values()]
    low, high = (duration(value) for value in (min(seconds), max(seconds))) if seconds else ("", "")
    each = f"a training {low}" if low == high else f"a training {low} to {high}"
    parts = (
        f"{duration(answers.costs.work)} of computing in all" if answers.costs.work else "",
        each if seconds else "",
        f"on {answers.meta.device}" if answers.meta.device and seconds else "",
    )
    return ", ".join(part for part in parts if part)


def _columns(answers: Answers) -> list[tuple[str, list[str]]]:
    """The head and the texts of each column."""
    cells, costs = answers.cells, answers.costs
    seconds, also, drawn = costs.train_seconds.values, included(cells), costs.sampling
    size, unit = _time_unit([value for cell in seconds for value in cell.values()])
    small, small_unit = _small_time_unit([value for cell in drawn.values for value in cell.values()])
    return [
        (f"Training operations{also} (FLOPs)", [_span(values, si) for values in costs.train_flops.values]),
        ("of these the autoencoder's (FLOPs)", [_span(values, si) for values in _known(cells, AUTOENCODER_FLOPS)]),
        (f"Training time{also} ({unit})", [_span(values, _scaled(size)) for values in seconds]),
        (f"Scoring at rungs ({unit})", [_span(values, _scaled(size)) for values in _known(cells, RUNG_SECONDS)]),
        ("Operations per sample (FLOPs)", [_span(values, si) for values in _known(cells, SAMPLE_FLOPS)]),
        (
            f"{drawn.label.capitalize()} ({small_unit})",
            [_span(values, _scaled(small)) for values in drawn.values],
        ),
        ("Network parameters", [_span(values, si) for values in _known(cells, PARAMETERS)]),
        ("Peak memory (bytes)", [_span(values, si) for values in _known(cells, MEMORY)]),
    ]


def _known(cells: Sequence[CellRuns], metric: str) -> list[dict[int, float]]:
    return [cell.estimate(metric).values for cell in cells]


def _span(values: dict[int, float], write: Write) -> str:
    """The mean, with the range of seeds if it differs as written."""
    if not values:
        return "–"
    low, high = write(min(values.values())), write(max(values.values()))
    mean = write(sum(values.values()) / len(values))
    return mean if low == high else f"{mean} ({low}–{high})"


def si(value: float) -> str:
    """A number by three digits, with the prefix of a power of 1000."""
    size, prefix = next(((size, prefix) for size, prefix in _PREFIXES if abs(value) >= size), (1.0, ""))
    return f"{Rounding().number(value / size)}\u00a0{prefix}".rstrip("\u00a0") if value else "0"


def _scaled(size: float) -> Write:
    return lambda value: Rounding().number(value / size)


def _time_unit(seconds: Sequence[float]) -> tuple[float, str]:
    largest = max(seconds, default=0.0)
    return (3600.0, "h") if largest >= 3 * 3600 else (60.0, "min") if largest >= 600 else (1.0, "s")


def _small_time_unit(seconds: Sequence[float]) -> tuple[float, str]:
    return (1e-3, "ms") if max(seconds, default=1.0) < 1 else (1.0, "s")


def _differences(answers: Answers) -> str:
    """Sentences on the differences between cells' trainings in operations and, if these do not matter, in time."""
    flops, used = answers.costs.train_flops, answers.costs.training
    means = [flops.mean(i) for i, values in enumerate(flops.values) if values]
    if len(means) > 1 and not flops.differs:
        operations = f"All cells' trainings take the same operations to {100 * SAME_FLOPS:.0f} %."
    elif len(means) > 1:
        operations = f"Trainings differ in their operations by up to a factor of {max(means) / min(means):.3g}."
    else:
        operations = ""
    untold = used.exact or answers.preliminary or len(answers.cells) < 2 or len(answers.meta.seeds) < 2
    times = "" if untold else _times(used)
    return f"{operations} {times}".strip()


def _times(used: Cost) -> str:
    timed = sum(map(bool, used.values))
    pairs, apart = timed * (timed - 1) // 2, int(used.known_dearer.sum())
    how = f"longer at every seed, and by more than {100 * SAME_SECONDS:.0f} % in the mean"
    if not apart:
        return f"No two cells' training times are shown to differ ({how}), so they count as equal."
    return f"Training times are shown to differ in {apart} of {pairs} pairs of cells ({how}); the rest count as equal."


def _fronts(answers: Answers) -> list[Block]:
    """The list of the cells on each front, with the rule for it."""
    lines = []
    for purchase in answers.purchases:
        names = [cell.name for cell, on in zip(answers.cells, purchase.front, strict=True) if on]
        if names:
            only = " alone" if len(names) == 1 else ""
            lines.append(f"{purchase.answer.metric.label} against {purchase.cost.label}: {some(names)}{only}.")
    if not lines:
        return []
    if len(answers.meta.seeds) < 2:
        rule = "With one seed, a cell is on it where none that costs no more has the better value."
    else:
        rule = "A cell is on it where no cell that costs no more is known to be better."
    return [Items("On the Pareto front", tuple(lines), rule)]
