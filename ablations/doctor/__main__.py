"""`python -m ablations.doctor`: whether all is well with a machine and a results folder, and what to do where not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.format.options import Option, parse, usage

if TYPE_CHECKING:
    from ablations.doctor.page import Part

PURPOSE = (
    "Look at packages, devices, data sets, stores, disks and stages, and say what is found; what is wrong (!), and "
    "what could be better (·), comes with what to do. The exit code is 0 if nothing is wrong, and 1 otherwise."
)
OPTIONS = {
    "results": Option("the results folder", "results"),
    "journal": Option("the folder where stages are kept; by default RESULTS/.stages"),
    "tracking.uri": Option("the tracking store, by default sqlite:///RESULTS/mlflow.db"),
    "data.root": Option("where data sets are looked for, where that is none of their own places"),
    "configs": Option("your own folder of choices, by default configs"),
    "digests": Option(
        "whether every file that stages left is read, and held to its digest", "no", choices=("no", "yes")
    ),
}


def main(arguments: list[str]) -> int:
    """Exit code 0 if nothing is wrong, 1 if something is; 2 for a wrong call."""
    if {"--help", "-h", "help"} & set(arguments):
        print(usage("ablations.doctor", PURPOSE, OPTIONS))
        return 0
    return looked_at(parse(arguments, OPTIONS))


def looked_at(given: dict[str, Any]) -> int:
    """Print the page; 1 if something on it is wrong."""
    from ablations.doctor.machine import packages
    from ablations.doctor.page import page

    parts = [packages()]
    try:
        parts += everything_else(given)
    except ImportError as error:
        print(page(parts))
        print(f"error: {error}. The rest of this page needs it: see above", file=sys.stderr)
        return 1
    print(page(parts))
    return int(any(one.mark == "wrong" for part in parts for one in part.findings))


def everything_else(given: dict[str, Any]) -> list[Part]:
    """What is to be said beside the packages; ImportError where one of these is missing."""
    from ablations.doctor.machine import machine
    from ablations.doctor.stages import leases, stages
    from ablations.doctor.stores import data_sets, disk, folders, stores
    from ablations.engine.journal import journal_of
    from ablations.settings import grammar
    from ablations.tracking.uris import default_uri

    grammar.use(given["configs"] or None)
    results = Path(given["results"])
    uri = given["tracking.uri"] or default_uri(results)
    looked = [machine(), data_sets(given["data.root"]), stores(results, uri), disk(results), folders(results)]
    root = journal_of(results, given["journal"]).root
    return [*looked, stages(root, digests=given["digests"] == "yes"), leases(results, root)]


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
