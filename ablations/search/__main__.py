"""`python -m ablations.search`: hyperparameters by Optuna, chosen on validation data, confirmed at fresh seeds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.driver.command import command
from ablations.settings.arguments import parse_search
from ablations.settings.exits import exit_code
from ablations.settings.grammar import listed
from ablations.settings.request import SearchRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablations.engine.journal import Journal
    from ablations.search.trial import SearchPlan
    from ablations.search.trials_csv import SearchFolder
    from ablations.tracking.mlflow_store import Tracker


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if trials or cells failed by accident; 2 for a wrong call; 130 if interrupted."""
    return command(arguments, help_text, parse_search, planned, dry_run, carry_out)


def planned(request: SearchRequest) -> SearchPlan:
    from ablations.search.study import make

    study = make(request)
    from ablations.launchers.protocol import launcher_of
    from ablations.search.trial import plan_search
    from ablations.search.trials_csv import check_same_search

    launcher = launcher_of(request)
    threads = study.cell(study.default, study.seeds[0]).threads
    plan = plan_search(study, launcher, launcher.devices(request.device, threads))
    check_same_search(request.folder, plan)
    return plan


def carry_out(request: SearchRequest, plan: SearchPlan, journal: Journal) -> int:
    """Run the trials, then the confirmation; the exit code."""
    from ablations.engine.locks import results_lock
    from ablations.engine.version import code_version
    from ablations.search.optimizer import Optimizer, guarded
    from ablations.search.trials_csv import SearchFolder
    from ablations.tracking.mlflow_store import open_tracker
    from ablations.tracking.uris import default_uri
    from analysis.links import without_password

    results, study = Path(request.results), plan.study
    storage = request.storage or f"sqlite:///{results / 'optuna.db'}"
    opened = partial(open_tracker, request.tracking_uri or default_uri(results))
    with results_lock(request.folder), guarded(storage):
        optimizer = Optimizer(study, plan.identity, plan.objectives, storage)
        provenance = {"command": request.command, "code": code_version()}
        tracker = opened(study.name, results)
        code = search(SearchFolder(plan, optimizer, journal, request.folder, provenance, tracker), opened)
    print(f"Optuna   optuna-dashboard {without_password(storage)}")
    if code == 0 and any(name.split(".")[0] == "schedule" for name in study.parameters):
        place = "" if request.results == "results" else f" results={request.results}"
        keep = f"python -m ablations.export search={study.name} name=NAME{place}"
        print(f"keep     {keep}   (then schedule=saved/NAME)")
    return code


def search(kept: SearchFolder, opened: Callable[[str, Path], Tracker | None]) -> int:
    """Run the trials that are missing, and confirm the winners, unless something stops it; the exit code."""
    from ablations.driver.live import watching
    from ablations.driver.pages import deliver, where
    from ablations.search.confirm import confirm
    from ablations.search.loop import Searcher

    searcher, limit, trials = Searcher(kept, kept.live()), kept.plan.study.limit, kept.optimizer.trials()
    left = limit - sum(trial.state.is_finished() and not trial.user_attrs.get("again") for trial in trials)
    head = f"{kept.plan.study.name}: {max(0, left)} of {limit} trials to run"
    print("\n".join([head, *where(kept.tracker)]), flush=True)
    stopped = False
    try:
        with watching(searcher.live):
            searcher.run()
    except KeyboardInterrupt:
        stopped = True
    kept.write()
    over = [trial for trial in kept.optimizer.trials() if trial.state.is_finished()]
    if stopped:
        print(f"interrupted after {len(over)} trials: they are kept, the same command continues")
        return 130
    kept.tracker = deliver(kept.tracker, kept.folder)
    if searcher.accidents:
        print(f"stopped after {len(over)} trials, since the last ones failed: {over[-1].user_attrs['reason']}")
        print("mend this, and the same command continues")
        return 1
    return confirm(kept, opened)


def dry_run(plan: SearchPlan, _: Journal) -> str:
    """The space, and an estimate of the time."""
    from ablations.driver.estimate import COMMAND, estimated
    from ablations.driver.plan import plan as plan_grid
    from ablations.driver.progress import minutes
    from ablations.engine.journal import Journal
    from ablations.search.confirm import DEFAULT, grid_of
    from ablations.search.space import said
    from analysis.labels import counted

    study, here = plan.study, plan.here
    lines = [f"{study.name}: {study.file.question}"]
    for name, parameter in study.parameters.items():
        there = [f", where {group} is {' or '.join(names)}" for group, names in study.when(name).items()]
        default = f"; the default is {said(study.default[name])}" if name in study.default else ""
        lines.append(f"  {name:24} {parameter}{''.join(there)}{default}")
    grid, nothing = grid_of(plan, {DEFAULT: ("", plan.default)}), Journal(Path())
    anew = plan_grid(grid, here.launcher, here.devices)
    one = estimated(replace(anew, runs=plan.runs(study.default), floors=[]), nothing)
    trials = COMMAND + study.limit * (one - COMMAND) / len(here.devices)
    how = f"{study.file.sampler} after {study.file.startup} at random, pruner {study.file.pruner}"
    pruned = ", if none is pruned" if study.file.pruner != "none" else ""
    objectives, seeds = " and ".join(plan.objectives), counted(study.file.confirm, "fresh seed")
    return "\n".join(
        [
            *lines,
            f"{counted(study.limit, 'trial')} ({how}, by {objectives}): about {minutes(trials)}{pruned}, on "
            f"{counted(len(here.devices), 'worker')}",
            f"then, on test data, the winner and the default at {seeds}: about {minutes(2 * estimated(anew, nothing))}",
        ]
    )


def help_text() -> str:
    """Usage, the studies, samplers and pruners."""
    from ablations.metrics.registry import objectives
    from ablations.search.study import PRUNERS, SAMPLERS

    objective_lines = {
        name: f"{column.label}{f', {column.unit}' if column.unit else ''}{'; more is better' * (column.sign > 0)}"
        for name, column in objectives().items()
    }
    objective_lines["fid"] += "; on points the energy distance"
    groups = {"objective": objective_lines, "sampler": SAMPLERS, "pruner": PRUNERS}
    words = [
        line
        for name, of in groups.items()
        for line in ("", f"study.{name}=", *(f"  {k:21} {v}" for k, v in of.items()))
    ]
    return "\n".join([HELP, *words, "", "Studies (study=)", *listed("study")])


HELP = """python -m ablations.search [study=NAME] [key=value | key=A,B | key='interval(LOW,HIGH)' …]

  python -m ablations.search study=schedule trials=40       a study that ships
  python -m ablations.search study=schedule schedule=cosine its other parameters: those of cosine
  python -m ablations.search training.learning_rate='tag(log,interval(1e-4,1e-2))' training.batch=64,128
  python -m ablations.search study=… dry_run=true           what is searched, an estimate of the time
  python -m ablations.export search=NAME name=MINE          keep the schedule found: schedule=saved/MINE

  One value fixes a key, several are choices, an interval is a range (log with tag(log,…)).

  trials=N                trials in all; more of them continue a search
  seeds=N first_seed=N    seeds of a trial, whose mean is its value (1)
  confirm=N               fresh seeds of the winner and the default, on test data (5)
  study.startup=N         random trials before the sampler begins (10)
  study.seed=N            seed of the sampler's draws (0)
  storage=URL             Optuna's; default sqlite:///results/optuna.db
  name=NAME               the folder in results/ and the MLflow experiment; default search-STUDY
  device= launcher= launcher.workers= tracking.uri= results= journal= configs= and every choice:
                          see ablations.run"""


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
