"""The sentences of a grid that its file does not hold: on equal terms, on what was left out, on its question."""

from __future__ import annotations

from ablations.grids.file import AxisSpec, GridFile
from ablations.grids.fractional import model_matrix

EQUAL_TERMS = {
    "time_input": ("log_snr", "the network is told the log-SNR instead of t"),
    "first_step": ("beta_1", "σ_1² is β_1"),
}
"""Settings of every cell in a grid that compares schedules, which differ in what t and their first step mean."""


def equal_terms(varied: set[str], given: set[str]) -> dict[str, tuple[str, str]]:
    """Those of `EQUAL_TERMS` that hold in a grid which varies these keys and is given those."""
    compares = any(key.split(".")[0] == "schedule" for key in varied)
    return {key: term for key, term in EQUAL_TERMS.items() if compares and key not in varied | given}


def terms_footnote(terms: list[str]) -> list[str]:
    """A footnote that says what these keys of `EQUAL_TERMS` mean for the cells; none for none."""
    if not terms:
        return []
    meanings = " and ".join(EQUAL_TERMS[key][1] for key in terms)
    return [f"Because schedules are compared, {meanings} in every cell ({', '.join(_setting(key) for key in terms)})."]


def _setting(key: str) -> str:
    return f"{key}={EQUAL_TERMS[key][0]}"


def primary_footnote(file: GridFile, cells: list[dict[str, str]]) -> list[str]:
    """A footnote on the declared comparisons whose cells were not asked for."""
    lost = [pair for pair in file.primary if not all(_is_there(file, side, cells) for side in (pair.compare, pair.to))]
    if not lost:
        return []
    named = "; ".join(f"{file.cell_name(pair.compare)} against {file.cell_name(pair.to)}" for pair in lost)
    count = f"{len(lost)} of {len(file.primary)}"
    return [f"Declared, and not compared, since their cells were not asked for ({count}): {named}."]


def _is_there(file: GridFile, levels: dict[str, str], crossings: list[dict[str, str]]) -> bool:
    return any((file.baseline | levels).items() <= crossing.items() for crossing in crossings)


def fraction_footnote(n: int, crossings: list[dict[str, str]]) -> list[str]:
    """A footnote that n of the crossings are run; none where all are."""
    if n == len(crossings):
        return []
    effects = "main effects and two-way interactions"
    short = "" if n >= model_matrix(crossings).shape[1] else f", too few to tell all {effects} apart"
    return [f"{n} of {len(crossings)} crossings, a D-optimal choice for {effects} (fraction={n}){short}."]


def words(levels: dict[str, str]) -> str:
    """Levels as a command line has them."""
    return " ".join(f"{axis}={level}" for axis, level in levels.items())


def question_of(axes: list[AxisSpec]) -> str:
    """The question of a grid that is asked on the command line."""
    if not axes:
        return "What does the baseline score?"
    return f"What {'does' if len(axes) == 1 else 'do'} {' and '.join(axis.name for axis in axes)} change?"
