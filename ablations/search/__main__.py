"""`python -m ablations.search`: hyperparameters by Optuna, chosen on validation data, confirmed at fresh seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.driver.command import command
from ablations.search.file import PRUNERS, SAMPLERS
from ablations.settings.arguments import parse_search
from ablations.settings.exits import exit_code
from ablations.settings.grammar import listed
from ablations.settings.request import SearchRequest
from analysis.errors import InputError

if TYPE_CHECKING:
    from ablations.driver.live import Live
    from ablations.engine.journal import Journal
    from ablations.search.announced import Announced
    from ablations.search.optimizer import Optimizer
    from ablations.search.plan import SearchPlan
    from ablations.search.results import SearchResults
    from ablations.tracking.mlflow_store import Tracker


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if trials or cells failed by accident; 2 for a wrong call; 130 if interrupted."""
    return command(arguments, help_text, parse_search, planned, lambda plan, _: dry_run(plan), carry_out)


def planned(request: SearchRequest) -> SearchPlan:
    from ablations.search.study import make

    study = make(request)
    from ablations.launchers.protocol import launcher_of
    from ablations.search.plan import plan_search
    from ablations.search.records import check_same_search

    launcher = launcher_of(request)
    threads = study.cell(study.default, study.seeds[0]).threads
    plan = plan_search(study, launcher, launcher.devices(request.device, threads))
    check_same_search(request.folder, plan)
    return plan


def carry_out(request: SearchRequest, plan: SearchPlan, journal: Journal) -> int:
    """Search, unless another command is doing so; the exit code."""
    from ablations.driver.packing import packed
    from ablations.engine.folder_lock import SEARCH, place_of, wait_for_cleaning
    from ablations.engine.lease import holder, leased
    from ablations.tracking.mlflow_store import open_tracker
    from ablations.tracking.uris import default_uri

    results, folder = Path(request.results), request.folder
    place = place_of(folder) / SEARCH
    with leased(place) as lease:
        if lease is None:
            raise InputError(
                f"{holder(place) or 'another command'} runs the search {plan.study.name}, which has one driver at a "
                "time: wait for it, or give a name=…"
            )
        wait_for_cleaning(results / ".leases")
        plan = replace(plan, here=packed(plan.here, plan.demanding()))
        opened = open_tracker(request.tracking_uri or default_uri(results), plan.study.name, results)
        return search(request, plan, journal, folder, opened)


def search(request: SearchRequest, plan: SearchPlan, journal: Journal, folder: Path, tracker: Tracker | None) -> int:
    """Run the trials, then the confirmation; the exit code."""
    from ablations.driver.following import stopping
    from ablations.driver.live import watching
    from ablations.driver.pages import write_pages
    from ablations.driver.watch import where
    from ablations.engine.version import code_version
    from ablations.search.announced import Announced
    from ablations.search.loop import Searcher
    from ablations.search.optimizer import Optimizer
    from ablations.search.optimizer.storage import shown
    from ablations.search.results import SearchResults
    from analysis.folders import search_alone

    storage = request.storage or f"sqlite:///{folder.parent / 'optuna.db'}"
    shared = folder.parent if request.storage else None
    optimizer = Optimizer(plan.study, plan.identity, plan.objectives, storage, plan.window, shared)
    provenance: dict[str, Any] = {"command": request.command, "code": code_version()}
    results = SearchResults(plan, optimizer, journal, folder, provenance, tracker)
    live = None if tracker is None else live_of(plan, tracker)
    ended, limit = optimizer.ended(), plan.study.limit
    announced = Announced.of(plan, quick=True) if limit is None or ended < limit else Announced(plan)
    if announced.trial:
        print("\n".join([*announced.lines(ended), *where(tracker)]), flush=True)
    elif limit is not None and ended > limit:
        print(f"{plan.study.name} has {ended} trials already, so that trials={limit} asks for none", flush=True)
    searcher = Searcher(plan, optimizer, journal, folder, lambda: results.write_in_time(ran=searcher.ran), live)
    interrupted = False
    with stopping(), watching(live):
        try:
            searcher.run()
        except KeyboardInterrupt:
            interrupted = True
            if live is not None:
                live.leave()
    stopped = interrupted or searcher.accidents > 0
    results.write(ran=searcher.ran)
    if stopped:
        with results.lock.held():
            print(write_pages(folder))
        return _stopped(optimizer, interrupted=interrupted)
    code = confirm(results, announced)
    print(f"Optuna   optuna-dashboard {shown(storage)}")
    if any(name.split(".")[0] == "schedule" for name in plan.study.parameters) and not search_alone(folder):
        print(export_line(request, plan))
    nothing = not any(trial.state == "finished" for trial in optimizer.trials()) and plan.study.limit is not None
    return 1 if nothing else code


def export_line(request: SearchRequest, plan: SearchPlan) -> str:
    """The command that keeps a schedule that was found, as a line."""
    place = "" if request.results == "results" else f" results={request.results}"
    return f"keep     python -m ablations.export search={plan.study.name} name=NAME{place}   (then schedule=saved/NAME)"


def live_of(plan: SearchPlan, tracker: Tracker) -> Live:
    """A view of trials while they run, in a store that is opened meanwhile."""
    from ablations.driver.live import Live
    from ablations.search.records import asked_of
    from ablations.tracking.mlflow_views import view_of_search

    tracker.begin()
    asked = asked_of(plan)
    return Live(tracker, plan.here.data, asked["question"], view_of_search(asked))


def confirm(results: SearchResults, announced: Announced) -> int:
    """Run the winners and the default anew, and print the outcome; the exit code."""
    from ablations.driver.execute import Job, execute
    from ablations.driver.pages import finish, show
    from ablations.driver.plan import plan as plan_grid
    from ablations.driver.rounds import at_once
    from ablations.search.confirmation import confirmation, noted
    from ablations.search.finalists import finalists
    from analysis.labels import counted

    plan, optimizer, journal, folder = results.plan, results.optimizer, results.journal, results.folder
    grid = confirmation(plan, finalists(optimizer))
    if grid is None:
        with results.lock.held():
            show(folder, results.tracker)
        return 0
    looks = optimizer.confirmed([plan.here.id_of(point.cell) for point in grid.points])
    grid = noted(grid, optimizer.counted(), optimizer.seconds, looks)
    planned = plan_grid(grid, plan.here.launcher, plan.here.devices)
    if planned.missing(journal):
        cells = len(grid.points)
        size = f"{counted(cells, 'cell')} × {counted(len(grid.seeds), 'seed')}"
        print(f"confirmation on test data, {size}{announced.confirmation(cells)}", flush=True)
    job = Job(journal, folder, results.tracker, results.provenance, confirms=True)
    ended = execute(at_once(planned), job, announced.measured.each)
    with results.lock.held():
        return finish(folder, journal, ended)


def _stopped(optimizer: Optimizer, *, interrupted: bool) -> int:
    """Say why there is no confirmation, and how to continue; the exit code."""
    trials = optimizer.trials()
    over = sum(trial.state != "running" for trial in trials)
    if interrupted:
        print(f"interrupted after {over} trials: they are kept, the same command continues")
        return 130
    reasons = [trial.metadata.get("reason", "") for trial in trials if trial.metadata.get("again")]
    print(f"stopped after {over} trials, since the last ones failed: {reasons[-1]}")
    print("mend this, and the same command continues")
    return 1


def dry_run(plan: SearchPlan) -> str:
    """The space, and an estimate of the time."""
    from ablations.search.announced import Announced
    from ablations.search.space import said

    study = plan.study
    lines = [f"{study.name}: {study.file.question}"]
    for name, parameter in study.parameters.items():
        group = name.partition(".")[0]
        there = f", where {group} is {' or '.join(study.when(name)[group])}" if study.when(name) else ""
        default = f"; the default is {said(study.default[name])}" if name in study.default else ""
        lines.append(f"  {name:24} {parameter}{there}{default}")
        for value in parameter.choices or parameter.ends if name in study.default else ():
            reason = plan.refusal(study.changed({name: value}))
            if reason is not None:
                lines.append(f"    {said(value)} makes no sense beside the other defaults: {reason}")
    lines += Announced.of(plan).lines()
    return "\n".join(lines)


def help_text() -> str:
    """Usage, the studies, samplers and pruners."""
    from ablations.metrics.registry import objectives

    objective_lines = {
        name: f"{column.label}{f', {column.unit}' if column.unit else ''}{'; more is better' * (column.sign > 0)}"
        for name, column in objectives().items()
    }
    objective_lines["fid"] += "; on points the energy distance"
    groups = {"objective": objective_lines, "sampler": SAMPLERS, "pruner": PRUNERS}
    lines = [
        "python -m ablations.search [study=NAME] [key=value | key=A,B | key='interval(LOW,HIGH)' …]",
        "",
        "  python -m ablations.search study=schedule trials=40       a study that ships",
        "  python -m ablations.search study=schedule schedule=cosine its other parameters: those of cosine",
        "  python -m ablations.search training.learning_rate='tag(log,interval(1e-4,1e-2))' training.batch=64,128",
        "  python -m ablations.search study=… dry_run=true           what is searched, an estimate of the time",
        "  python -m ablations.export search=NAME name=MINE          keep the schedule found: schedule=saved/MINE",
        "",
        "  One value fixes a key, several are choices, an interval is a range (log with tag(log,…)).",
        "",
        "  trials=N                trials in all; more of them continue a search",
        "  hours=H                 instead: no trial is begun after so many hours of all its commands",
        "  seeds=N first_seed=N    seeds of a trial, whose mean is its value (1)",
        "  confirm=N               fresh seeds of the winner and the default, on test data (5)",
        "  study.startup=N         random trials before the sampler begins (10)",
        "  study.seed=N            seed of the sampler's draws (0)",
        "  storage=URL             Optuna's; default sqlite:///results/optuna.db",
        "  name=NAME               the folder in results/ and the MLflow experiment; default search-STUDY",
        "  device= launcher= launcher.workers= tracking.uri= results= journal= configs= and every choice:",
        "                          see ablations.run",
    ]
    for name, words in groups.items():
        lines += ["", f"study.{name}=", *[f"  {word:21} {line}" for word, line in words.items()]]
    return "\n".join([*lines, "", "Studies (study=)", *listed("study")])


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
