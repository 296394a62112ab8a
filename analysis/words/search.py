"""Sentences about a search: what it tried, what won, and how far its best value flatters it; names of its trials.

Whether a winner is better than the default follows from the findings of the confirmation's grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analysis.findings.search import Optimism, default_trial, near_an_end, value_of
from analysis.labels import Rounding, begun, counted, listed, power_of_ten
from analysis.read.search import ENDINGS, NO_PRUNER, Search, SearchedParameter, SearchWinner
from analysis.schema import LEARNING
from analysis.words.verdicts import amount

_SAMPLERS = {
    "tpe": "TPE",
    "gp": "a Gaussian process",
    "cmaes": "CMA-ES",
    "qmc": "Sobol points",
    "random": "random search",
    "grid": "a grid",
}


def optimism_sentence(optimism: Optimism) -> str:
    """A sentence with a winner's values in the search and at fresh seeds, and their difference."""
    objective, fresh = optimism.objective, optimism.fresh
    rounding = Rounding.of(objective.decimals, [fresh.half_width])
    start = f"{begun(optimism.winner.label)}: {objective.label} at {counted(len(fresh.values), 'fresh seed')}"
    size = amount(objective, fresh.mean, fresh.half_width)
    sentence = (
        f"{start} {size} on validation, {rounding.number(optimism.searched)} in the search: {_gap(optimism, rounding)}"
    )
    if optimism.test is not None and math.isfinite(optimism.test.mean):
        sentence += f"; on test data {amount(objective, optimism.test.mean, optimism.test.half_width)}"
    return f"{sentence}."


def _gap(optimism: Optimism, rounding: Rounding) -> str:
    half, own = optimism.half_width, "the search's best value" if optimism.alone else "the search's value"
    size = rounding.measured(abs(optimism.gap), half)
    if optimism.gap <= 0:
        return f"not optimistic here (fresh seeds are better by {size})" if optimism.gap else "not optimistic here"
    if math.isnan(half):
        return f"{own} looks optimistic by {size} (one seed: no interval)"
    if optimism.gap <= half:
        return f"{own} looks optimistic by {size}, which so few seeds cannot tell from 0"
    return f"{own} was optimistic by {size}"


def search_sentences(search: Search, confirmed: Sequence[Optimism] | None = None) -> list[str]:
    """Sentences on what was searched, what pruning saved, which parameters mattered, what won beside the default,
    and how optimistic the search was, if it was confirmed."""
    sentences = [_searched(search), *_failures(search), *_saved(search), *_importances(search)]
    if not search.head.winners:
        return [*sentences, "No trial has finished, so nothing was found."]
    default = default_trial(search)
    for winner in search.head.winners:
        sentences += [_won(search, winner, default), *_cut_off(search, winner)]
    if all(winner.trial == default for winner in search.head.winners):
        end = " so far." if search.goes_on else ": there is nothing to confirm."
        return [*sentences, f"No trial has beaten the default{end}"]
    if default not in {winner.trial for winner in search.head.winners}:
        sentences.append(_default(search, default))
    if confirmed is None:
        return [*sentences, _UNCONFIRMED.format(name=search.head.name)]
    return sentences + ([optimism_sentence(optimism) for optimism in confirmed] or [_UNKNOWN])


_UNCONFIRMED = (
    "Not confirmed at fresh seeds yet, unless {name}-confirmed lies beside this folder: the best of many noisy values "
    "is the best partly by luck, so such a value is optimistic."
)

_UNKNOWN = (
    "The confirmation has no validation value of a winner at a fresh seed, so how optimistic this was is not known."
)


def _searched(search: Search) -> str:
    """Parameters, trials by how they ended, sampler, and the data that they were evaluated on."""
    head = search.head
    labels = listed(list(dict.fromkeys(parameter.label for parameter in head.parameters)))
    counts = [(status, int((search.trials["status"] == status).sum())) for status in ENDINGS]
    ended = ", ".join(f"{n} {status}" for status, n in counts if n)
    seeds = f"{'seed' if len(head.seeds) == 1 else 'seeds'} {listed([str(seed) for seed in head.seeds])}"
    sampler = _SAMPLERS.get(head.sampler, head.sampler)
    if head.sampler in LEARNING and len(search.trials) <= head.startup:
        sampler = f"random search ({sampler} begins after {head.startup})"
    goals = listed([objective.label for objective in head.objectives])
    trials = counted(len(search.trials), "trial") + (f" ({ended})" if ended else "")
    return f"Searched {labels} for {goals} in {trials} by {sampler}, on validation data at {seeds}."


def _failures(search: Search) -> list[str]:
    """The most frequent reason for which trials failed, with its count."""
    reasons = search.trials.loc[search.trials["status"] == "failed", "reason"]
    if reasons.empty:
        return []
    most = reasons.value_counts(sort=True).index[0]
    return [f"Failed, {int((reasons == most).sum())} of {len(reasons)}: {most}"]


def _saved(search: Search) -> list[str]:
    head = search.head
    if head.pruner == NO_PRUNER or not head.full_steps or head.trained_steps is None:
        return []
    share = max(0.0, 1 - head.trained_steps / head.full_steps)
    if search.goes_on and not (search.trials["status"] == "pruned").any():
        return []
    return [f"Pruning ({head.pruner}) saved {100 * share:.0f} % of the training steps."]


def _importances(search: Search) -> list[str]:
    """A sentence on the share of the variation among trials that goes with each parameter, which says that this is no
    ablation; of a search by an earlier version as a range."""
    head = search.head
    ranges = {name: {key: (share, share) for key, share in of.items()} for name, of in head.importances.items()}
    ranges |= head.importance_ranges
    shares = {objective.label: ranges[objective.name] for objective in head.objectives if ranges.get(objective.name)}
    if not shares:
        return []
    n = head.importance_trials or len(search.finished)
    ranked = "; ".join(f"in {label} {_ranked(search, ranges)}" for label, ranges in shares.items())
    resampled = "; the range over resamplings of the trials, nine of ten" if head.importance_ranges else ""
    left_out = any(parameter.when for parameter in head.parameters)
    return [
        f"Share of the variation among {n} finished trials that goes with each parameter (fANOVA{resampled}): "
        f"{ranked}. It is no ablation: trials were drawn where the search looked, in the ranges that it was given."
        + (" Parameters that not all trials have are left out." if left_out else "")
    ]


def _ranked(search: Search, ranges: Mapping[str, tuple[float, float]]) -> str:
    """The parameters with their shares, largest first, such as "β_T 50 to 82 %, β_1 18 to 50 %"."""
    ordered = sorted(ranges.items(), key=lambda item: -sum(item[1]))
    parts = []
    for name, (low, high) in ordered:
        parameter = search.parameter(name)
        share = f"{100 * low:.0f} to " if low < high else ""
        parts.append(f"{parameter.label if parameter else name} {share}{100 * high:.0f} %")
    return ", ".join(parts)


def _won(search: Search, winner: SearchWinner, default: int | None) -> str:
    """A sentence on the winner, with its parameters and its values in the search; it says if it is the default."""
    objectives = [o for o in search.head.objectives if o.name in winner.values]
    values = listed([f"{o.label} {amount(o, winner.values[o.name], math.nan)}" for o in objectives])
    alone = len(search.head.objectives) == 1
    so_far = " so far" if search.goes_on else ""
    own = f"the search's own best value{so_far}" if alone else f"the search's own values{so_far}"
    name = begun(winner.label)
    if winner.trial == default:
        name = f"The {DEFAULT}" if alone else f"{name}, which is the {DEFAULT}"
    return f"{name}: {assignment(search, winner.params)}: {values} on validation, {own}."


def _cut_off(search: Search, winner: SearchWinner) -> list[str]:
    """A warning where the winner lies at the end of a range, so that better values may lie beyond it."""
    warnings = []
    for parameter in search.head.parameters:
        end = near_an_end(parameter, winner.params.get(parameter.name, ""))
        if end:
            ends = [value_text(parameter, str(value)) for value in (parameter.low, parameter.high)]
            where = "lower" if end == "low" else "upper"
            warnings.append(
                f"Its {parameter.label} lies at the {where} end of the range {ends[0]} to {ends[1]}: a wider range may "
                f"hold a better value ({parameter.name}=…)."
            )
    return warnings


def _default(search: Search, trial: int | None) -> str:
    """A sentence on the default as a trial of the same search, or on why it has no value."""
    start = f"The {DEFAULT}" + (f", {assignment(search, search.head.default)}" if search.head.default else "")
    if trial is None:
        return f"{start}, was no trial of this search."
    values_of = [(o, value_of(search, trial, o.name)) for o in search.head.objectives]
    if any(math.isnan(value) for _, value in values_of):
        status = search.trials.loc[search.trials["trial"] == trial, "status"].iloc[0]
        return f"{start}: trial {trial} of this search, {status}."
    values = listed([f"{o.label} {amount(o, value, math.nan)}" for o, value in values_of])
    return f"{start}: {values} as trial {trial} of the same search."


DEFAULT = "default"
DIGITS = 3  # significant digits of a parameter's value


def value_text(parameter: SearchedParameter, value: float | str) -> str:
    """A value as readers write it; "–" if the trial lacks this parameter. A default need not be a number."""
    if parameter.kind == "choice" or value == "":
        return str(value) or "–"
    try:
        number = float(value)
    except ValueError:
        return str(value)
    if math.isnan(number):
        return "–"
    if parameter.kind == "int":
        return f"{number:.0f}".replace("-", "−")
    if abs(number) >= 10.0**DIGITS and abs(number) < 1e6:
        return f"{number:.0f}".replace("-", "−")
    text = f"{number:.{DIGITS}g}"
    if "e" not in text:
        return text.replace("-", "−")
    factor, exponent = text.split("e")
    scale = power_of_ten(int(exponent))
    return scale if factor == "1" else f"{factor}·{scale}".replace("-", "−")


def assignment(search: Search, values: Mapping[str, str]) -> str:
    """The parameters with a value, in the order of the search, such as "β_1 = 0.000212, β_T = 0.031"."""
    named = [parameter for parameter in search.head.parameters if values.get(parameter.name, "") != ""]
    return ", ".join(f"{parameter.label} = {value_text(parameter, values[parameter.name])}" for parameter in named)


def names_of(search: Search) -> dict[int, list[str]]:
    """Trial → its names: a winner's label, the default."""
    named: dict[int, list[str]] = {}
    for winner in search.head.winners:
        named.setdefault(winner.trial, []).append(winner.label)
    default = default_trial(search)
    if default is not None:
        # Nothing has beaten the default, so it is not called a winner.
        alone = len(search.head.objectives) == 1
        named[default] = [*([] if alone else named.get(default, [])), DEFAULT]
    return named
