"""Error rates and power of the rules of `analysis/statistics`, as Markdown. It rebuilds `evidence/inference.md`:

    python -m evidence.inference replicates=4000 out=evidence/inference.md

Grids whose truth is known are drawn and handed to the functions that the pages are made with, but for the steps of
`settle` and the loop of `beaten_by`, which `claimed` and `excluded` take for all grids at once: a test holds them to
`judge` and `beaten_by`. Where cells share values, count or lack seeds, `judge` itself is asked.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from analysis.format import options
from analysis.format.errors import InputError
from analysis.format.options import Option
from evidence.examples import INFERENCE
from evidence.inference_errors import coverage_tables, equality_errors, error_tables, image_errors
from evidence.inference_pages import page_tables
from evidence.inference_power import best_errors, equality_power, power_tables
from evidence.inference_scales import scale_tables

OPTIONS = {
    "replicates": Option(
        "grids drawn for each figure; those that a rule's error is told by are five times as many", 4000, int
    ),
    "out": Option("a file to write the tables to as well"),
}


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("evidence.inference", "Error rates and power of what is claimed.", OPTIONS, simulate, arguments)


def simulate(given: dict[str, Any]) -> None:
    """Simulate, print, and write where asked."""
    if given["replicates"] < 1:
        raise InputError("replicates must be at least 1")
    text = "\n".join(lines(given["replicates"]))
    print(text)
    if given["out"]:
        Path(given["out"]).write_text(text + "\n", encoding="utf-8")


def lines(replicates: int) -> list[str]:
    """All tables, with what they hold."""
    return [
        "# What is claimed, and how often it is wrong",
        "",
        f"By `python -m evidence.inference replicates={replicates} out=evidence/inference.md`; the seed is fixed.",
        "",
        "Everything is in %. **Bold** is the worst of a table; ✗ is what misses its target. SD is that of a cell's",
        f"values between seeds. {replicates} grids make a Monte-Carlo error of {error(replicates):.2f} at 5 %, and",
        f"{5 * replicates} one of {error(5 * replicates):.2f}.",
        "",
        *INFERENCE.splitlines(),
        "",
        *coverage_tables(replicates),
        *error_tables(replicates),
        *equality_errors(replicates),
        *image_errors(replicates),
        *best_errors(replicates),
        *scale_tables(math.ceil(replicates / 2)),
        *page_tables(replicates),
        *power_tables(replicates),
        *equality_power(replicates),
    ]


def error(replicates: int) -> float:
    """The Monte-Carlo error of a rate of 5 %, in %."""
    return 100 * math.sqrt(0.05 * 0.95 / replicates)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
