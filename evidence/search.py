"""The quality of searches where the answer is known, as Markdown. It rebuilds `evidence/search.md`:

    python -m evidence.search repeats=20 trials=40 out=evidence/search.md

A dense sweep trains every cell of a small space on 2-D data. Searches of the same space are then held to it, many times
over with other draws: how far the best of their trials is from the sweep's best, as a share of the sweep's range. And
the same proposals are run with and without a pruner: the training steps that it saves, and whether the winner changes.

Trials that the sweep has trained already cost nothing, so the repeats are quick.
"""

from __future__ import annotations

import platform
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ablations.settings.arguments import parse_search
from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from evidence.page_command import page_command

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

OPTIONS = {
    "repeats": Option("searches per sampler, each with draws of its own", 10, int),
    "trials": Option("trials of a search", 30, int),
    "results": Option("where trainings are kept, so that the same command continues; by default a temporary folder"),
}

SPACE = [
    "data=mixture2d",
    "network=mlp",
    "schedule=log_snr_linear",
    "horizon=50",
    "training.steps=300",
    "training.report_every=25",
    "schedule.gamma_min=range(-14,-1.5,0.5)",
    "schedule.gamma_max=range(0,10.5,0.5)",
]
SWEEP = [
    "study.sampler=grid",
    f"schedule.gamma_min={','.join(str(-14 + i / 2) for i in range(25))}",
    f"schedule.gamma_max={','.join(str(i / 2) for i in range(21))}",
]
"""Every cell of the space: these words take the place of the ranges."""
WARM = ["training.warmup=30"]
"""Warm-up of trainings that a pruner judges: one of 100 steps would leave a single rung."""
SAMPLERS = ("random", "qmc", "tpe", "gp")
UNDER_WAY = (1, 3, 6, 8, 12)
"""Numbers of trials under way at once."""
PRUNERS = ("none", "median", "halving", "hyperband")
NEAR = 0.05
"""The share of the sweep's range within which the best counts as found."""


@dataclass(frozen=True)
class Sweep:
    """The best and the worst value of all cells."""

    best: float
    worst: float
    cells: int

    def regret(self, value: float) -> float:
        """Distance of a value from the best, as a share of the range."""
        return (value - self.best) / (self.worst - self.best)


def compare(given: dict[str, Any]) -> str:
    """Run what is missing; the tables."""
    if given["repeats"] < 1 or given["trials"] < 11:
        raise InputError(
            "repeats must be at least 1, and trials at least 11, for a sampler begins after 10 random ones"
        )
    with TemporaryDirectory() as temporary:
        return measured(Path(given["results"] or temporary), given["repeats"], given["trials"])


main = page_command("evidence.search", "Compare samplers and pruners.", OPTIONS, compare, "tables")
"""The command; its exit code."""


def measured(results: Path, repeats: int, trials: int) -> str:
    """The tables of samplers, of trials under way, and of pruners."""
    sweep = swept(run(results, "sweep", SWEEP))
    return "\n".join(
        [
            f"`python -m evidence.search repeats={repeats} trials={trials}`, cpu ({platform.machine()})",
            "",
            f"{sweep.cells} cells on mixture2d (γ_min × γ_max of a log-SNR-linear schedule, 300 steps, one seed): NLL "
            f"on validation data from {sweep.best:.3f} to {sweep.worst:.3f} bits/dim",
            "",
            *table_of_samplers(results, sweep, repeats, trials),
            "",
            *table_of_windows(results, sweep, repeats, trials),
            "",
            f"| pruner, {2 * trials} random trials | training steps | winner |",
            "|---|---|---|",
            *(
                f"| {pruner} | {share:.0%} | {'the same' if same else 'another'} |"
                for pruner, (share, same) in pruned(results, 2 * trials).items()
            ),
        ]
    )


def table_of_samplers(results: Path, sweep: Sweep, repeats: int, trials: int) -> list[str]:
    """How near to the best each sampler comes."""
    words = [f"trials={trials}"]
    distances = {name: repeated(results, sweep, repeats, name, [*words, f"study.sampler={name}"]) for name in SAMPLERS}
    lines = [
        f"| sampler, {trials} trials | median distance from the best | within {NEAR:.0%} | better than random |",
        "|---|---|---|---|",
    ]
    for sampler, own in distances.items():
        wins = sum(mine < theirs for mine, theirs in zip(own, distances["random"], strict=True))
        better = "" if sampler == "random" else f"{wins} of {repeats}"
        lines.append(f"| {sampler} | {statistics.median(own):.1%} | {_near(own)} | {better} |")
    return lines


def table_of_windows(results: Path, sweep: Sweep, repeats: int, trials: int) -> list[str]:
    """How near to the best TPE comes with more trials under way."""
    words = [f"trials={trials}", "study.sampler=tpe"]
    lines = [
        f"| tpe, {trials} trials, under way at once | mean distance from the best | median | within {NEAR:.0%} |",
        "|---|---|---|---|",
    ]
    for window in UNDER_WAY:
        own = repeated(results, sweep, repeats, f"window-{window}", words, window)
        lines.append(f"| {window} | {statistics.fmean(own):.1%} | {statistics.median(own):.1%} | {_near(own)} |")
    return lines


def _near(distances: list[float]) -> str:
    return f"{sum(distance <= NEAR for distance in distances)} of {len(distances)}"


def repeated(
    results: Path, sweep: Sweep, repeats: int, name: str, words: list[str], window: int | None = None
) -> list[float]:
    """Distances of each of so many searches from the sweep's best, as shares of its range."""
    searches = (run(results, f"{name}-{seed}", [*words, f"study.seed={seed}"], window) for seed in range(repeats))
    return [sweep.regret(winner(search).values[0]) for search in searches]


def pruned(results: Path, trials: int) -> dict[str, tuple[float, bool]]:
    """The share of training steps that are taken, and whether the winner is that of no pruning, by pruner.

    Each in a folder of its own: a training that is finished already is not judged on its way.
    """
    searches = {
        pruner: run(
            results / f"pruner-{pruner}",
            "search",
            [*WARM, "study.sampler=random", f"trials={trials}", f"study.pruner={pruner}"],
        )
        for pruner in PRUNERS
    }
    steps = {
        pruner: sum(trial.user_attrs["metrics"]["cost/steps"] for trial in tried) for pruner, tried in searches.items()
    }
    best = winner(searches["none"]).number
    return {pruner: (steps[pruner] / steps["none"], winner(tried).number == best) for pruner, tried in searches.items()}


def run(results: Path, name: str, words: list[str], window: int | None = None) -> list[FrozenTrial]:
    """The trials of a search without its confirmation, so many under way at once, or as many as a command has."""
    from ablations.engine.journal import Journal
    from ablations.search.optimizer import Optimizer
    from ablations.search.search import Search
    from ablations.search.trial import plan_search

    class Unwritten(Search):
        """A search whose folder stays empty: what was tried is read from Optuna's storage."""

        def write_one(self) -> None: ...

    results.mkdir(parents=True, exist_ok=True)
    keys = {word.partition("=")[0] for word in words}
    given = [word for word in SPACE if word.partition("=")[0] not in keys]
    plan = plan_search(parse_search([*given, *words, "device=cpu", f"name={name}", f"results={results}"]))
    optimizer = Optimizer(plan.study, plan.identity, plan.objectives, f"sqlite:///{results / 'optuna.db'}")
    plan = replace(plan, window=window or plan.window)
    Unwritten(plan, optimizer, Journal(results / ".stages"), results / name, {}, None).run()
    return optimizer.trials()


def swept(trials: list[FrozenTrial]) -> Sweep:
    """The sweep's best and worst, of the cells that finished."""
    from optuna.trial import TrialState

    values = [trial.values[0] for trial in trials if trial.state is TrialState.COMPLETE]
    return Sweep(min(values), max(values), len(values))


def winner(trials: list[FrozenTrial]) -> FrozenTrial:
    """The best finished trial."""
    from optuna.trial import TrialState

    return min((trial for trial in trials if trial.state is TrialState.COMPLETE), key=lambda trial: trial.values[0])


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
