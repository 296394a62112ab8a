"""Files of a tracking store that need not be fetched twice.

A finished run never changes: what is published anew is a new run. So a file of a run is kept under a name that is a
hash of all that it depends on, and only whole: it is written beside its place and moved into it, and gzip's checksum
tells a damaged one, which is fetched again. The folder is `$XDG_CACHE_HOME/diffusion-ablations` (by default in
`~/.cache`), and may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """Where files are kept; XDG asks for an absolute path, and any other is as good as none."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "diffusion-ablations"


def cached(key: tuple[str, ...], fetch: Callable[[], bytes]) -> bytes:
    """What `fetch` gives, or gave under this key before. A cache that cannot be read or written costs a fetch."""
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    path = cache_folder() / name[:2] / f"{name}.gz"
    found = _kept(path)
    if found is None:
        found = fetch()
        _keep(path, found)
    return found


def _kept(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        # No bytes at all would pass for a file with nothing in it.
        return gzip.decompress(content) if content else None
    except (OSError, EOFError, zlib.error):
        return None


def _keep(path: Path, content: bytes) -> None:
    # A full disk, a read-only home: the cache is a help, and no reason to fail.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(gzip.compress(content, mtime=0))
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
