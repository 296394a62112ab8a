"""Where small files stand that several hosts make, touch and read: a folder, or a prefix of an object store.

    make     a file that nobody else has made: of several who try at once one has made it
    touch    it, which sets its time; it has to be as one left it
    read     what is in it, and when it was last touched
    now      the time by the clock that sets those times: those of hosts may differ

What leases need of either, and all that they need (`lease`).
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path


class Readable(ABC):
    """A place whose files can be read; their names have no slash."""

    @abstractmethod
    def read(self, name: str) -> tuple[str, float] | None:
        """The text of a file and its time; None where it is not there."""

    @abstractmethod
    def names(self, beginning: str) -> list[str]:
        """The files whose names begin so; none where the place is yet to be made."""

    @abstractmethod
    def now(self) -> float:
        """The time by the clock that touches files here; FileNotFoundError where there is no such place."""


class Shelf(Readable):
    """A place where files are made and touched. A tag, where there is one, tells a file from a later one."""

    @abstractmethod
    def make(self, name: str, text: str) -> str | None:
        """Make a file, whole and with its first time; its tag, and None where there is one of that name."""

    @abstractmethod
    def touch(self, name: str, text: str, tag: str) -> str | None:
        """Give the file that was made so, with this text and tag, the present time; its tag from now on, and None where
        it is not there any more."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already."""


@dataclass(frozen=True)
class Folder(Shelf):
    """A folder of a file system, whose own clock sets times."""

    path: Path

    def make(self, name: str, text: str) -> str | None:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            file = (self.path / name).open("x", encoding="utf-8")
        except FileExistsError:
            return None
        except FileNotFoundError:
            # Somebody has cleaned the folder away in between.
            return self.make(name, text)
        try:
            with file:
                file.write(text)
        except BaseException:
            # A full disk: a file that says nothing would keep others away for a minute.
            self.remove(name)
            raise
        return ""

    def touch(self, name: str, text: str, tag: str) -> str | None:
        try:
            os.utime(self.path / name)
        except FileNotFoundError:
            return None
        return tag

    def read(self, name: str) -> tuple[str, float] | None:
        # It is opened for both: a network's client asks for what it then shows.
        try:
            with (self.path / name).open(encoding="utf-8", errors="replace") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None

    def names(self, beginning: str) -> list[str]:
        try:
            return [name for name in os.listdir(self.path) if name.startswith(beginning)]
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def now(self) -> float:
        with tempfile.NamedTemporaryFile(dir=self.path, prefix=".now.") as file:
            os.utime(file.name)
            return os.stat(file.name).st_mtime
