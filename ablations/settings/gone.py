"""Words that commands once knew, each refused by a line that says what to do instead."""

from __future__ import annotations

from analysis.errors import InputError

GONE = {
    "hours": "`timeout 2h python -m …` stops a command like Ctrl-C, and the same command continues",
    "launcher.per_gpu=auto": "take launcher.per_gpu=2, and more while a GPU's memory holds it",
    "launcher.gpus_per_cell": "a cell is trained on one GPU: for a large one take training.micro_batch=N and "
    "network.recompute=true, for small ones launcher.per_gpu=N",
}
ON_A_CLUSTER = "launcher.gpus_per_cell"
"""The word that stays with `launcher=ray`, where cells share a GPU."""


def refuse_gone(arguments: list[str]) -> None:
    """InputError for a word that is gone."""
    for word in arguments:
        key = word.partition("=")[0]
        instead = GONE.get(key, GONE.get(word))
        if instead is not None and not (key == ON_A_CLUSTER and "launcher=ray" in arguments):
            raise InputError(f"{word} is gone: {instead}")
