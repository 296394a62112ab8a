"""The stages that a results folder needs: those that its commands have listed, else those that its rows name.

Results without such a list are from an earlier version, or from another machine. If some of their stages are here,
there may be more of them than their rows name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablations.driver.wanted import wanted_by
from analysis.csv_files import read_csv
from analysis.errors import InputError
from analysis.folders import is_committed
from analysis.schema import AUTOENCODER

NAMING = ("training_id", AUTOENCODER)
"""The columns of rows that name stages."""
UNLISTED = "its command listed no stages, as earlier versions did not"


@dataclass(frozen=True)
class Needs:
    """The stages that a results folder needs, by their ids; `unknown` says why there may be more of them, "" if there
    cannot."""

    folder: Path
    stages: frozenset[str]
    unknown: str = ""


def needs_of(folder: Path, present: frozenset[str]) -> Needs:
    """The needs of a results folder, given the stages that are `present`."""
    listed = wanted_by(folder)
    if is_committed(folder):
        # The lists are of a person's own results of this name, which may be of other choices.
        named = _named_in(folder)
        return Needs(folder, named if named.isdisjoint(listed) else named | listed)
    if listed:
        return Needs(folder, listed)
    try:
        named = _named_in(folder)
    except InputError as error:
        return Needs(folder, frozenset(), f"it cannot be read ({error})")
    elsewhere = named and named.isdisjoint(present)
    return Needs(folder, named, "" if elsewhere else UNLISTED)


def _named_in(folder: Path) -> frozenset[str]:
    """The stages that the rows of a folder name; InputError where they cannot be read."""
    path = folder / "runs.csv"
    if not path.is_file():
        return frozenset()
    rows = read_csv(path, NAMING[:1])
    return frozenset(name for column in NAMING if column in rows for name in rows[column] if name)
