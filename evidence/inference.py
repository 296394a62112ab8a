"""Error rates and power of the rules of `analysis/statistics`, as Markdown. It rebuilds `evidence/inference.md`:

    python -m evidence.inference replicates=4000 out=evidence/inference.md

Grids whose truth is known are drawn and handed to the functions that the pages are made with, but for the steps of
`settle` and the loop of `beaten_by`, which `claimed` and `excluded` take for all grids at once: a test holds them to
`judge` and `beaten_by`. Where cells share values, count or lack seeds, `judge` itself is asked.
"""

from __future__ import annotations

import math

from ablations.settings.exits import exit_code
from evidence.examples import INFERENCE
from evidence.inference_errors import coverage_tables, equality_errors, error_tables, image_errors
from evidence.inference_pages import page_tables
from evidence.inference_power import best_errors, equality_power, power_tables
from evidence.inference_scales import scale_tables
from evidence.page_command import page_command, replicates


def lines(count: int) -> list[str]:
    """All tables, with what they hold."""
    return [
        "# What is claimed, and how often it is wrong",
        "",
        f"By `python -m evidence.inference replicates={count} out=evidence/inference.md`; the seed is fixed.",
        "",
        "Everything is in %. **Bold** is the worst of a table; ✗ is what misses its target. SD is that of a cell's",
        f"values between seeds. {count} grids make a Monte-Carlo error of {error(count):.2f} at 5 %, and",
        f"{5 * count} one of {error(5 * count):.2f}.",
        "",
        *INFERENCE.splitlines(),
        "",
        *coverage_tables(count),
        *error_tables(count),
        *equality_errors(count),
        *image_errors(count),
        *best_errors(count),
        *scale_tables(math.ceil(count / 2)),
        *page_tables(count),
        *power_tables(count),
        *equality_power(count),
    ]


def error(replicates: int) -> float:
    """The Monte-Carlo error of a rate of 5 %, in %."""
    return 100 * math.sqrt(0.05 * 0.95 / replicates)


main = page_command(
    "evidence.inference",
    "Error rates and power of what is claimed.",
    replicates("grids drawn for each figure; those that a rule's error is told by are five times as many", 4000),
    lambda given: "\n".join(lines(given["replicates"])),
)
"""The command; its exit code."""

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
