"""`python -m ablations [COMMAND …]`: the commands, or the one that is named."""

from __future__ import annotations

import sys

from ablations.scripting import COMMANDS, main

LINES = {
    "run": "train and score a cell or a grid: grid=parameterization, schedule=linear,cosine seeds=5",
    "search": "hyperparameters by Optuna",
    "sample": "draw samples from a cell that was trained",
    "export": "keep a schedule that was learned or found by a search as a choice, or a cell as a folder of diffusers",
    "publish": "deliver results to MLflow, after an outage or to another store",
    "clean": "list, or free, the stages that nothing in a results folder needs any more",
}
READING = ("tables", "figures", "report")


def page() -> str:
    """A line for each command that there is."""
    own = [f"  python -m ablations.{name:11}{LINES[name]}" for name in COMMANDS]
    read = f"  python -m analysis.{{{','.join(READING)}}} grid=NAME    tables, figures and report from files alone"
    return "\n".join([*own, read, "", "Each says more with --help."])


if __name__ == "__main__":
    words = sys.argv[1:]
    if not words or {"--help", "-h"} & set(words[:1]):
        print(page())
        raise SystemExit(0)
    raise SystemExit(main(words))
