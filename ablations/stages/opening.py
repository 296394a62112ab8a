"""The journal of an address: in a folder, or a worker's or a driver's view of one on an object store."""

from __future__ import annotations

from pathlib import Path

from ablations.engine.journal import Journal
from ablations.settings.addresses import address_of, is_remote
from ablations.stages.bucket import bucket_at


def journal_at(address: str) -> Journal:
    """The journal as a worker has it, who asks of few stages."""
    if not is_remote(address):
        return Journal(Path(address))
    from ablations.stages.listing import Each
    from ablations.stages.mirror import WORKERS, Mirror, mirror_of

    bucket = bucket_at(address)
    return Mirror(mirror_of(address, WORKERS), bucket, Each(bucket))


def journal_of(results: Path, journal: str | None, *, reads: bool = False) -> Journal:
    """The journal of a command that keeps its results in this folder, and was told `journal=`; a command that only
    `reads` asks of few stages.

    InputError where there is no such store, or it cannot be shared: it is tried at once.
    """
    address = address_of(results, journal)
    if not is_remote(address):
        return Journal(Path(address))
    from ablations.stages.listing import Each, Whole
    from ablations.stages.mirror import DRIVER, Mirror, mirror_of

    bucket = bucket_at(address)
    bucket.check(reads=reads)
    return Mirror(mirror_of(address, DRIVER), bucket, Each(bucket) if reads else Whole(bucket))
