"""`python -m benchmarks`: the table of speed, as Markdown.

python -m benchmarks [rounds=7] [device=auto] [threads=1] [size=small|large] [out=FILE]
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from ablations.settings.arguments import parse_options
from ablations.settings.exits import exit_code
from analysis.errors import InputError, unknown

OPTIONS: dict[str, type] = {"rounds": int, "device": str, "threads": int, "size": str, "out": str}
SIZES = ("small", "large")

USAGE = """python -m benchmarks [rounds=7] [device=auto] [threads=1] [size=small] [out=FILE]

  rounds=7       how often every case is timed; medians are compared
  device=auto    cpu, cuda or cuda:N
  threads=1      CPU threads
  size=small     the baseline's network on 8x8 grey images, batch 128; large: 1.6M parameters, 32x32 colour, batch 64
  out=FILE       write the table there as well"""


def main(arguments: list[str]) -> int:
    """Time, print, and write where asked."""
    if {"--help", "-h"} & set(arguments):
        print(USAGE)
        return 0
    given: dict[str, Any] = {"rounds": 7, "device": "auto", "threads": 1, "size": "small"}
    given |= parse_options(arguments, OPTIONS)
    if given["size"] not in SIZES:
        raise unknown("size", given["size"], SIZES)
    if min(given["rounds"], given["threads"]) < 1:
        raise InputError("rounds and threads must be at least 1")
    table = measure(given["rounds"], given["device"], given["threads"], given["size"])
    print(table)
    if "out" in given:
        Path(given["out"]).write_text(table + "\n")
    return 0


def measure(rounds: int, device_name: str, threads: int, size: str) -> str:
    """The table of one size on one device."""
    import torch

    from ablations.launchers.protocol import found_devices
    from benchmarks.cases import LARGE, SMALL, Workload, scoring_cases, training_cases
    from benchmarks.timing import Timing, interleaved

    torch.set_num_threads(threads)
    device = torch.device(found_devices(device_name)[0])
    small = size == "small"
    workload = Workload(SMALL if small else LARGE, (1, 8, 8) if small else (3, 32, 32), 128 if small else 64, device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
    lines = [
        f"{size}: {list(workload.shape)}, batch {workload.batch}, {where}, threads {threads}, "
        f"torch {torch.__version__}; medians of {rounds} interleaved rounds",
    ]

    def rows(title: str, timings: dict[str, Timing]) -> list[str]:
        head = ["", f"| {title} | ms | images/s | × first |", "|---|---|---|---|"]
        body = [
            f"| {name} | {1000 * t.seconds:.1f} | {workload.batch / t.seconds:.0f} | {t.ratio:.2f} |"
            for name, t in timings.items()
        ]
        return head + body

    lines += rows("a training step", interleaved(training_cases(workload), rounds, device))
    lines += rows("scoring", interleaved(scoring_cases(workload), rounds, device))
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
