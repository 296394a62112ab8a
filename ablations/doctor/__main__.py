"""`python -m ablations.doctor`: check a machine and a results folder, and say what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ablations.settings.exits import exit_code
from analysis.options import Option, parse, usage

PURPOSE = (
    "Look at libraries and devices, stores, the disk and stages, and say what is there; what is wrong (!), and what "
    "could be better (·), comes with what to do. The exit code is 0 if nothing is wrong, and 1 otherwise."
)
OPTIONS = {
    "results": Option("the results folder", "results"),
    "journal": Option("the folder of stages, by default RESULTS/.stages"),
    "tracking.uri": Option("the tracking store, by default sqlite:///RESULTS/mlflow.db"),
    "digests": Option("read every file that stages left, and hold it to its digest", "no", choices=("no", "yes")),
}


def main(arguments: list[str]) -> int:
    """Exit code 0 if nothing is wrong, 1 if something is; 2 for a wrong call."""
    if {"--help", "-h", "help"} & set(arguments):
        print(usage("ablations.doctor", PURPOSE, OPTIONS))
        return 0
    return looked_at(parse(arguments, OPTIONS))


def looked_at(given: dict[str, Any]) -> int:
    """Print the page; 1 if something on it is wrong."""
    from ablations.doctor.machine import devices, page, versions

    parts = {"versions": list(versions())}
    results = Path(given["results"])
    root = Path(given["journal"] or results / ".stages")
    try:
        from ablations.doctor.stages import disk, leases, stages, stores

        parts["devices"] = list(devices())
        parts["stores"] = list(stores(results, given["tracking.uri"]))
        parts["disk"] = list(disk(results))
        parts["stages"] = list(stages(root, digests=given["digests"] == "yes"))
        parts["leases"] = list(leases(results, root))
    except ImportError as error:
        print(page(parts))
        print(f"error: {error}. The rest of this page needs it: `pip check` says what is missing", file=sys.stderr)
        return 1
    print(page(parts))
    return int(any(finding.mark == "wrong" for findings in parts.values() for finding in findings))


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
