"""`python -m benchmarks.peers`: the speed of others' libraries beside this suite, a section of `benchmarks/peers.md`.

python -m benchmarks.peers [rounds=7] [device=auto] [threads=2] [size=tiny|medium] [out=FILE]

Everything takes turns in one process, so that ratios hold on a busy machine. Needs `pip install -e '.[peers]'`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from analysis.errors import InputError
from analysis.shell import Option, exit_code
from benchmarks.cases import OPTIONS, Workload, workload_of
from benchmarks.peer_bound import bound_table
from benchmarks.peer_cases import STEPS, all_cases, multiply_adds
from benchmarks.timing import Timing, interleaved
from evidence.page_command import page_command, table

THREADS = {"threads": Option("CPU threads", 2, int)}
PEERS = ("diffusers", "denoising-diffusion-pytorch")
TIMES = "× ours", "× per MAC"
HEAD = ("network", "MMAC", "a training step, ms", *TIMES, "a call of sampling, ms", *TIMES)


def measure(given: dict[str, Any]) -> str:
    """Measure one size, and beside the smallest the bound; the section."""
    try:
        versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    except PackageNotFoundError as error:
        raise InputError(f"{error.name} is not installed: pip install -e '.[peers]'") from error
    size, what = workload_of(given)
    words = " ".join(f"{key}={given[key]}" for key in ("rounds", "threads", "size"))
    lines = [f"## {what}", "", f"`python -m benchmarks.peers {words}`; {versions}", ""]
    lines += compared(size, given["rounds"])
    return "\n".join([*lines, "", *bound_table(size, given["rounds"])] if given["size"] == "tiny" else lines)


def compared(size: Workload, rounds: int) -> list[str]:
    """A row for each network and precision, of which the first is the one that others are held against."""
    cases = all_cases(size)
    steps = interleaved({name: case.step for name, case in cases.items()}, rounds, size.device)
    samples = interleaved({name: case.sample for name, case in cases.items()}, rounds, size.device)
    adds = {name: multiply_adds(case.network, size.shape) / 1e6 for name, case in cases.items()}
    rows, (first, *_) = [], adds.values()
    for name, own in adds.items():
        more = own / first
        rows.append((name, f"{own:.1f}", *columns(steps[name], 1, more), *columns(samples[name], STEPS, more)))
    return table(HEAD, rows)


def columns(timing: Timing, calls: int, more: float) -> tuple[str, ...]:
    """Milliseconds of one of so many network calls, and × ours: as it is, and for `more` times the multiply-adds."""
    return f"{1000 * timing.seconds / calls:.2f}", f"{timing.ratio:.2f}", f"{timing.ratio / more:.2f}"


main = page_command("benchmarks.peers", "Time others' libraries beside ours.", OPTIONS | THREADS, measure)

if __name__ == "__main__":
    raise SystemExit(exit_code(main))
