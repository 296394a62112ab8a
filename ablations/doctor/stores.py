"""Where data are found, where results go: data sets, stores, disks."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from ablations.data.base import DataSet
from ablations.data.kept import CACHE, cache
from ablations.doctor.page import Finding, Part
from ablations.engine.disk import bytes_of, in_bytes
from ablations.settings import grammar
from ablations.settings.registry import build
from ablations.tracking.addresses import SQLITE, quick_check
from analysis.format.errors import InputError
from analysis.format.folders import committed_in, folders_in, search_alone
from analysis.format.links import without_password
from analysis.read.runs import read_folder
from analysis.read.search import read_search

LEAST = 1e9
"""Bytes that are to be free where results are written."""


def data_sets(root: str) -> Part:
    """Every data set: where it lies, or where it was looked for and how to get it. `root` is data.root, where given."""
    return Part("data sets", [_data(name, root) for name in grammar.options_of("data")])


def _data(name: str, root: str) -> Finding:
    try:
        choice: DataSet = build(
            "data", {key: value for key, value in grammar.load("data", name).items() if key == "name"}
        )
        if root and "root" in {field.name for field in fields(choice)}:  # type: ignore[arg-type]
            choice = replace(choice, root=root)  # type: ignore[type-var]
        place = choice.place()
    except InputError as error:
        return Finding(name, "not found", "note", str(error))
    return Finding(name, place or "made where it is needed")


def stores(results: Path, uri: str) -> Part:
    """The tracking store and a search's storage: whether they answer, and whether their files are whole."""
    found = [_tracking(uri)]
    optuna = results / "optuna.db"
    return Part("stores", [*found, _file("searches", optuna, "searches begin anew")] if optuna.is_file() else found)


def _tracking(uri: str) -> Finding:
    if uri.startswith(SQLITE):
        path = Path(uri.removeprefix(SQLITE))
        if path.is_file():
            return _file("tracking", path, "`python -m ablations.publish` makes it anew from results")
        return Finding("tracking", f"{path} is not there yet: the first run makes it")
    from ablations.tracking.mlflow_client import trouble

    reason, shown = trouble(uri), without_password(uri)
    advice = (
        "start it, or give tracking.uri=; results are safe meanwhile: deliver them by `python -m ablations.publish`"
    )
    return Finding("tracking", reason or f"{shown} answers", "wrong" if reason else "", advice if reason else "")


def _file(name: str, path: Path, then: str) -> Finding:
    """A store in a file."""
    try:
        reason = quick_check(path)
    except sqlite3.Error as error:
        reason = str(error)
    if not reason:
        return Finding(name, f"{path}, {in_bytes(bytes_of(path))}: whole")
    return Finding(
        name, f"{path} is damaged: {reason}", "wrong", f"move it away, with {path}-wal and {path}-shm: {then}"
    )


def folders(results: Path) -> Part:
    """The folders of grids and searches: how many can be read, and why others cannot."""
    found = [*folders_in(results), *committed_in(results)]
    broken = [
        Finding(str(folder.relative_to(results)), reason, "wrong")
        for folder in found
        if (reason := _unreadable(folder))
    ]
    many = f"{len(found) - len(broken)} of {len(found)} can be read"
    return Part("results", [Finding("folders", many), *broken] if found else [])


def _unreadable(folder: Path) -> str:
    """Why the files of a grid or a search cannot be read; "" if they can."""
    try:
        read_search(folder) if search_alone(folder) else read_folder(folder)
    except (InputError, OSError) as error:
        return str(error)
    return ""


def disk(results: Path) -> Part:
    """The room where results are written, what they take, and what is cached."""
    return Part("disk", [_room(results), *_taken(results), *_caches()])


def _room(results: Path) -> Finding:
    there = next(place for place in (results, *results.absolute().parents) if place.exists())
    usage = shutil.disk_usage(there)
    room = f"{results}: {in_bytes(usage.free)} free of {in_bytes(usage.total)}"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            "results", f"{there} cannot be written to", "wrong", "give results=FOLDER that can, or mend its rights"
        )
    if usage.free < LEAST:
        return Finding("results", room, "wrong", "make room: python -m ablations.clean says what nobody needs")
    return Finding("results", room if results.exists() else f"{room}; nothing has been run yet")


def _taken(results: Path) -> Iterator[Finding]:
    for name, folder in (("stages", ".stages"), ("artifacts", ".artifacts")):
        if (results / folder).is_dir():
            yield Finding(name, f"{results / folder}: {in_bytes(bytes_of(results / folder))}")


def _caches() -> Iterator[Finding]:
    """Folders that can be deleted at any time."""
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for name, folder, more in (
        ("decoded data", cache(), f" ({CACHE} names another)"),
        ("compiled code", user / "diffusion_core", ""),
    ):
        size = f"{in_bytes(bytes_of(folder))}, can be deleted at any time" if folder.is_dir() else "nothing yet"
        yield Finding(name, f"{folder}{more}: {size}")
