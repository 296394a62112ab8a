"""`python -m ablations.search`: hyperparameters by Optuna, chosen on validation data, confirmed at fresh seeds."""

from __future__ import annotations

import re
from typing import get_args

from ablations.driver.run import command
from ablations.metrics.metric import MEASURED
from ablations.settings.arguments import parse_search
from ablations.settings.grammar import help_lines
from ablations.settings.plugins import outside_names, written_metrics
from ablations.settings.request import NOTHING, SearchRequest
from analysis.errors import InputError, unknown
from analysis.shell import exit_code


def main(arguments: list[str]) -> int:
    """Exit code 0; 1 if no trial finished, or trials or cells failed; 2 for a wrong call; 130 if interrupted."""
    return command(arguments, help_text, parse, "ablations.search.study:make", "ablations.search.search")


def parse(arguments: list[str]) -> SearchRequest:
    """The request of these words; InputError at one that is wrong, at an objective that is none by the metrics'
    source, which takes no seconds to read, or where nothing is searched."""
    request = parse_search(arguments)
    objectives = {metric.kind for metric in MEASURED if metric.sign and not metric.reads_held_out}
    objectives |= {name for name, text in written_metrics().items() if not re.search('"none"|pools=|reads_', text)}
    objectives |= outside_names("metric").keys()
    for objective in set(request.objective or ()) - objectives:
        raise unknown("study.objective", objective, objectives, ["nll"] * (objective == "loss"))
    if not request.study and not request.ranges and all(len(values) == 1 for values in request.settings.values()):
        raise InputError(NOTHING)
    return request


def help_text() -> str:
    """Usage, the objectives, samplers, pruners and studies."""
    from ablations.metrics.registry import objectives
    from ablations.search.study import StudyFile

    allowed = {name: get_args(StudyFile.model_fields[name].annotation) for name in ("sampler", "pruner")}
    words = [f"  study.{name + '=':13} {', '.join(of)}" for name, of in {"objective": objectives(), **allowed}.items()]
    return "\n".join([HELP, *words, "", "Studies (study=)", *help_lines("study")])


HELP = """python -m ablations.search [study=NAME] [key=value | key=A,B | key='interval(LOW,HIGH)' …]

  python -m ablations.search study=schedule schedule=cosine trials=40
  python -m ablations.search training.learning_rate='tag(log,interval(1e-4,1e-2))' training.batch=64,128

  One value fixes a key, several are choices, an interval is a range (log with tag(log,…)). dry_run=true says what is
  searched. device= launcher= results= and every choice are as in ablations.run.

  trials=N              trials in all; more of them continue a search
  seeds=N first_seed=N  seeds of a trial, whose mean is its value (1)
  confirm=N             fresh seeds of the winner and the default, on test data (5)
  study.startup=N       random trials before the sampler begins (10); study.seed=N, the seed of its draws (0)
  storage=URL           Optuna's; default sqlite:///results/optuna.db
  name=NAME             the folder in results/ and the MLflow experiment; default search-STUDY"""


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
