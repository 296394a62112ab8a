"""Sentences about a grid that its file does not contain: the equal terms of schedules, and what was left out."""

from __future__ import annotations

from ablations.grids.file import ClaimSpec, GridFile, PrimarySpec
from ablations.metrics.registry import MEASURED_KINDS, is_default
from ablations.settings.cell import Cell

EQUAL_TERMS = {
    "time_input": ("log_snr", "the network is told the log-SNR instead of t"),
    "first_step": ("beta_1", "σ_1² is β_1"),
}
"""Settings of every cell in a grid that compares schedules, which otherwise differ in the meaning of t and of their
first step."""


def equal_terms(varied: set[str], given: set[str]) -> dict[str, tuple[str, str]]:
    """The settings of `EQUAL_TERMS` that apply in a grid which varies some keys, while others are given."""
    compares = any(key.split(".")[0] == "schedule" for key in varied)
    return {key: term for key, term in EQUAL_TERMS.items() if compares and key not in varied | given}


def terms_footnote(terms: list[str]) -> list[str]:
    """A footnote that says what these keys of `EQUAL_TERMS` mean for the cells; none for none."""
    if not terms:
        return []
    settings = [f"{key}={EQUAL_TERMS[key][0]}" for key in terms]
    meanings = " and ".join(EQUAL_TERMS[key][1] for key in terms)
    return [f"Because schedules are compared, {meanings} in every cell ({', '.join(settings)})."]


def compared(file: GridFile, crossings: list[dict[str, str]]) -> tuple[list[PrimarySpec], list[str]]:
    """The declared comparisons for which some cells were asked for, and a footnote on those whose cells were not."""
    found = [
        [all(any(side.items() <= cell.items() for cell in crossings) for side in both) for both in file.sides([pair])]
        for pair in file.primary
    ]
    lost, every = sum(each.count(False) for each in found), sum(map(len, found))
    note = f"Declared, and not compared, since their cells were not asked for: {lost} of {every}."
    kept = [pair for pair, each in zip(file.primary, found, strict=True) if any(each)]
    return kept, [note] if lost else []


def tested(file: GridFile, crossings: list[dict[str, str]], cells: list[Cell]) -> tuple[list[ClaimSpec], list[str]]:
    """The papers' claims whose levels were asked for, and notes on those that are not tested."""
    levels = {level for crossing in crossings for level in crossing.items()}
    named = [{pair for cell in claim.cells for pair in cell.items()} for claim in file.expects]
    claims = [claim for claim, of_claim in zip(file.expects, named, strict=True) if of_claim <= levels]
    unmeasured = [claim for claim in claims if not any(measures(cell, claim.metric) for cell in cells)]
    reasons = {
        "their levels were not asked for": len(file.expects) - len(claims),
        "their metric is not measured here": len(unmeasured),
    }
    about = "Papers' claims that are not tested, since"
    return claims, [f"{about} {why}: {n} of {len(file.expects)}." for why, n in reasons.items() if n]


def measures(cell: Cell, metric: str) -> bool:
    """True where a cell has such a metric of samples; True for metrics of other kinds."""
    if metric in MEASURED_KINDS:
        return True
    judged = is_default(metric, cell.data.extractor) or metric in cell.evaluation.metrics
    return judged and "test" in cell.evaluation.quality


def words(levels: dict[str, str]) -> str:
    """Levels as a command line has them."""
    return " ".join(f"{axis}={level}" for axis, level in levels.items())
