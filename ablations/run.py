"""`python -m ablations.run`: a cell, a grid, or any comma-separated choices, from text to table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from ablations.settings.exits import exit_code
from ablations.stages.version import code_version
from analysis.errors import InputError

if TYPE_CHECKING:
    from ablations.driver.execute import Plan
    from ablations.results.records import Record
    from ablations.tracking.mlflow_store import Tracker


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a cell failed; 2 for a wrong call; 130 if interrupted."""
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        return 0
    request = parse_run(arguments)
    from ablations.driver import execute
    from ablations.grids import grid
    from ablations.launchers.local import devices_for
    from ablations.stages.journal import Journal, locked

    asked = grid.make(request)
    threads = asked.points[0].cell.threads
    plan = execute.plan(asked, devices_for(request.device, threads, request.workers))
    results = writable(Path(request.results))
    journal = Journal(results / ".stages")
    folder = results / asked.name
    from ablations.results.records import check_same_request

    check_same_request(folder, plan.planned, journal)
    if (folder / "search.json").exists():
        raise InputError(f"{folder} holds the results of a search: give this grid a name of its own with name=…")
    if request.dry_run:
        print(dry_run(plan, journal))
        return 0
    from ablations.tracking.mlflow_store import default_uri, open_tracker

    with locked(results / ".lock", wait=False):
        opened = open_tracker(request.tracking_uri or default_uri(results), asked.name, results)
        provenance = {"command": request.command, "code": code_version(), "seeds": asked.seeds}
        records, tracker, interrupted = execute.execute(plan, journal, folder, opened, provenance)
        if asked.file.deck:
            from ablations.theory import write_deck

            write_deck(folder, records, journal, plan.data)
        return finish(folder, records, tracker, interrupted)


def writable(results: Path) -> Path:
    """The results folder, made where there is none; InputError where it cannot be written."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        (results / ".lock").touch()
    except OSError as error:
        raise InputError(f"results={results} is no folder that can be written: {error.strerror}") from error
    return results


def finish(folder: Path, records: list[Record], tracker: Tracker | None, interrupted: bool) -> int:
    """Tables, figures and summary of what there is; the exit code."""
    from ablations.tracking.mlflow_store import TrackingError

    write_pages(folder)
    print(in_words(folder))
    shown = [name for name in ("report.html", "table.md", "figures", "samples", "runs.csv") if (folder / name).exists()]
    print(f"\nfiles    {folder}/  ({', '.join(shown)}, …)")
    if tracker is not None:
        try:
            print(f"MLflow   {tracker.summarise(folder)}")
            if not tracker.uri.startswith("http"):
                print(f"         after: mlflow ui --backend-store-uri {tracker.uri}")
        except TrackingError as error:
            print(f"warning: {error}. Deliver later: python -m ablations.publish")
    if interrupted:
        print("interrupted: finished stages are kept, the same command continues")
        return 130
    failed = [r for r in records if r.status in ("failed", "interrupted")]
    for item in failed[:5]:
        levels = " ".join(f"{key}={value}" for key, value in item.planned.point.levels.items())
        print(f"{item.status}: {levels} seed {item.planned.cell.seed}: {item.reason.splitlines()[0]}")
    return 1 if failed else 0


def write_pages(folder: Path) -> None:
    """All that is drawn from a results folder: after its runs were delivered, whose links it shows, and before the
    summary, which carries it."""
    from analysis.figures import write_figures, write_search_figures
    from analysis.read.search import search_alone
    from analysis.report import write_report
    from analysis.tables import write_tables

    if search_alone(folder):
        write_search_figures(folder)
    else:
        write_tables(folder)
        write_figures(folder)
    write_report(folder)


def in_words(folder: Path) -> str:
    """What a results folder holds, for a terminal: a search, the table of a grid, or both."""
    from analysis.read.runs import read_folder
    from analysis.read.search import search_alone, search_in
    from analysis.tables import terminal_search, terminal_table

    grid, search = None if search_alone(folder) else read_folder(folder), search_in(folder)
    parts = [terminal_search(search, grid)] if search is not None else []
    return "\n\n".join(parts + ([terminal_table(grid)] if grid is not None else []))


def dry_run(plan: Plan, journal: Any) -> str:
    """The grid's cells, how many stages are new, and an estimate of the time."""
    import torch

    from ablations.driver.estimates import seconds_of

    lines = [f"{plan.grid.name}: {plan.grid.file.question}"]
    shown = [item for item in plan.planned if item.cell.seed == plan.grid.seeds[0]]
    for item in shown:
        levels = " ".join(f"{key}={value}" for key, value in item.point.levels.items()) or "baseline"
        lines.append(f"  {item.cell_id}  {levels}" + (f"  incompatible: {item.refusal}" if item.refusal else ""))
    stages = plan.stages()
    missing = plan.missing(journal)
    learns = ("training", "autoencoder")
    new = [stage for stage in missing if stage.kind in learns]
    trainings = sum(stage.kind in learns for stage in stages)
    encoders = sum(stage.kind == "autoencoder" for stage in stages)
    sizes = [counted(len(shown), "cell"), counted(len(plan.grid.seeds), "seed")]
    lines.append(
        f"{' × '.join(sizes)}: {counted(trainings, 'training')}{of_encoders(encoders)}, {len(new)} of them new"
    )
    seconds = seconds_of(missing, plan.data, torch.device(plan.devices[0])) / len(plan.devices)
    lines.append(f"about {minutes(seconds)} on {len(plan.devices)} worker(s) ({plan.devices[0]}), measured just now")
    return "\n".join(lines)


def of_encoders(n: int) -> str:
    """How many of the trainings are of autoencoders, if any."""
    return f" ({n} of autoencoders)" if n else ""


def counted(n: int, noun: str) -> str:
    """1 cell, 2 cells."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def minutes(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def help_text() -> str:
    """Usage, the axes with every choice, and the grids."""
    lines = [
        "python -m ablations.run [grid=NAME] [key=value[,value…] …]",
        "",
        "  python -m ablations.run                                   one baseline cell on the default data",
        "  python -m ablations.run grid=parameterization             a grid",
        "  python -m ablations.run schedule=linear,cosine seeds=3    an ad-hoc grid",
        "  python -m ablations.run grid=… dry_run=true               its cells, what is new, an estimate of the time",
        "  python -m ablations.found cell=ID name=NAME               keep a learned schedule: schedule=found/NAME",
        "  python -m ablations.search --help                         search hyperparameters",
        "",
        "  seeds=N first_seed=N    the seeds; more of them continue a grid",
        "  fraction=N              run N of the grid's cells, chosen so that effects are told best (D-optimal)",
        "  name=NAME               the folder in results/ and the MLflow experiment",
        "  device=auto             auto, cpu, cuda or cuda:N",
        "  launcher=local          where stages run: worker processes on this machine",
        "  launcher.workers=N      worker processes; one per GPU, or as many as the cores hold, by default",
        "  tracking.uri=URI        default sqlite:///results/mlflow.db",
        "  results=DIR             default results",
        "  horizon=T               steps of the diffusion (1000); 0: the autoencoder of space=latents alone, a VAE",
        "  threads=N               CPU threads of a cell (1)",
        *[f"  {f'{key}={value}':23} {line}" for key, lines in grammar.WORDS.items() for value, line in lines.items()],
        "                          (grids that vary the schedule: log_snr and beta_1 in every cell, unless set)",
        "",
        "Grids (grid=)",
        *listed("grid"),
    ]
    for axis in grammar.AXES:
        lines += ["", f"{axis.capitalize()} ({axis}=; its fields {axis}.FIELD=)", *listed(axis)]
    return "\n".join(lines)


def listed(group: str) -> list[str]:
    """A line per choice of a group."""
    return [f"  {option:21} {line}" for option, line in grammar.options_of(group).items()]


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
