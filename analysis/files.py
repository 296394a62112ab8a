"""Files that appear whole or not at all: written beside their place and moved into it, whatever kills the writer."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.errors import InputError


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, then move it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path, write) as temporary:
        temporary.replace(path)
        _sync_folder(path.parent)


def make_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, and put it there whole, unless another process has made one by then."""
    with _beside(path, write) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        except OSError:
            # This file system has no hard links, or refuses them.
            if not path.exists():
                temporary.replace(path)
        _sync_folder(path.parent)


def make_folder(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a folder beside `path` with files that are whole, then move it there; OSError if it is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        write(temporary)
        temporary.chmod(0o755)
        temporary.rename(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _beside(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """A context with a hidden file beside a path, which `write` has filled and which is safe on the disk. The file is
    removed at the end unless it was moved."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        yield temporary
    except OSError as error:
        if error.errno is not None and error.filename is None:  # that of a full disk
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, so that they survive a loss of power as the files' content does."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def size_of(path: Path) -> int | None:
    """The bytes of a file; None where there is none."""
    return path.stat().st_size if path.exists() else None


def whole_files(path: Path) -> list[Path]:
    """A file, or those under a folder, by name, without hidden ones: what a killed writer left is hidden."""
    below = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in below if file.is_file() and not file.name.startswith(".")]


def write_text(path: Path, text: str) -> None:
    """`text` as a whole file or not at all."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """`content` as indented JSON, as a whole file or not at all."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The file's content; None where there is none; InputError where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): delete it and run the same command again") from error


def utc_now() -> str:
    """The present time in UTC, to the millisecond: 2026-11-29T08:05:03.120Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
