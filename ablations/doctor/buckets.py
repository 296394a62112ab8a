"""A journal on an object store: whether it answers and can be shared, what is there, and who holds what."""

from __future__ import annotations

from collections.abc import Iterator

from ablations.doctor.page import Finding, Part
from ablations.doctor.stages import lease
from ablations.engine.disk import RESULT, in_bytes
from ablations.engine.lease import NAME
from ablations.stages.bucket import bucket_at
from ablations.stages.listing import Listed, Whole
from analysis.format.errors import InputError


def bucket(address: str) -> list[Part]:
    """What is to be said of the stages on a store, and of their leases."""
    store = bucket_at(address)
    try:
        store.check()
        listing = Whole(store)
        listing.now()
        held = list(_held(listing))
    except (InputError, OSError) as error:
        return [Part("stages", [Finding("journal", str(error), "wrong")])]
    finished = sum(RESULT in files for files in listing.stages.values())
    size = in_bytes(sum(seen.size for files in listing.stages.values() for seen in files.values()))
    there = f"{address} answers, and can be shared; {size}"
    many = f"{finished} of {len(listing.stages)} have their result" if listing.stages else "none yet"
    return [Part("stages", [Finding("journal", there), Finding("stages", many)]), Part("leases", held)]


def _held(listing: Whole) -> Iterator[Finding]:
    for stage_id, files in sorted(listing.stages.items()):
        if any(name.startswith(NAME) for name in files):
            yield lease(f"stage {stage_id}", Listed(listing, stage_id))
