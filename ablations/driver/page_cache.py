"""A note of the pages that were drawn and delivered last, so that a command that changes nothing does neither again.

It is written last of all, into `results/.shown/`: a digest of what the pages are made of (the folder's other files, and
the code that draws), and one of the pages themselves. Delete it, and all is drawn and delivered anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import analysis
from ablations.tracking.sqlite_file import Summary
from analysis.files import whole_files, write_json
from analysis.schema import PAGES


@dataclass(frozen=True)
class Shown:
    """A digest of what pages are made of, one of the pages, what a terminal `said`, the `summary` of it all in a store
    that is a file here, None where there is none such, and the `place` of the folder then."""

    content: str
    pages: str
    said: str
    summary: Summary | None
    place: str


def last_shown(folder: Path) -> Shown | None:
    """The note of what was shown of a results folder, if nothing has changed since.

    Where it was moved or copied, its store is to be opened: the addresses of artifacts there follow it only then.
    """
    try:
        written = json.loads(_place(folder).read_text(encoding="utf-8"))
        summary = Summary(**written["summary"]) if written["summary"] else None
        shown = Shown(written["content"], written["pages"], written["said"], summary, written["place"])
    except (OSError, ValueError, TypeError, LookupError):
        return None
    if (shown.content, shown.pages) != (content_of(folder), pages_of(folder)):
        return None
    return shown if shown.place == str(folder.resolve()) else replace(shown, summary=None)


def still_there(shown: Shown | None, uri: str) -> Summary | None:
    """The summary that was delivered, if it was to this store, which still has it."""
    summary = None if shown is None else shown.summary
    return summary if summary is not None and summary.uri == uri and summary.stands else None


def remember(folder: Path, text: str, summary: Summary | None) -> None:
    """Write down what is shown of a results folder; a store that is no file is asked again the next time."""
    kept = summary if summary is not None and summary.file else None
    shown = Shown(content_of(folder), pages_of(folder), text, kept, str(folder.resolve()))
    write_json(_place(folder), asdict(shown))


def content_of(folder: Path) -> str:
    """A digest of what pages are made of: a folder's files but the pages, and the code of `analysis`."""
    files = [path for top in sorted(folder.iterdir()) if top.name not in PAGES for path in whole_files(top)]
    digest = hashlib.sha256(_drawing())
    for path in files:
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def pages_of(folder: Path) -> str:
    """A digest of the pages of a folder, by their names, sizes and times of writing."""
    files = [path for name in PAGES if (folder / name).exists() for path in whole_files(folder / name)]
    stats = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()


def _place(folder: Path) -> Path:
    return folder.parent / ".shown" / f"{folder.name}.json"


@cache
def _drawing() -> bytes:
    """A digest of the code and the files that pages are drawn with."""
    digest = hashlib.sha256()
    for path in whole_files(Path(analysis.__file__).parent):
        if "__pycache__" not in path.parts:
            digest.update(path.read_bytes())
    return digest.digest()
