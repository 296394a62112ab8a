"""The files of a stage's folder: those that the journal knows by name, and their size.

Every file that ends in .safetensors is an artefact: it names its stage and carries a digest of its content.
"""

from __future__ import annotations

from pathlib import Path

from analysis.errors import InputError
from analysis.files import size_of

CHECKPOINT = "checkpoint.safetensors"
"""The state from which a stopped training continues."""
STATE = "state.safetensors"
"""The state in which a segment of a training ended, until the next segment has ended."""
STAGE, DIGEST = "stage", "sha256"
"""Keys of an artefact's header, and of a result: the stage that wrote it, and the hash of its content."""


class Damaged(InputError):
    """An artefact is missing, cut, altered or another stage's; `folder` is that of the stage that should make it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}: the command of its grid makes it anew")
        self.folder = path.parent
        self.what = f"{path.name} {why}"


def kept(folder: Path) -> list[Path]:
    """The artefacts that a stage leaves for good."""
    return [path for path in sorted(folder.glob("[!.]*.safetensors")) if path.name not in (CHECKPOINT, STATE)]


def bytes_of(folder: Path) -> int:
    """The bytes of all files below a folder; one that vanishes meanwhile counts as nothing."""
    return sum(size_of(path) or 0 for path in folder.rglob("*") if path.is_file())
