"""The stages of a results folder: those that are damaged, that failed or were stopped, and who holds what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ablations.doctor.page import Finding, Mark, Part
from ablations.engine.disk import RESULT, STATUS, Left, left_in, subfolders
from ablations.engine.files import Damaged, kept
from ablations.engine.journal import Failure, Journal, Result
from ablations.engine.lease import NAME, holder
from ablations.engine.shelves import Shelf
from ablations.stages.artifacts import FIT, PER_IMAGE, RECONSTRUCTIONS, SAMPLES, WEIGHTS, read_artifact

MOST = 10
"""So many stages of a kind are listed."""
AGAIN = "the same command makes it anew"
UNSEEN = "the same command makes it anew once {result} is deleted: by itself it looks at the sizes of files alone"

LEAVES: dict[str, tuple[str, ...]] = {
    "cost/parameters": (WEIGHTS,),
    "cost/autoencoder_parameters": (WEIGHTS,),
    "cost/fit_seconds": (FIT,),
    "cost/bound_seconds": (PER_IMAGE["nll/test"],),
    "cost/continuous_seconds": (PER_IMAGE["nll_continuous/test"],),
    "cost/ode_seconds": (PER_IMAGE["nll_ode/test"],),
    "cost/sample_seconds": (SAMPLES,),
    "psnr/test": (RECONSTRUCTIONS,),
}
"""A metric that only stages of one kind have, and the files that such a stage leaves where it finished."""


def stages(root: Path, *, digests: bool = False) -> Part:
    """What is to be said of the stages in a folder; every file of theirs is read where `digests` are asked for."""
    journal = Journal(root)
    lefts = left_in(journal.root)
    finished = [left for left in lefts if left.finished]
    damaged = [(left, reason) for left in finished if (reason := damage(left, journal, digests=digests))]
    held = {left.id for left in lefts if holder(left.folder) is not None}
    lost = [
        (left, failure)
        for left in lefts
        if not left.finished and left.id not in held and STATUS in left.files and (failure := _failure(left, journal))
    ]
    many = f"{len(finished)} of {len(lefts)} have their result" if lefts else "none yet"
    return Part(
        "stages",
        [
            Finding("stages", many),
            *_some([_damaged(left, reason, journal) for left, reason in damaged], "damaged"),
            *_some([_failed(left, failure) for left, failure in lost if failure.kind != "stopped"], "failed"),
            *_some([_failed(left, failure) for left, failure in lost if failure.kind == "stopped"], "stopped"),
        ],
    )


def damage(left: Left, journal: Journal, *, digests: bool) -> str:
    """Why a stage that has a result cannot be relied on; "" if it can, as far as that is seen."""
    try:
        told, result = journal.damage(left.id), journal.result(left.id)
    except OSError as error:
        return f"{RESULT} cannot be read ({error})"
    if told or result is None:
        return told
    missing = [name for name in expected(result) if name not in left.files]
    if missing:
        return f"it lacks {', '.join(missing)}"
    check = altered if digests else not_tensors
    return next((reason for name in kept(left.files) if (reason := check(left.folder / name))), "")


def expected(result: Result) -> list[str]:
    """The files that a stage with this result has left."""
    if result.status != "finished":
        return []
    return [name for metric, names in LEAVES.items() if metric in result.metrics for name in names]


def not_tensors(path: Path) -> str:
    """Why a file is no whole file of tensors, by its own account of its length; "" if it is one."""
    try:
        with safe_open(path, framework="numpy"):
            return ""
    except (SafetensorError, OSError) as error:
        return f"{path.name} is no safetensors file ({error})"


def altered(path: Path) -> str:
    """Why a file is not what its stage wrote, by its digest; "" if it is."""
    try:
        read_artifact(path.parent, path.name)
    except Damaged as error:
        return error.what
    return ""


def _failure(left: Left, journal: Journal) -> Failure | None:
    try:
        return journal.failure(left.id)
    except OSError as error:
        return Failure("error", f"{STATUS} cannot be read ({error})")


def _damaged(left: Left, reason: str, journal: Journal) -> Finding:
    """What is said of a damaged stage: a command sees a wrong size by itself, and no altered byte."""
    todo = AGAIN if journal.damage(left.id) else UNSEEN.format(result=left.folder / RESULT)
    return Finding(left.id, f"damaged: {reason}", "wrong", todo)


def _failed(left: Left, failure: Failure) -> Finding:
    first = failure.message.splitlines()[0] if failure.message else "no reason was recorded"
    if failure.kind == "stopped":
        more = ", and goes on from its checkpoint" if left.goes_on else ""
        return Finding(left.id, f"stopped: {first}", "note", f"the same command runs it again{more}")
    advice = "mend that, and give its grid's command again; what no grid needs, python -m ablations.clean frees"
    return Finding(left.id, f"failed: {first}", "wrong", advice)


def _some(found: list[Finding], what: str) -> Iterator[Finding]:
    yield from found[:MOST]
    if len(found) > MOST:
        mark: Mark = found[0].mark
        yield Finding("…", f"and {len(found) - MOST} more that are {what}", mark)


def leases(results: Path, root: Path | None) -> Part:
    """Who holds what: commands at work, and stages under way, where these are in a folder; what was left by those that
    are gone."""
    top = results / ".leases"
    places = [place for name in subfolders(top) for place in (name, *subfolders(name))]
    known = [(str(place.relative_to(top)), place) for place in places]
    known += [(f"stage {folder.name}", folder) for folder in subfolders(root)] if root else []
    return Part("leases", list(_held(known)))


def _held(places: Iterable[tuple[str, Path]]) -> Iterator[Finding]:
    for name, place in places:
        if any(place.glob(f"{NAME}*")):
            yield lease(name, place, "; python -m ablations.clean takes away what stays")


def lease(name: str, place: Path | Shelf, more: str = "") -> Finding:
    """Who holds a place with a lease, under this name; or that its holder is gone, and what is `more` to do then."""
    who = holder(place)
    if who is not None:
        return Finding(name, f"held by {who}")
    advice = f"its process was killed: the same command goes on{more}"
    return Finding(name, "of a process that is gone", "note", advice)
