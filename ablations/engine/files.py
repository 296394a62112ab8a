"""The files of a stage's folder that the journal knows by name: what a stage leaves for good, and what it needs on its
way.

Every file that ends in .safetensors is an artefact: it names its stage and carries a digest of its content.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from analysis.errors import InputError

CHECKPOINT = "checkpoint.safetensors"
"""The state from which a stopped training continues."""
BEFORE = "checkpoint-before.safetensors"
"""The checkpoint before that, from which it continues if the last one is damaged."""
AVERAGE = "average-"
"""The beginning of the names of averages at rungs."""
FORK = "fork-"
"""The beginning of the names of states from which shorter trainings continue."""
STAGE, DIGEST = "stage", "sha256"
"""Keys of an artefact's header: the stage that wrote it, and the hash of its tensors."""


class Damaged(InputError):
    """An artefact is missing, cut, altered or another stage's; `folder` is that of the stage whose artefact it should
    be."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} {why}: the command of its grid makes it anew")
        self.folder = path.parent
        self.what = f"{path.name} {why}"


def kept(names: Iterable[str]) -> list[str]:
    """The files that a stage leaves for good, in order: tensors, without checkpoints and what was needed on the way."""
    tensors = (name for name in sorted(names) if name.endswith(".safetensors") and name not in (CHECKPOINT, BEFORE))
    return [name for name in tensors if not name.startswith((".", AVERAGE, FORK))]
