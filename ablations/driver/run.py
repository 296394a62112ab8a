"""From words to results: the steps that runs and searches have in common, and `python -m ablations.run` by these.

    words ─▶ request ─▶ plan ─▶ what it would do, or its results

Wrong words are refused before torch is imported, and impossible plans before anything is written.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

from ablations.engine.journal import journal_of
from ablations.engine.workers import warm_up
from ablations.settings.arguments import parse_run
from ablations.settings.cell import AXES, WORDS
from ablations.settings.grammar import help_lines
from ablations.settings.request import Common


def command(
    arguments: list[str], help_text: Callable[[], str], parse: Callable[[list[str]], Common], make: str, module: str
) -> int:
    """The exit code of a command; 0 where nothing was to be run. InputError for a wrong word, and where a plan makes no
    sense.

    What the words ask for is made first (by the function at `make`), because that refuses choices which exclude each
    other; the `module`, which imports all the rest, then plans it (`planned`), and says what that would do (`dry_run`)
    or does it (`carry_out`).
    """
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        return 0
    request = parse(arguments)
    # SIGTERM stops like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = Path(request.results)
    journal = journal_of(results, request.journal)
    if request.launcher == "local":
        # Beside the imports of this process, which take as long.
        warm_up()
    made = resolve_name(make)(request)
    work = importlib.import_module(module)
    planned = work.planned(request, made)
    if request.dry_run:
        print(work.dry_run(planned, journal))
        return 0
    results.mkdir(parents=True, exist_ok=True)
    code: int = work.carry_out(request, planned, journal)
    return code


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a cell, or a metric that was asked for, failed; 2 for a wrong call; 130 if interrupted."""
    return command(arguments, help_text, parse_run, "ablations.grids.grid:make", "ablations.driver.execute")


def help_text() -> str:
    """Usage, the axes with every choice, and the grids."""
    words = [f"  {f'{key}={value}':23} {line}" for key, lines in WORDS.items() for value, line in lines.items()]
    more = ["", "Where stages run (launcher=)", *help_lines("launcher"), "", "Grids (grid=)", *help_lines("grid")]
    for axis in AXES:
        more += ["", f"{axis.capitalize()} ({axis}=; its fields {axis}.FIELD=)", *help_lines(axis)]
    return "\n".join([HELP, *words, TERMS, *more])


HELP = """python -m ablations.run [grid=NAME] [key=value[,value…] …]

  python -m ablations.run                                   one baseline cell on the default data
  python -m ablations.run grid=parameterization             a grid
  python -m ablations.run schedule=linear,cosine seeds=3    an ad-hoc grid
  python -m ablations.run grid=… dry_run=true               its cells, what is new, an estimate of the time
  python -m ablations                                       the other commands

  seeds=N first_seed=N    the seeds (mostly 5 in a grid, 1 without one); more of them continue it
  seeds=auto              seeds are added where they decide: after 3, 5, 8 and 12 of them cells stop whose
                          comparisons are over; seeds.max=N (12) is the most
  question='…'            the question that the pages ask, in your own words
  name=NAME               the folder in results/ and the MLflow experiment
  device=auto             auto, cpu, cuda or cuda:N
  tracking.uri=URI        default sqlite:///results/mlflow.db
  results=DIR             default results
  journal=DIR             where stages are kept, default RESULTS/.stages
  configs=DIR             your own folder of choices, grids and studies; default configs, where there is one
  horizon=T               steps of the diffusion (1000); 0: the autoencoder of space=latents alone, a VAE
  threads=N               CPU threads of a cell (1)"""
TERMS = "                          (grids that vary the schedule: time_input=log_snr first_step=beta_1, unless set)"
