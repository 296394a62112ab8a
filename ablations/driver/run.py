"""A cell, a grid, or any comma-separated choices, from text to table: what `python -m ablations.run` does."""

from __future__ import annotations

from ablations.driver.command import command
from ablations.settings.arguments import parse_run
from ablations.settings.cell import AXES, WORDS
from ablations.settings.grammar import listed


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if a cell, or a metric that was asked for, failed; 2 for a wrong call; 130 if interrupted."""
    return command(arguments, help_text, parse_run, "ablations.driver.carry_out")


def help_text() -> str:
    """Usage, the axes with every choice, and the grids."""
    words = [f"  {f'{key}={value}':23} {line}" for key, lines in WORDS.items() for value, line in lines.items()]
    more = ["", "Where stages run (launcher=)", *listed("launcher"), "", "Grids (grid=)", *listed("grid")]
    for axis in AXES:
        more += ["", f"{axis.capitalize()} ({axis}=; its fields {axis}.FIELD=)", *listed(axis)]
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
