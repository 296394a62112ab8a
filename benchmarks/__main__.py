"""`python -m benchmarks`: the table of speed, as Markdown.

python -m benchmarks [rounds=7] [device=auto] [threads=1] [size=tiny|medium] [out=FILE]
"""

from __future__ import annotations

from typing import Any

from analysis.shell import exit_code
from benchmarks.cases import OPTIONS, scoring_cases, training_cases, workload_of
from benchmarks.timing import interleaved
from evidence.page_command import page_command, table


def time_all(given: dict[str, Any]) -> str:
    """The table of one size on one device."""
    workload, what = workload_of(given)
    lines = [f"{what}; medians of {given['rounds']} interleaved rounds"]
    for title, cases in (("a training step", training_cases(workload)), ("scoring", scoring_cases(workload))):
        found = interleaved(cases, given["rounds"], workload.device).items()
        each = [(name, one.seconds, one.ratio) for name, one in found]
        rows = ((name, f"{1000 * s:.1f}", f"{workload.batch / s:.0f}", f"{ratio:.2f}") for name, s, ratio in each)
        lines += ["", *table((title, "ms", "images/s", "× first"), rows)]
    return "\n".join(lines)


main = page_command("benchmarks", "Time training and scoring.", OPTIONS, time_all)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
