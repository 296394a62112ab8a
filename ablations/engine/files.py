"""The files of a stage's folder that the journal knows by name: what a stage leaves for good, and what is on its way.

Whatever ends in .safetensors is an artefact, which names its stage and bears a digest of its content.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from analysis.format.errors import InputError

CHECKPOINT = "checkpoint.safetensors"
"""The state from which a training that was stopped goes on."""
BEFORE = "checkpoint-before.safetensors"
"""The one before that, from which it goes on where the last one is damaged."""
AVERAGE = "average-"
"""How the names begin of averages at rungs."""
STAGE, DIGEST = "stage", "sha256"
"""What an artefact says of itself: whose it is, and what its tensors hash to. Older ones may say neither."""


class Damaged(InputError):
    """An artefact of a stage is missing, cut, altered or another stage's; `folder` is the stage's that it should be."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}: the command of its grid makes it anew")
        self.folder = path.parent
        self.what = f"{path.name} {why}"


def left_in(folder: Path) -> list[str]:
    """The names of what a stage leaves for good: tensors that are neither a checkpoint nor of a rung."""
    passing = (CHECKPOINT, BEFORE)
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    return [name for name in names if name not in passing and not name.startswith((".", AVERAGE))]


def forget_checkpoints(folder: Path) -> None:
    """Take them away, since the training has ended."""
    for name in (CHECKPOINT, BEFORE):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
