"""The words and tables of a search, for its page and a terminal: trials, the best of them, how optimistic they were.

Whether a winner is better than the default, the comparisons of its confirmation say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup

from analysis.labels import Rounding, begun, counted, listed
from analysis.report.page import Part, table
from analysis.schema import TRIAL
from analysis.search import Search


def search_part(search: Search, optimism: pd.DataFrame | None, figures: Mapping[str, Markup]) -> Part:
    """The search's part of a page: a sentence on what was tried, three tables, figures."""
    blocks = [searched(search, optimism)]
    for caption, of in tables(search, optimism).items():
        blocks += [caption, table(list(map(str, of)), of.to_numpy().tolist())]
    return Part("search", "Search", [*blocks, *figures.values()], counted(len(search.trials), "trial"), opened=True)


def terminal_search(search: Search, optimism: pd.DataFrame | None = None) -> str:
    """The same for a terminal."""
    shown = [f"{caption}\n{of.to_string(index=False)}" for caption, of in tables(search, optimism).items()]
    return "\n\n".join([search.head.question, searched(search, optimism), *shown])


def tables(search: Search, optimism: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Caption → table, without those that have no rows."""
    captioned = {
        "The best trials, by validation data at the search's own seeds:": best(search),
        "At fresh seeds the best of many noisy values are worse on average:": optimistic(search, optimism),
        "Share of the variation among trials, most of them drawn where values are good:": importances(search),
    }
    return {caption: frame for caption, frame in captioned.items() if not frame.empty}


def searched(search: Search, optimism: pd.DataFrame | None) -> str:
    """Parameters, trials by how they ended, sampler, seeds, what pruning saved, and whether anything was found."""
    head, trials = search.head, search.trials
    labels, goals = ([of.label for of in each] for each in (head.parameters, head.objectives))
    counts = ", ".join(f"{n} {status}" for status, n in trials["status"].value_counts(sort=False).items())
    how = f"by {head.sampler} ({counts}), on validation data at seed {listed(list(map(str, head.seeds)))}"
    text = f"Searched {listed(labels)} for {listed(goals)} in {len(trials)} trials {how}."
    if head.trained_steps and head.full_steps and head.trained_steps < head.full_steps:
        text += f" Pruning ({head.pruner}) saved {100 - 100 * head.trained_steps / head.full_steps:.0f} % of the steps."
    if not head.winners:
        return f"{text} No trial has finished, so nothing was found."
    if set(names(search).values()) == {"default"}:
        return f"{text} No trial has beaten the default."
    return text if optimism is not None else f"{text} What was found is not confirmed at fresh seeds here."


def names(search: Search) -> dict[int, str]:
    """The names of trials: winners, and the default, with which a search begins if its ranges have it."""
    default = {of.name: "–" for of in search.head.parameters} | search.head.default
    first = {of.name: written(search.trials[of.column].iloc[0]) for of in search.head.parameters}
    named = {winner.trial: winner.label for winner in search.head.winners}
    return named | ({int(search.trials[TRIAL].iloc[0]): "default"} if first == default else {})


def best(search: Search) -> pd.DataFrame:
    """The five best trials, with two objectives those that no other is better than in both; and the default below."""
    head, named, rows = search.head, names(search), []
    goals = [of.name for of in head.objectives]
    ordered = search.finished.sort_values(goals, ascending=[of.sign < 0 for of in head.objectives], kind="stable")
    cost = -head.objectives[-1].sign * ordered[goals[-1]]
    front = ordered.head(5) if len(goals) == 1 else ordered[cost < cost.cummin().shift(fill_value=math.inf)]
    default = ordered[ordered[TRIAL].map(named).eq("default") & ~ordered[TRIAL].isin(front[TRIAL])]
    for _, line in pd.concat([front, default]).iterrows():
        name = f"{line[TRIAL]} ({named[line[TRIAL]]})" if line[TRIAL] in named else str(line[TRIAL])
        values = [Rounding((of.decimals or 2) + 1, 4).number(float(line[of.name])) for of in head.objectives]
        rows.append([name, *(written(line[of.column]) for of in head.parameters), *values])
    heads = ["Trial", *(of.label for of in head.parameters), *(of.head for of in head.objectives)]
    return pd.DataFrame(rows, columns=heads)


def optimistic(search: Search, optimism: pd.DataFrame | None) -> pd.DataFrame:
    """Each winner's value in the search beside those at fresh seeds."""
    objectives, rows = {of.name: of for of in search.head.objectives}, []
    for _, row in pd.DataFrame(optimism).iterrows():
        of = objectives[row["objective"]]
        rounding = Rounding.of(of.decimals, [row["half_width"]])
        pairs = (("fresh", "half_width"), ("gap", "gap_half_width"), ("test", "test_half_width"))
        fresh, gap, test = (rounding.measured(row[mean], row[half]) for mean, half in pairs)
        name = f"{begun(row['winner'])}, {of.label}"
        rows.append([name, rounding.number(row["searched"]), fresh, str(row["n"]), gap, test])
    heads = ["Winner", "In the search", "At fresh seeds", "n", "Optimistic by", "On test data"]
    return pd.DataFrame(rows, columns=heads)


def importances(search: Search) -> pd.DataFrame:
    """The share of the variation among trials that goes with each parameter, a range where resamplings gave one."""
    head, rows = search.head, []
    for of in head.parameters:
        shares = [head.importances.get(to.name, {}).get(of.name, math.nan) for to in head.objectives]
        ranges = [head.importance_ranges.get(to.name, {}).get(of.name) for to in head.objectives]
        ends = [among or (share,) for share, among in zip(shares, ranges, strict=True)]
        if not math.isnan(shares[0]):
            rows.append([of.label, *(" to ".join(f"{100 * end:.0f}" for end in each) + " %" for each in ends)])
    return pd.DataFrame(rows, columns=["Parameter", *(of.label for of in head.objectives)])


def written(value: float | str) -> str:
    """A parameter's value as a command has it; "–" if the trial lacks this parameter."""
    return value or "–" if isinstance(value, str) else "–" if math.isnan(value) else f"{value:.6g}"
