"""A journal on an object store: the same files under s3://BUCKET/PREFIX/<id>/, and copies of them in folders here.

    worker    CACHE/journals/<digest of the address>/workers/<id>/   ─ leaves files there, then delivers each whole
    driver    CACHE/journals/<digest of the address>/driver/<id>/    ◀ fetches what it reads

What is in the store is true. A copy is believed where it has the size and the time of its object, and can be deleted at
any time. They lie in the user's cache, since a worker on a node has no results folder, and since results/.stages is a
journal of its own, which half of a stage's files would break; and the driver's apart, since it may look at a file that
a worker of this machine is about to deliver. A stage's `result.json` is delivered last.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ablations.data.kept import cache
from ablations.engine.files import BEFORE, CHECKPOINT
from ablations.engine.journal import PROGRESS, RESULT, STATUS, Failure, Journal, Result, within
from ablations.engine.lease import NAME as LEASE
from ablations.engine.lease import Holder, holder, last_touch
from ablations.engine.shelves import Shelf
from ablations.stages.bucket import Bucket, Seen
from ablations.stages.listing import Listed, Listing
from ablations.stages.objects import Objects
from analysis.format.files import replace_file

WORKERS, DRIVER = "workers", "driver"
"""Whose copies they are."""
AT_ONCE = 500
"""Results that are held in memory while they are fetched."""
PROGRESS_SECONDS = 10.0
"""Between two deliveries of how far a stage is."""


def mirror_of(address: str, whose: str) -> Path:
    """The folder of the copies of a journal."""
    return cache() / "journals" / hashlib.sha256(address.encode()).hexdigest()[:16] / whose


@dataclass(frozen=True)
class Mirror(Journal):
    """The folders of all stages on a store, with copies under `root`; what there is, is known by a `listing`."""

    bucket: Bucket
    listing: Listing

    @property
    def address(self) -> str:
        return self.bucket.url

    @property
    def told_every(self) -> float:
        return PROGRESS_SECONDS

    def holding(self, stage_id: str, *names: str) -> Path:
        seen, folder = self.listing.of(stage_id), self.folder(stage_id)
        for name in names:
            if name in seen:
                self._fetch(stage_id, name, seen[name])
            else:
                (folder / name).unlink(missing_ok=True)
        return folder

    def sizes(self, stage_id: str, names: Iterable[str]) -> dict[str, int | None]:
        seen = self.listing.of(stage_id)
        return {name: seen[name].size if name in seen else None for name in names}

    def has(self, stage_id: str, name: str) -> bool:
        return name in self.listing.of(stage_id)

    def shelf(self, stage_id: str = "") -> Shelf:
        return Objects(self.bucket.url, f"{stage_id}/" if stage_id else "")

    def holder(self, stage_id: str) -> Holder | None:
        return holder(Listed(self.listing, stage_id))

    def last_touch(self, stage_id: str) -> tuple[int, float]:
        return last_touch(Listed(self.listing, stage_id))

    def bring(self, stage_id: str, *names: str) -> None:
        seen = self.listing.of(stage_id)
        if not names:
            self._forget_all_but(stage_id, seen)
        for name in names or [name for name in seen if _kept(name)]:
            if name in seen:
                self._fetch(stage_id, name, seen[name])

    def leave(self, stage_id: str, *names: str) -> None:
        folder = self.folder(stage_id)
        seen = {} if names else self.listing.of(stage_id)
        kept = (path.name for path in folder.iterdir() if _kept(path.name) and path.name not in (CHECKPOINT, BEFORE))
        for name in names or sorted(kept):
            path = folder / name
            if name not in seen or not _same(path, seen[name]):
                delivered = self.bucket.put(path, _key(stage_id, name))
                os.utime(path, (delivered.time, delivered.time))
        self.look(stage_id)

    def discard(self, stage_id: str, name: str) -> None:
        super().discard(stage_id, name)
        if name in self.listing.of(stage_id):
            self.bucket.remove(_key(stage_id, name))
            self.look(stage_id)

    def look(self, stage_id: str) -> None:
        self.listing.look(stage_id)

    def _sound(self, stage_id: str) -> Result | None:
        return super()._sound(stage_id) if self._read(stage_id, RESULT) else None

    def expect(self, stage_ids: Iterable[str]) -> None:
        there = ((stage_id, self.listing.of(stage_id).get(RESULT)) for stage_id in stage_ids)
        paths = {_key(stage_id, RESULT): (self.folder(stage_id) / RESULT, seen) for stage_id, seen in there if seen}
        stale = [key for key, (path, seen) in paths.items() if not _same(path, seen)]
        for first in range(0, len(stale), AT_ONCE):
            for key, text in self.bucket.texts(stale[first : first + AT_ONCE]).items():
                _write(*paths[key], text)

    def failure(self, stage_id: str) -> Failure | None:
        return super().failure(stage_id) if self._read(stage_id, STATUS) else None

    def progress(self, stage_id: str) -> float:
        try:
            return within(float(self.listing.text(stage_id, PROGRESS)))
        except ValueError:
            return 0.0

    def write_progress(self, stage_id: str, share: float) -> None:
        # A bar that stands still while the store does not answer is right, and no reason to stop.
        with suppress(OSError):
            self.bucket.write(_key(stage_id, PROGRESS), f"{share:.4f}")

    def _read(self, stage_id: str, name: str) -> bool:
        """Copy a file, if it is there; whether it is."""
        seen = self.listing.of(stage_id).get(name)
        if seen is not None:
            self._fetch(stage_id, name, seen)
        return seen is not None

    def _fetch(self, stage_id: str, name: str, seen: Seen) -> None:
        """Copy a file, unless the copy is the same."""
        path = self.folder(stage_id) / name
        if _same(path, seen):
            return

        def write(temporary: Path) -> None:
            self.bucket.get(_key(stage_id, name), temporary)
            os.utime(temporary, (seen.time, seen.time))

        # It may have been taken away since it was seen.
        with suppress(FileNotFoundError):
            replace_file(path, write)

    def _forget_all_but(self, stage_id: str, seen: Iterable[str]) -> None:
        """Make a stage's folder, without what an earlier try left in it alone."""
        folder = self.folder(stage_id)
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in seen:
                path.unlink()


def _key(stage_id: str, name: str) -> str:
    return f"{stage_id}/{name}"


def _kept(name: str) -> bool:
    """Whether a file of a stage's folder is one that the stage leaves, other than how it ended."""
    return not name.startswith((".", LEASE)) and name not in (RESULT, STATUS, PROGRESS)


def _same(path: Path, seen: Seen) -> bool:
    """Whether a file is a copy of an object: stores tell times in whole seconds, or not."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return there.st_size == seen.size and int(there.st_mtime) == int(seen.time)


def _write(path: Path, seen: Seen, text: str) -> None:
    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")
        os.utime(temporary, (seen.time, seen.time))

    replace_file(path, write)
