"""A small object store on this machine, which speaks S3 as far as it is spoken here; and moto's, which others wrote.

What is asked of either is counted; it can be out of order, keep no conditions, and have objects that are older than
they are. One request is answered at a time, as a store decides between two puts.
"""

from __future__ import annotations

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape

from werkzeug.serving import WSGIRequestHandler, make_server

KEY = "nobody"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
"""An environment in which no other store, and nobody's keys, are found."""
NOW = time.time
"""The store's clock, which is right where a test has the host's wrong."""
CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
JOURNAL = "journal/"
"""What keys begin with in tests."""


class Quiet(WSGIRequestHandler):
    """Says nothing of requests."""

    def log(self, *_):
        pass


class ObjectStore(ABC):
    """A store behind a socket of this process, whose objects outlive the socket."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = Counter()
        self.of_keys: list[tuple[str, str]] = []
        self.busy = False
        self.conditional = True
        self.server = None
        self.start()
        self.port = self.server.server_port

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Listen, at the same port as before."""
        port = 0 if self.server is None else self.port
        self.server = make_server("127.0.0.1", port, self, threaded=True, request_handler=Quiet)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        """Listen no more; whoever is connected finds the store busy."""
        self.busy = True
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @contextmanager
    def away(self):
        """Nobody listens."""
        self.stop()
        try:
            yield
        finally:
            self.busy = False
            self.start()

    def __call__(self, environ, answer):
        if self.busy:
            answer("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        for name in () if self.conditional else CONDITIONS:
            environ.pop(name, None)
        with self.lock:
            lists = "list-type" in environ.get("QUERY_STRING", "")
            self.asked["LIST" if lists else environ["REQUEST_METHOD"]] += 1
            self.of_keys.append((environ["REQUEST_METHOD"], environ["PATH_INFO"].partition(JOURNAL)[2]))
            return list(self.answered(environ, answer))

    @abstractmethod
    def answered(self, environ, answer):
        """As WSGI has it."""

    @abstractmethod
    def bucket(self, name):
        """A new bucket."""


class LocalBucket(ABC):
    """A bucket, with a journal under a prefix."""

    store: ObjectStore
    name: str

    @property
    def url(self):
        return f"s3://{self.name}/{JOURNAL.rstrip('/')}"

    @abstractmethod
    def objects(self):
        """Key → bytes of the journal's objects."""

    @abstractmethod
    def age(self, key, seconds):
        """Have an object last written so many seconds earlier."""

    @abstractmethod
    def time(self, key):
        """When it was last written."""


@dataclass
class Kept:
    """An object."""

    body: bytes
    time: float

    @property
    def tag(self):
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@dataclass
class OwnBucket(LocalBucket):
    store: ObjectStore
    name: str
    kept: dict[str, Kept]

    def objects(self):
        return {key.removeprefix(JOURNAL): one.body for key, one in list(self.kept.items())}

    def age(self, key, seconds):
        self.kept[JOURNAL + key].time -= seconds

    def time(self, key):
        return self.kept[JOURNAL + key].time


class OwnStore(ObjectStore):
    """Objects in this process's memory."""

    def __init__(self, page=1000):
        self.buckets: dict[str, dict[str, Kept]] = {}
        self.page = page
        super().__init__()

    def bucket(self, name):
        return OwnBucket(self, name, self.buckets.setdefault(name, {}))

    def answered(self, environ, answer):
        status, body, headers = self._answer(environ)
        head = environ["REQUEST_METHOD"] == "HEAD"
        length = headers.pop("Content-Length", str(len(body)))
        answer(status, [*headers.items(), ("Content-Length", length)])
        return [b"" if head else body]

    def _answer(self, environ):
        if KEY not in environ.get("HTTP_AUTHORIZATION", ""):
            return _error("403 Forbidden", "InvalidAccessKeyId")
        name, _, key = environ["PATH_INFO"].encode("latin-1").decode().lstrip("/").partition("/")
        if name not in self.buckets:
            return _error("404 Not Found", "NoSuchBucket")
        kept, method = self.buckets[name], environ["REQUEST_METHOD"]
        if not key:
            return self._listed(kept, parse_qs(environ["QUERY_STRING"], keep_blank_values=True))
        there = kept.get(key)
        if method == "PUT":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            wanted = environ.get("HTTP_IF_MATCH")
            if wanted is not None and there is None:
                return _error("404 Not Found", "NoSuchKey")
            if (wanted and wanted != there.tag) or (environ.get("HTTP_IF_NONE_MATCH") == "*" and there is not None):
                return _error("412 Precondition Failed", "PreconditionFailed")
            kept[key] = Kept(body, NOW())
            return "200 OK", b"", {"ETag": kept[key].tag}
        if method == "DELETE":
            kept.pop(key, None)
            return "204 No Content", b"", {}
        if there is None:
            return _error("404 Not Found", "NoSuchKey")
        told = {"ETag": there.tag, "Last-Modified": format_datetime(_moment(there), usegmt=True)}
        if "HTTP_RANGE" in environ:
            first, _, last = environ["HTTP_RANGE"].removeprefix("bytes=").partition("-")
            return "206 Partial Content", there.body[int(first) : int(last) + 1 if last else None], told
        return "200 OK", there.body, told | {"Content-Length": str(len(there.body))}

    def _listed(self, kept, asked):
        """A page of keys in order, each after the last one of the page before."""
        prefix, after = asked.get("prefix", [""])[0], asked.get("continuation-token", [""])[0]
        keys = sorted(key for key in kept if key.startswith(prefix) and key > after)
        shown = keys[: min(self.page, int(asked.get("max-keys", ["1000"])[0]))]
        more = len(shown) < len(keys)
        of = [
            f"<Contents><Key>{quote(key)}</Key><LastModified>{_moment(kept[key]):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(kept[key].tag)}</ETag><Size>{len(kept[key].body)}</Size></Contents>"
            for key in shown
        ]
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        text = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(of)}"
        return "200 OK", f"<ListBucketResult>{text}</ListBucketResult>".encode(), {"Content-Type": "application/xml"}


def _moment(kept: Kept) -> datetime:
    return datetime.fromtimestamp(kept.time, UTC)


def _error(status, code):
    text = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>"
    return status, text.encode(), {"Content-Type": "application/xml"}


class MotoStore(ObjectStore):
    """moto's S3."""

    def __init__(self):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.app = DomainDispatcherApplication(create_backend_app)
        super().__init__()

    def answered(self, environ, answer):
        return self.app(environ, answer)

    def bucket(self, name):
        from moto.backends import get_backend

        known = get_backend("s3")["123456789012"]["aws"]
        known.create_bucket(name, "us-east-1")
        return MotoBucket(self, name, known.buckets[name].keys)


@dataclass
class MotoBucket(LocalBucket):
    store: ObjectStore
    name: str
    keys: object

    def objects(self):
        return {key.removeprefix(JOURNAL): one.value for key, one in self.keys.items()}

    def age(self, key, seconds):
        self.keys[JOURNAL + key].last_modified -= timedelta(seconds=seconds)

    def time(self, key):
        return self.keys[JOURNAL + key].last_modified.replace(tzinfo=UTC).timestamp()


@contextmanager
def used(store: ObjectStore, patch) -> Iterator[ObjectStore]:
    """A store where this process and those that it starts find it; it ends then."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint}.items():
        patch.setenv(name, value)
    try:
        yield store
    finally:
        store.stop()
