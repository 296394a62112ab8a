"""What is in a store, stage by stage: asked for each at every question, or for all of them at once now and then.

worker   Each     a listing of one stage's objects per question: it asks of a few stages
driver   Whole    a listing of all objects every few seconds, however many stages: the longer it takes, the rarer
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from ablations.engine.shelves import Readable
from ablations.stages.bucket import Bucket, Seen

SECONDS = 5.0
"""Between two listings."""
REST = 20
"""A listing is made again after so many times as long as one takes."""
LONGEST = 60.0
"""Between two listings, however long one takes: a command is to see what stands still or runs elsewhere."""
MOST = 50
"""Small texts that are read after each listing, of those that have changed."""


class Listing(ABC):
    """What objects there are of each stage, by name."""

    @abstractmethod
    def of(self, stage_id: str) -> dict[str, Seen]:
        """The objects of a stage."""

    @abstractmethod
    def look(self, stage_id: str) -> None:
        """Ask for this stage anew at the next question."""

    @abstractmethod
    def text(self, stage_id: str, name: str) -> str:
        """What is in a small object, as it was lately; "" where it is not there, or was not read yet."""

    @abstractmethod
    def now(self) -> float:
        """The time of this knowledge, by the store's clock."""


@dataclass(frozen=True)
class Each(Listing):
    """Asked at every question."""

    bucket: Bucket

    def of(self, stage_id: str) -> dict[str, Seen]:
        return _by_stage(self.bucket.listed(f"{stage_id}/")).get(stage_id, {})

    def look(self, stage_id: str) -> None:
        """It is anew anyway."""

    def text(self, stage_id: str, name: str) -> str:
        found = self.bucket.read(f"{stage_id}/{name}")
        return "" if found is None else found.text

    def now(self) -> float:
        return self.bucket.now()


class Whole(Listing):
    """All of a store at once, not older than some seconds; and the texts that were read, each with the tag it had.

    Threads may ask at once.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.lock = threading.RLock()
        self.stages: dict[str, dict[str, Seen]] = {}
        self.doubtful: set[str] = set()
        self.texts: dict[str, tuple[str, str]] = {}
        self.reads = 0
        self.time = 0.0
        self.took = math.inf
        self.next = 0.0

    def of(self, stage_id: str) -> dict[str, Seen]:
        with self.lock:
            self._renew()
            if stage_id in self.doubtful:
                self.doubtful.discard(stage_id)
                self.stages[stage_id] = _by_stage(self.bucket.listed(f"{stage_id}/")).get(stage_id, {})
            return self.stages.get(stage_id, {})

    def look(self, stage_id: str) -> None:
        with self.lock:
            self.doubtful.add(stage_id)

    def text(self, stage_id: str, name: str) -> str:
        with self.lock:
            key, seen = f"{stage_id}/{name}", self.of(stage_id).get(name)
            tag, text = self.texts.get(key, ("", ""))
            if seen is None or tag == seen.tag or self.reads == 0:
                return text if seen is not None else ""
            self.reads -= 1
            found = self.bucket.read(key)
            self.texts[key] = (seen.tag, "") if found is None else (found.tag, found.text)
            return self.texts[key][1]

    def now(self) -> float:
        with self.lock:
            self._renew()
            return self.time

    def _renew(self) -> None:
        if time.monotonic() < self.next:
            return
        began = time.monotonic()
        # The clock first: however long the listing takes, a lease in it does not seem older than it was.
        now = self.bucket.now()
        self.stages, self.time = _by_stage(self.bucket.listed("")), now
        self.doubtful.clear()
        self.reads = MOST
        ended = time.monotonic()
        # A store that was away makes one listing long: of two in a row the shorter tells how long one takes.
        before, self.took = self.took, ended - began
        self.next = ended + min(LONGEST, max(SECONDS, REST * min(before, self.took)))


@dataclass(frozen=True)
class Listed(Readable):
    """What a listing knows of the small files of a stage."""

    listing: Listing
    stage_id: str

    def names(self, beginning: str) -> list[str]:
        return [name for name in self.listing.of(self.stage_id) if name.startswith(beginning)]

    def read(self, name: str) -> tuple[str, float] | None:
        seen = self.listing.of(self.stage_id).get(name)
        return None if seen is None else (self.listing.text(self.stage_id, name), seen.time)

    def now(self) -> float:
        return self.listing.now()


def _by_stage(seen: dict[str, Seen]) -> dict[str, dict[str, Seen]]:
    """Objects by their stage, and by their names there; those of no stage are left out."""
    found: dict[str, dict[str, Seen]] = {}
    for key, one in seen.items():
        stage_id, slash, name = key.partition("/")
        if slash and "/" not in name:
            found.setdefault(stage_id, {})[name] = one
    return found
