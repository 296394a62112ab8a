"""A shelf of small files that several processes make, touch and read: a folder of a file system.

    make     create a file; of several processes that try at once, one succeeds
    write    a file whole, in place of the one that is there
    touch    a file, which sets its time
    read     its content, and when it was last touched
    now      the time by the clock that sets those times: the clocks of hosts may differ

The journal and its leases ask nothing else of a file system, so that their protocol can be tried on a simulated one.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from analysis.files import size_of, write_text


class Shelf(ABC):
    """A place of small files, whose names have no slash."""

    @abstractmethod
    def make(self, name: str, text: str) -> bool:
        """Make a file, whole and with its first time; False where there is one of that name."""

    @abstractmethod
    def write(self, name: str, text: str) -> None:
        """Write a file so that a reader, or a kill of the writer, finds the old text or the new one."""

    @abstractmethod
    def note(self, name: str, text: str) -> None:
        """Write a file whose loss does no harm: it may be found torn."""

    @abstractmethod
    def touch(self, name: str) -> bool:
        """Set the time of a file to now; False where it is not there any more."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is still there."""

    @abstractmethod
    def read(self, name: str) -> tuple[str, float] | None:
        """The text of a file and its time; None where it is not there."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """The bytes of a file; None where it is not there."""

    @abstractmethod
    def names(self, beginning: str = "") -> list[str]:
        """The files whose names begin so; none where the place does not exist yet."""

    @abstractmethod
    def now(self) -> float:
        """The time by the clock that touches files here; FileNotFoundError where there is no such place."""


@dataclass(frozen=True)
class Folder(Shelf):
    """A folder of a file system, whose own clock sets times."""

    path: Path

    def make(self, name: str, text: str) -> bool:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            file = (self.path / name).open("x", encoding="utf-8")
        except FileExistsError:
            return False
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
        return True

    def write(self, name: str, text: str) -> None:
        write_text(self.path / name, text)

    def note(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def touch(self, name: str) -> bool:
        try:
            os.utime(self.path / name)
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def read(self, name: str) -> tuple[str, float] | None:
        # It is opened for both: a network's client asks for what it then shows.
        try:
            with (self.path / name).open(encoding="utf-8", errors="replace") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size(self, name: str) -> int | None:
        return size_of(self.path / name)

    def names(self, beginning: str = "") -> list[str]:
        try:
            return [name for name in os.listdir(self.path) if name.startswith(beginning)]
        except FileNotFoundError:
            return []

    def now(self) -> float:
        with tempfile.NamedTemporaryFile(dir=self.path, prefix=".now.") as file:
            os.utime(file.name)
            return os.stat(file.name).st_mtime
