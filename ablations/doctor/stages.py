"""A results folder: stages that are damaged, failed or stopped; holders of leases; stores; disk space."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from ablations.doctor.machine import Finding
from ablations.engine.disk import Left, bytes_of, in_bytes, left_in, subfolders
from ablations.engine.files import Damaged, kept
from ablations.engine.journal import RESULT, STATUS, Failure, Journal
from ablations.engine.lease import has_lease, holder
from ablations.stages.artifacts import read_artifact
from ablations.tracking.sqlite_file import SQLITE, quick_check
from ablations.tracking.uris import default_uri
from analysis.links import without_password

MOST = 10
"""The most stages of a kind that are listed."""


def stages(root: Path, *, digests: bool = False) -> Iterator[Finding]:
    """The number of stages in a folder, and those that need attention; with `digests` all their files are read."""
    journal = Journal(root)
    lefts = left_in(root)
    finished = sum(left.finished for left in lefts)
    yield Finding("stages", f"{finished} of {len(lefts)} have their result" if lefts else "none yet")
    asking = [finding for left in lefts if (finding := _asks(left, journal, digests=digests))]
    for kind in ("damaged", "failed", "stopped"):
        alike = [finding for finding in asking if finding.value.startswith(kind)]
        yield from alike[:MOST]
        if len(alike) > MOST:
            yield Finding("…", f"and {len(alike) - MOST} more that are {kind}", alike[0].mark)


def _asks(left: Left, journal: Journal, *, digests: bool) -> Finding | None:
    """The finding on a stage that is damaged, failed or was stopped; None for others."""
    if left.finished:
        return _damaged(left, journal, digests=digests)
    if STATUS not in left.files or holder(left.folder) is not None:
        return None
    try:
        failure = journal.failure(left.id)
    except OSError as error:
        failure = Failure("error", f"{STATUS} cannot be read ({error})")
    return None if failure is None else _failed(left, failure)


def _damaged(left: Left, journal: Journal, *, digests: bool) -> Finding | None:
    """The finding on a stage whose result or files are not whole; None where no damage is seen."""
    try:
        reason = journal.damage(left.id)
    except OSError as error:
        reason = f"{RESULT} cannot be read ({error})"
    if reason:
        return Finding(left.id, f"damaged: {reason}", "wrong", "the same command makes it anew")
    for name in kept(left.files) if digests else ():
        try:
            read_artifact(left.folder, name)
        except Damaged as error:
            todo = f"delete {left.folder / RESULT}, and the same command makes it anew: by itself it sees sizes alone"
            return Finding(left.id, f"damaged: {error.what}", "wrong", todo)
    return None


def _failed(left: Left, failure: Failure) -> Finding:
    first = failure.message.splitlines()[0] if failure.message else "no reason was recorded"
    if failure.kind == "stopped":
        more = ", and goes on from its checkpoint" if left.goes_on else ""
        return Finding(left.id, f"stopped: {first}", "note", f"the same command runs it again{more}")
    advice = "mend that, and give its grid's command again; what no grid needs, python -m ablations.clean frees"
    return Finding(left.id, f"failed: {first}", "wrong", advice)


def leases(results: Path, root: Path) -> Iterator[Finding]:
    """The holders of results and of stages under way, and the leases of processes that are gone."""
    top = results / ".leases"
    places = [place for name in subfolders(top) for place in (name, *subfolders(name))]
    named = [(str(place.relative_to(top)), place) for place in places]
    named += [(f"stage {folder.name}", folder) for folder in subfolders(root)]
    for name, place in named:
        if not has_lease(place):
            continue
        who = holder(place)
        todo = "its process was killed: the same command goes on; python -m ablations.clean takes away what stays"
        gone = Finding(name, "of a process that is gone", "note", todo)
        yield gone if who is None else Finding(name, f"held by {who}")


LEAST = 1e9  # bytes that are to be free where results are written


def stores(results: Path, uri: str) -> Iterator[Finding]:
    """The tracking store, by default the folder's own, and a search's storage: whether they answer and are whole."""
    uri = uri or default_uri(results)
    if not uri.startswith(SQLITE):
        yield _server(uri)
    else:
        yield _file("tracking", Path(uri.removeprefix(SQLITE)), "`python -m ablations.publish` makes it anew")
    yield _file("searches", results / "optuna.db", "searches begin anew")


def _server(uri: str) -> Finding:
    from ablations.tracking.mlflow_client import trouble

    reason = trouble(uri)
    if not reason:
        return Finding("tracking", f"{without_password(uri)} answers")
    todo = "start it, or give tracking.uri=; results are safe meanwhile: deliver them by `python -m ablations.publish`"
    return Finding("tracking", reason, "wrong", todo)


def _file(name: str, path: Path, then: str) -> Finding:
    """A store in a file; `then` says what happens once it is moved away."""
    if not path.is_file():
        return Finding(name, f"{path} is not there yet: the first command that needs it makes it")
    try:
        reason = quick_check(path)
    except sqlite3.Error as error:
        reason = str(error)
    if not reason:
        return Finding(name, f"{path}, {in_bytes(bytes_of(path))}: whole")
    todo = f"move it away, with {path}-wal and {path}-shm: {then}"
    return Finding(name, f"{path} is damaged: {reason}", "wrong", todo)


def disk(results: Path) -> Iterator[Finding]:
    """The space where results are written, and what they take."""
    there = next(place for place in (results, *results.absolute().parents) if place.exists())
    usage = shutil.disk_usage(there)
    room = f"{results}: {in_bytes(usage.free)} free of {in_bytes(usage.total)}"
    if not os.access(there, os.W_OK | os.X_OK):
        todo = "give results=FOLDER that can, or mend its rights"
        yield Finding("results", f"{there} cannot be written to", "wrong", todo)
    elif usage.free < LEAST:
        yield Finding("results", room, "wrong", "make room: python -m ablations.clean says what nobody needs")
    else:
        yield Finding("results", room)
    for name in (".stages", ".artifacts"):
        if (results / name).is_dir():
            yield Finding(name, in_bytes(bytes_of(results / name)))
