"""A cell, a grid, or any comma-separated choices, from text to table: what `python -m ablations.run` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablations.driver.command import command
from ablations.settings.arguments import parse_run
from ablations.settings.cell import AXES, WORDS
from ablations.settings.grammar import listed
from ablations.settings.request import Request

if TYPE_CHECKING:
    from ablations.driver.plan import Plan
    from ablations.driver.sequential import Looks
    from ablations.engine.journal import Journal


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a cell, or a metric that was asked for, failed; 2 for a wrong call; 130 if interrupted."""
    return command(arguments, help_text, parse_run, planned, dry_run, carry_out)


def planned(request: Request) -> tuple[Plan, Looks | None]:
    """The plan of a request, and its declarations where seeds are added by looks."""
    from ablations.grids.grid import make

    grid = make(request)
    from ablations.driver.plan import check_same_request, plan
    from ablations.driver.sequential import Looks
    from ablations.launchers.protocol import launcher_of

    launcher = launcher_of(request)
    cells = plan(grid, launcher, launcher.devices(request.device, grid.points[0].cell.threads))
    declared = Looks.of(cells) if grid.looks is not None else None
    check_same_request(request.folder, cells)
    return cells, declared


def carry_out(request: Request, planned: tuple[Plan, Looks | None], journal: Journal) -> int:
    """Run what a plan lacks, and write its results; the exit code."""
    from ablations.driver.execute import Job, execute
    from ablations.driver.pages import deliver_models, finish, where
    from ablations.driver.sequential import fixed
    from ablations.driver.summary import beginning
    from ablations.engine.locks import results_lock
    from ablations.engine.version import code_version
    from ablations.tracking.store import default_uri
    from ablations.tracking.tracker import open_tracker

    (plan, declared), folder, results = planned, request.folder, Path(request.results)
    opened = open_tracker(request.tracking_uri or default_uri(results), plan.grid.name, results)
    job = Job(journal, folder, opened, {"command": request.command, "code": code_version()})
    with results_lock(folder):
        if lines := beginning(plan, declared, journal):
            print("\n".join([*lines, *where(opened)]), flush=True)
        ended = execute(fixed(plan) if declared is None else declared.take(journal), job)
        if request.tracking_models and ended.tracker is not None and not ended.stopped:
            deliver_models(ended.tracker, ended.records, journal)
        if plan.grid.file.deck and not ended.stopped:
            from ablations.results.deck.files import write_deck

            write_deck(folder, ended.records, journal, plan.here.data)
        return finish(folder, ended)


def dry_run(planned: tuple[Plan, Looks | None], journal: Journal) -> str:
    """The grid's cells, how many trainings are new, and an estimate of the time."""
    from ablations.driver import summary

    return summary.dry_run(*planned, journal)


def help_text() -> str:
    """Usage, the axes with every choice, and the grids."""
    lines = [
        "python -m ablations.run [grid=NAME] [key=value[,value…] …]",
        "",
        "  python -m ablations.run                                   one baseline cell on the default data",
        "  python -m ablations.run grid=parameterization             a grid",
        "  python -m ablations.run schedule=linear,cosine seeds=3    an ad-hoc grid",
        "  python -m ablations.run grid=… dry_run=true               its cells, what is new, an estimate of the time",
        "  python -m ablations                                       the other commands",
        "",
        "  seeds=N first_seed=N    the seeds (mostly 5 in a grid, 1 without one); more of them continue it",
        "  seeds=auto              seeds are added where they decide: after 3, 5, 8 and 12 of them cells stop whose",
        "                          comparisons are over; seeds.max=N (12) is the most",
        "  question='…'            the question that the pages ask, in your own words",
        "  name=NAME               the folder in results/ and the MLflow experiment",
        "  device=auto             auto, cpu, cuda or cuda:N",
        "  tracking.uri=URI        default sqlite:///results/mlflow.db",
        "  tracking.models=true    give runs in MLflow their models, which ablations.sample draws from",
        "  results=DIR             default results",
        "  journal=DIR             where stages are kept, default RESULTS/.stages",
        "  configs=DIR             your own folder of choices, grids and studies; default configs, where there is one",
        "  horizon=T               steps of the diffusion (1000); 0: the autoencoder of space=latents alone, a VAE",
        "  threads=N               CPU threads of a cell (1)",
        *[f"  {f'{key}={value}':23} {line}" for key, lines in WORDS.items() for value, line in lines.items()],
        "                          (grids that vary the schedule: time_input=log_snr first_step=beta_1, unless set)",
        "",
        "Where stages run (launcher=)",
        *listed("launcher"),
        "",
        "Grids (grid=)",
        *listed("grid"),
    ]
    for axis in AXES:
        lines += ["", f"{axis.capitalize()} ({axis}=; its fields {axis}.FIELD=)", *listed(axis)]
    return "\n".join(lines)
