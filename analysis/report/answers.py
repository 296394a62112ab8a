"""The report's answers: what to take for likelihood and for samples, what was told apart, and what noise there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from analysis.findings.comparisons import share_of_images
from analysis.findings.expectations import Fate, outcomes
from analysis.findings.factorial import Factorial, factorial
from analysis.findings.verdicts import CellComparison, Findings, amount, baseline
from analysis.notation import Rounding, begun, percent, probability, two_digits
from analysis.read.runs import GridResults
from analysis.report.page import Answer, Block, Fact, FactTable, Items, Section, Text
from analysis.statistics.paired import Verdict

_EXPLORATORY = "Exploratory: seeds were added after a first look"
_ONE_SEED = "One seed: no verdict"
_FRESH = "Last in a line: how many fresh seeds, alone, would confirm the difference if it is what it looks like."


def verdict(grid: GridResults, found: Sequence[Findings]) -> Section:
    """What to take, per metric that decides."""
    if not found:
        why = ("No cell has a likelihood, a FID or an energy distance, so there is nothing to decide by.",)
        return Section("verdict", "Verdict", (Answer("No verdict.", "", "", why),))
    return Section("verdict", "Verdict", tuple(_answer(grid, one) for one in found))


def _answer(grid: GridResults, found: Findings) -> Answer:
    """Which cell to take, with what else it could be; no recommendation where nothing is compared."""
    use = found.purpose
    mark = _EXPLORATORY if found.exploratory else ""
    if found.best is None or len(found.ranked) < 2 or found.shared:
        return Answer(f"For {use}: nothing to choose between.", "", "", (found.headline,), mark)
    name, others = found.cells[found.best].name, len(found.leading - {found.best})
    why = (found.headline, *_beyond_floor(grid, found))
    if not found.leading:
        return Answer(f"For {use} no verdict; best value:", name, ".", why, mark or _ONE_SEED)
    if not others:
        return Answer(f"For {use} take", name, ".", why, mark)
    rest = f", or {'the one' if others == 1 else f'any of the {others}'} that cannot be told from it."
    return Answer(f"For {use} take", name, rest, why, mark)


def _beyond_floor(grid: GridResults, found: Findings) -> tuple[str, ...]:
    """A caution where the best is better than real data: the floor's reference set is what was trained on."""
    floor, metric = grid.meta.floors.get(found.metric.name), found.metric
    if floor is None or found.best is None:
        return ()
    if metric.sign * (found.estimates[found.best].mean - floor.value) <= 0:
        return ()
    value = amount(metric, floor.value, math.nan)
    return (
        f"That is beyond the {value} of {floor.label}, which does not mean better than real: samples resemble the "
        "training images that they are compared with.",
    )


_OWN_FAMILY = (
    "These claims are adjusted among themselves, for they are few and were written down beforehand: a difference can "
    "have a smaller p here than among all comparisons with the baseline."
)


def published(grid: GridResults) -> Section | None:
    """What became of each finding of a paper that was written down before the grid was run."""
    found = outcomes(grid)
    lists = [
        Items(f"{begun(word)} ({len(told)} of {len(found)})", tuple(told))
        for word in get_args(Fate)
        if (told := [f"{one.claim.claim} ({one.claim.source}): {one.why}." for one in found if one.fate == word])
    ]
    return Section("published", "Against the papers", (*lists, Text(_OWN_FAMILY))) if lists else None


def comparisons(found: Sequence[Findings], pictures: Sequence[Block]) -> Section | None:
    """Every comparison in words, per metric and verdict; None where no two cells share two seeds."""
    known = [one for one in found if any(pair.comparison.n > 1 for pair in one.pairs)]
    blocks = [block for one in known for block in _told(one)]
    if not blocks:
        return None
    return Section("comparisons", "What was told apart", (*pictures, *blocks))


def _told(found: Findings) -> list[Items]:
    """A list per verdict. Where all are compared with one cell, the title says with which, and it is said once."""
    bases = {pair.b.name for pair in found.pairs}
    base = bases.pop() if len(bases) == 1 and len(found.pairs) > 1 else None
    lists = []
    for word in get_args(Verdict):
        pairs = [pair for pair in found.pairs if pair.verdict == word]
        lines = tuple(_line(pair, found) if base is None else _against(pair, found) for pair in pairs)
        count = f"({len(pairs)} of {len(found.pairs)})"
        note = _FRESH if base is not None and any(pair.fresh_seeds for pair in pairs) and word == "cannot tell" else ""
        lists += [Items(f"{found.metric.label}: {_title(word, base)} {count}", lines, note)] if lines else []
    return lists


def _title(word: Verdict, base: str | None) -> str:
    if word == "cannot tell":
        return "cannot tell at this budget" if base is None else f"cannot be told from {base} at this budget"
    return "told apart" if base is None else f"{word} than {base}"


def _line(pair: CellComparison, found: Findings) -> str:
    """The sentence without its metric, which the title names."""
    text = pair.sentence.removeprefix(f"{pair.metric.label}: ")
    asked = found.exploratory and pair.verdict != "cannot tell" and pair.fresh_seeds
    return begun(text) + (f" Exploratory; {pair.confirmation}." if asked else "")


def _against(pair: CellComparison, found: Findings) -> str:
    """What the title leaves to say: which cell, by how much, and what would confirm it."""
    if math.isnan(pair.comparison.p) or pair.comparison.difference == pair.comparison.half_width == 0:
        return _line(pair, found)
    size = amount(pair.metric, abs(pair.comparison.difference), pair.comparison.half_width)
    toward = "better" if pair.metric.sign * pair.comparison.difference > 0 else "worse"
    n, p = pair.fresh_seeds, probability(pair.adjusted)
    if pair.verdict == "cannot tell":
        return f"{pair.a.name}: looks {toward} by {size} (p {p})" + (f"; {n} fresh seeds." if n else ".")
    confirm = f"; {pair.confirmation}" if found.exploratory and n else ""
    return f"{pair.a.name}: by {size} (p {p}){confirm}."


def axes(grid: GridResults, found: Sequence[Findings]) -> Section | None:
    """Which axes matter and which depend on each other, in a grid of several."""
    known = [one for metric in found if (one := factorial(grid, metric.metric)) is not None]
    blocks = [block for one in known for block in _effects(one)]
    return Section("axes", "Which axes matter", tuple(blocks)) if blocks else None


def _effects(one: Factorial) -> list[Block]:
    start = f"{one.metric.label}: "
    return [Items(one.metric.label, tuple(text.removeprefix(start) for text in one.sentences)), *_averages(one)]


def _averages(one: Factorial) -> list[FactTable]:
    """A row per level, as a reader compares them: averaged over all other axes."""
    if not one.averages:
        return []
    notes = dict.fromkeys(f"{average.axis.label} {average.note}" for average in one.averages if average.note)
    start = f"{one.metric.label} averaged over the other axes: mean ± 95 % interval over seeds."
    caption = f"{start} {'; '.join(notes)}." if notes else start
    rounding = Rounding.of(one.metric.decimals, [average.half_width for average in one.averages])
    rows: list[tuple[Fact, ...]] = [
        (f"{average.axis.label}: {average.level}", rounding.measured(average.mean, average.half_width))
        for average in one.averages
    ]
    return [FactTable(caption, ("Level", one.metric.head), tuple(rows))]


def noise(grid: GridResults, found: Sequence[Findings]) -> Section | None:
    """Where the intervals come from: seeds, drawing samples, the held-out images."""
    told = [(_between_seeds(one), _images(grid, one), _by_image(grid, one)) for one in found]
    lines = [line for of_metric in told for line in of_metric if line]
    return Section("noise", "Noise", tuple(Text(line) for line in lines)) if lines else None


def _between_seeds(found: Findings) -> str:
    seeds, drawn = found.noise()
    if math.isnan(seeds):
        return ""
    start = f"{found.metric.label}: between seeds a cell's value has a standard deviation of {_size(found, seeds)}"
    if math.isnan(drawn):
        return f"{start} (typical of the cells)."
    share = min(drawn**2 / seeds**2, 1.0) if seeds else 1.0
    return (
        f"{start} (typical of the cells). Drawing other samples from the same networks alone gives "
        f"{_size(found, drawn)}, {percent(share)} of that variance: more generated sets lessen this part, "
        "more seeds lessen both."
    )


def _images(grid: GridResults, found: Findings) -> str:
    """What of a difference's error is the choice of held-out images."""
    known = [pair.comparison for pair in found.pairs if pair.comparison.n > 1]
    if found.metric.kind != "nll" or not known:
        return ""
    if grid.images.empty:
        return (
            f"{found.metric.label}: values per image are not known, so the intervals hold for these held-out images "
            "and do not say what others would show."
        )
    of_images = sum(one.image_error**2 for one in known)
    total = of_images + sum(one.seed_sd**2 / one.n for one in known)
    share = of_images / total if total else 0.0
    return (
        f"{found.metric.label}: {percent(share)} of the variance of a difference (over the {len(known)} compared) is "
        "the choice of held-out images, which more seeds do not lessen."
    )


def _by_image(grid: GridResults, found: Findings) -> str:
    """On how many images the best cell is better than the baseline, or than the second best where it is that."""
    if len(found.ranked) < 2:
        return ""
    best = found.cells[found.ranked[0]]
    base = baseline(grid, found.cells)
    other = found.cells[found.ranked[1]] if base is None or base is best else base
    share = share_of_images(grid, found.metric, best, other)
    if share is None:
        return ""
    return (
        f"{found.metric.label}: {best.name} is better than {other.name} on {percent(share.mean)} of the {share.n} "
        f"held-out images (95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %, bootstrapped over images)."
    )


def _size(found: Findings, sd: float) -> str:
    """Two digits of a standard deviation, with the metric's unit."""
    return f"{two_digits(sd)} {found.metric.unit}" if found.metric.unit else two_digits(sd)
