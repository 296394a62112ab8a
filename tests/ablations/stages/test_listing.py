"""What a driver knows of a store: how often it lists it, and how old leases seem, by a store that takes its time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ablations.engine.lease import LOST, last_touch
from ablations.stages import listing
from ablations.stages.bucket import Bucket, Seen
from ablations.stages.listing import Listed, Whole


@dataclass(eq=False)
class Slow(Bucket):
    """A store of one lease that is listed in so many seconds each time, the last of them from then on, by its clock."""

    takes: list[float] = field(default_factory=list)
    touched: float = 0.0
    clock: float = 0.0
    lists: int = 0

    def listed(self, beginning):
        self.lists += 1
        self.clock += self.takes.pop(0) if len(self.takes) > 1 else self.takes[0]
        return {"a/lease.1": Seen(2, self.touched, "tag")}

    def read(self, key):
        return None

    def now(self):
        return self.clock


@pytest.fixture
def slow(monkeypatch):
    """takes → the store that does, whose clock is this process's too."""

    def make(*takes):
        found = Slow("s3://bucket", takes=list(takes))
        monkeypatch.setattr(listing.time, "monotonic", lambda: found.clock)
        return found

    return make


def pauses(store: Slow, many: int) -> list[float]:
    """The seconds between the end of each of the first listings and the next one."""
    whole, found = Whole(store), []
    for number in range(1, many + 1):
        whole.of("a")
        assert store.lists == number
        found.append(whole.next - store.clock)
        store.clock = whole.next
    return found


def test_a_store_that_was_away_while_it_was_listed_is_listed_again_as_soon_as_before(slow):
    assert pauses(slow(1.0, 80.0, 1.0), 3) == [20.0, 20.0, 20.0]


def test_however_long_it_takes_a_store_is_listed_again_after_a_minute(slow):
    assert pauses(slow(100.0), 2) == [60.0, 60.0]


def test_however_long_a_listing_took_no_lease_in_it_seems_older_than_it_was(slow):
    store = slow(LOST + 20.0)
    store.touched, store.clock = 100.0, 103.0
    assert last_touch(Listed(Whole(store), "a")) == (1, 3.0)
