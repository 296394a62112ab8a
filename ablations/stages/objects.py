"""A prefix of an object store, as a place of small files (`engine.shelves`)."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.engine.shelves import Shelf
from ablations.stages.bucket import bucket_at


@dataclass(frozen=True)
class Objects(Shelf):
    """The objects of a store whose keys begin with `prefix`, by conditional puts and the store's own clock."""

    url: str
    prefix: str = ""

    def make(self, name: str, text: str) -> str | None:
        bucket, key = bucket_at(self.url), self.prefix + name
        tag = bucket.create(key, text)
        if tag is not None:
            return tag
        # An answer may have been lost on its way: then it is there, and is this one.
        found = bucket.read(key)
        return found.tag if found is not None and found.text == text else None

    def touch(self, name: str, text: str, tag: str) -> str | None:
        bucket, key = bucket_at(self.url), self.prefix + name
        again = bucket.rewrite(key, text, tag)
        if again is not None:
            return again
        # Of some stores a tag is another one after each put, whose answer may have been lost.
        found = bucket.read(key)
        return bucket.rewrite(key, text, found.tag) if found is not None and found.text == text else None

    def read(self, name: str) -> tuple[str, float] | None:
        found = bucket_at(self.url).read(self.prefix + name)
        return None if found is None else (found.text, found.time)

    def names(self, beginning: str) -> list[str]:
        return [key.removeprefix(self.prefix) for key in bucket_at(self.url).listed(self.prefix + beginning)]

    def remove(self, name: str) -> None:
        bucket_at(self.url).remove(self.prefix + name)

    def now(self) -> float:
        return bucket_at(self.url).now()
