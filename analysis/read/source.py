"""Which grid a command is about: the options `grid` and `runs`, and what they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analysis.errors import InputError
from analysis.options import Option, folder_name
from analysis.read.runs import GridResults, read_folder
from analysis.read.store import read_store

SOURCE = {
    "grid": Option("the grid's name, as in `python -m ablations.run grid=NAME`"),
    "runs": Option("a results folder (default results/<grid>), or a tracking store: sqlite:///PATH, http://HOST:PORT"),
}
"""The options of every command that reads a grid."""


def folder_of(values: Mapping[str, str]) -> Path:
    """The results folder that grid= and runs= name."""
    if values["runs"] and "://" not in values["runs"]:
        return Path(values["runs"])
    return Path("results") / folder_name("grid", values["grid"])


def read(values: Mapping[str, str]) -> GridResults:
    """The grid that grid= and runs= name; InputError where there is none, or it is not said which."""
    if "://" in values["runs"]:
        if not values["grid"]:
            raise InputError(f"runs={values['runs']} is a tracking store, which holds many grids: give grid=NAME too")
        return read_store(values["runs"], values["grid"])
    if not values["grid"] and not values["runs"]:
        found = sorted(path.parent.name for path in Path("results").glob("*/grid.json"))
        raise InputError(f"which grid? give grid=NAME; results/ holds {', '.join(found) or 'none yet'}")
    return read_folder(folder_of(values))
