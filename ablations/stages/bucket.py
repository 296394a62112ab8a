"""An object store, s3://BUCKET/PREFIX, by s3fs: the one file that knows it.

Requests that a network or a store fails are tried again for a while. What then still fails is an OSError in one line:
the machine's failure, and none of a stage's. Endpoint, region and keys are read where every program reads them.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from ablations.settings.addresses import bucket_in
from analysis.format.errors import InputError

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for which a request is tried again before it has failed."""
PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds between its tries; the last of them from then on."""
ANSWER_SECONDS = 8.0
"""For a store to answer at all, when a command begins."""
TIMEOUTS = {"connect_timeout": 5, "read_timeout": 60}
PARTS = 8
"""Parts of a large file that are sent at a time."""
REFUSED = (409, 412)
"""What a store says to a put whose condition does not hold, or that another one has overtaken."""
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What is wrong with this machine's own disk, when an object is copied there."""
UNKNOWN = 501
"""What a store says that knows no conditions."""
CLOCK = ".now"
"""The object by which the store's clock is read."""


@dataclass(frozen=True)
class Seen:
    """An object as it was last seen: its bytes, its time by the store's clock, and a tag that tells it from others."""

    size: int
    time: float
    tag: str


@dataclass(frozen=True)
class Found:
    """A small object that was read: its text, its time and its tag."""

    text: str
    time: float
    tag: str


@dataclass(eq=False)
class Bucket:
    """The objects of a store whose keys begin with a prefix; keys are told without it.

    `down` says that the store did not answer lately: then nobody waits for it again until it does.
    """

    url: str
    down: bool = False

    @cached_property
    def fs(self) -> Any:
        """s3fs; InputError where it is not installed, or its settings make no sense."""
        try:
            import s3fs
        except ImportError as error:
            raise InputError(f"journal={self.url} needs s3fs: pip install 'diffusion-ablations[s3]'") from error
        config = {**TIMEOUTS, "retries": {"max_attempts": 0}}
        found = s3fs.S3FileSystem(
            config_kwargs=config, max_concurrency=1, use_listings_cache=False, skip_instance_cache=True
        )
        # Trying again is ours: these tries would add up to minutes.
        found.retries = 1
        return found

    def check(self, *, reads: bool = False) -> None:
        """InputError, within seconds, where the store cannot be reached, or cannot be shared by several commands, which
        one that only `reads` does not ask."""
        name, _ = self._place
        try:
            self._asked("list_objects_v2", MaxKeys=1, timeout=ANSWER_SECONDS)
            conditional = reads or self._keeps_conditions()
        except FileNotFoundError as error:
            raise InputError(f"journal={self.url}: there is no bucket {name}: make it, or name another") from error
        except _network_errors() as error:
            raise InputError(f"journal={self.url}: {_advice(error)}") from error
        if not conditional:
            raise InputError(
                f"journal={self.url}: this store keeps no conditions of a put (If-None-Match, If-Match), by "
                "which a stage is one command's: take a newer version of it, or another store"
            )

    def create(self, key: str, text: str) -> str | None:
        """Make an object that is not there; its tag, and None where there is one."""
        return self._put_if(key, text, IfNoneMatch="*")

    def rewrite(self, key: str, text: str, tag: str) -> str | None:
        """Put an object in the place of the one with this tag; its own tag, and None where another one is there."""
        return self._put_if(key, text, IfMatch=f'"{tag}"')

    def write(self, key: str, text: str) -> None:
        """Put an object, whatever is there; it is tried once."""
        self._tried(lambda: self._asked("put_object", key, Body=text.encode()), patience=0)

    def read(self, key: str) -> Found | None:
        """A small object; None where it is not there."""
        try:
            seen = self._seen(key)
            text = self._tried(lambda: self.fs.cat_file(self._path(key)))
        except FileNotFoundError:
            return None
        return Found(text.decode("utf-8", errors="replace"), seen.time, seen.tag)

    def texts(self, keys: Iterable[str]) -> dict[str, str]:
        """Many small objects, many at a time; without those that are not there."""
        paths = {self._path(key): key for key in keys}
        if not paths:
            return {}
        read = self._tried(lambda: self.fs.cat(list(paths), on_error="return"))
        found: dict[str, str] = {}
        for path, content in read.items():
            if isinstance(content, FileNotFoundError):
                continue
            # One of many that failed is asked for by itself, with patience.
            again = self.read(paths[path]) if isinstance(content, Exception) else None
            text = again.text if again is not None else content.decode("utf-8") if isinstance(content, bytes) else None
            found |= {} if text is None else {paths[path]: text}
        return found

    def get(self, key: str, path: Path) -> None:
        """Copy an object into a file; FileNotFoundError where it is not there."""
        self._tried(lambda: self.fs.get_file(self._path(key), str(path)))

    def put(self, path: Path, key: str) -> Seen:
        """Copy a file into an object."""
        self._tried(lambda: self.fs.put_file(str(path), self._path(key), max_concurrency=PARTS))
        return self._seen(key)

    def remove(self, key: str) -> None:
        """Remove an object, which may be gone already."""
        self._tried(lambda: self._asked("delete_object", key))

    def listed(self, beginning: str) -> dict[str, Seen]:
        """All objects whose keys begin so."""
        _, prefix = self._place
        found: dict[str, Seen] = {}
        more: dict[str, str] = {}
        while True:
            page = self._tried(partial(self._asked, "list_objects_v2", Prefix=prefix + beginning, **more))
            found |= {one["Key"].removeprefix(prefix): _seen_in(one, one["Size"]) for one in page.get("Contents", [])}
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def now(self) -> float:
        """The time by the store's clock."""
        self._tried(lambda: self._asked("put_object", CLOCK, Body=b""))
        return self._seen(CLOCK).time

    @cached_property
    def _place(self) -> tuple[str, str]:
        """The bucket's name, and what keys begin with."""
        name, prefix = bucket_in(self.url)
        return name, f"{prefix}/" if prefix else ""

    def _path(self, key: str) -> str:
        name, prefix = self._place
        return f"{name}/{prefix}{key}"

    def _asked(self, operation: str, key: str | None = None, **given: Any) -> Any:
        """One request, tried once."""
        name, prefix = self._place
        of = {} if key is None else {"Key": prefix + key}
        return self.fs.call_s3(operation, Bucket=name, **of, **given)

    def _seen(self, key: str) -> Seen:
        head = self._tried(lambda: self._asked("head_object", key))
        return _seen_in(head, head["ContentLength"])

    def _put_if(self, key: str, text: str, **condition: str) -> str | None:
        try:
            answer = self._tried(lambda: self._asked("put_object", key, Body=text.encode(), **condition))
        except FileNotFoundError:
            return None
        except OSError as error:
            if _status(error) in REFUSED:
                return None
            raise
        return str(answer["ETag"]).strip('"')

    def _keeps_conditions(self) -> bool:
        """Whether the store refuses a second object of one name, and one in the place of another."""
        key = f".conditions-{secrets.token_hex(8)}"
        try:
            made, again = self.create(key, "one"), self.create(key, "two")
            replaced = self.rewrite(key, "three", "0" * 32)
        except OSError as error:
            if _status(error) != UNKNOWN:
                raise
            return False
        finally:
            self.remove(key)
        return made is not None and again is None and replaced is None

    def _tried(self, action: Callable[[], T], patience: float | None = None) -> T:
        """What an action comes to, which is tried again while it may pass; OSError where it does not, in one line.

        FileNotFoundError where there is no such object, and what a store refuses, come at once.
        """
        until = time.monotonic() + (0.0 if self.down else PATIENCE if patience is None else patience)
        pauses = iter(PAUSES)
        while True:
            try:
                found = action()
            except FileNotFoundError:
                raise
            except _network_errors() as error:
                if not _may_pass(error):
                    raise _told(self.url, error) from error
                pause = next(pauses, PAUSES[-1])
                if time.monotonic() + pause > until:
                    self.down = True
                    raise _told(self.url, error) from error
                time.sleep(pause)
            else:
                self.down = False
                return found


@cache
def bucket_at(url: str) -> Bucket:
    """The store at an address, once per process."""
    return Bucket(url)


def _seen_in(told: dict[str, Any], size: int) -> Seen:
    return Seen(size, told["LastModified"].timestamp(), str(told["ETag"]).strip('"'))


def _network_errors() -> tuple[type[Exception], ...]:
    """What s3fs, and what it rests on, raises."""
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError

    return OSError, BotoCoreError, ClientError


def _status(error: BaseException) -> int | None:
    """The status of the answer that an exception stands for; None where there was no answer."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return None if status is None else int(status)
        seen = seen.__cause__
    return None


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may do better later: nobody answered, or the store was busy or broken."""
    status = _status(error)
    if status is not None:
        return status == 429 or (status >= 500 and status != UNKNOWN)
    return _unanswered(error) and getattr(error, "errno", None) not in DISK


def _unanswered(error: BaseException) -> bool:
    """Whether it is of the way to a store, and not of what this process knows of it: its keys, say."""
    from botocore.exceptions import BotoCoreError, ConnectionError, HTTPClientError

    return isinstance(error, (ConnectionError, HTTPClientError)) or not isinstance(error, BotoCoreError)


def _told(url: str, error: BaseException) -> OSError:
    """An OSError of one line, with the store's answer behind it."""
    return OSError(f"{url}: {_line(error)}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _advice(error: BaseException) -> str:
    """Why a store cannot be used, and what to do."""
    cause = error.__cause__ if isinstance(error, OSError) and error.__cause__ is not None else error
    said = _line(cause)
    if _status(error) in (401, 403):
        return f"the store does not let this command in ({said}): check the keys (AWS_PROFILE, or AWS_ACCESS_KEY_ID, …)"
    if _status(error) is None and _unanswered(cause):
        where = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
        return f"no store answers at {where} ({said}): start it, or set AWS_ENDPOINT_URL"
    if _status(error) is None:
        return f"the store cannot be asked ({said}): set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return f"the store refuses it ({said})"
