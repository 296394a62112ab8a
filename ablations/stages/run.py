"""A run: a cell at one seed, with the stages that compute it."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.settings.cell import Cell
from ablations.stages.restore import Parts
from ablations.stages.samples import SamplesStage
from ablations.stages.stage import Stage


@dataclass(frozen=True)
class Run:
    """A cell at the crossing of these levels (axis → level's name), and what readers call it; `digest` is of its data.
    It has no stages where it makes no sense, and `refusal` says why."""

    levels: dict[str, str]
    cell: Cell
    cell_id: str
    digest: str
    stages: list[Stage]
    refusal: str | None = None
    name: str = ""

    @property
    def sets(self) -> int:
        """The number of generated sets that are judged on test data; 0 where none is."""
        return sum(stage.sets for stage in self.stages if stage.held_out == "test" and not stage.optional)

    @property
    def parts(self) -> Parts | None:
        """The stages that hold what it learns; None where it makes no sense."""
        ids = {stage.kind: stage.id for stage in self.stages if not stage.optional}
        learned = ids.get("training", ids.get("autoencoder"))
        if learned is None:
            return None
        guides = (stage.parts.guide for stage in self.stages if isinstance(stage, SamplesStage) and stage.parts.guide)
        return Parts(learned, ids.get("fit"), ids.get("autoencoder"), next(guides, None), ids.get("guidance"))
