"""share: some of the pieces of a bound or of samples, so that several workers take a part each.

    what these need ─▶ share 0 .. share K − 1 ─▶ the bound (or samples), which computes no piece that a share has

Pieces are draws of the bound's terms, and batches of samples: a number is the same whoever computes it. A launcher is
asked for shares (`launcher.shares=8`), for a large network of which there are few cells.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch

from ablations.data.base import Data
from ablations.engine.journal import Result
from ablations.engine.stage import Bench
from ablations.settings.registry import content_hash
from ablations.stages.artifacts import PIECES, Pieces, read_artifact, write_artifact
from ablations.stages.stage import Passes, Stage, result_of


@dataclass(frozen=True, kw_only=True)
class InPieces(Stage):
    """A stage whose work is in pieces, which `shares` of it may have done before."""

    shares: tuple[str, ...] = ()

    @abstractmethod
    def loaded(self, bench: Bench, data: Data, device: torch.device) -> Any:
        """The networks that it asks, on this device."""

    @abstractmethod
    def compute(self, loaded: Any, bench: Bench, data: Data, pieces: Pieces) -> Any:
        """The work, each piece of it got through `pieces`."""

    def pieces(self, bench: Bench) -> tuple[Pieces, float]:
        """The pieces that are done, and the seconds that the shares took for theirs."""
        pieces, seconds = Pieces(bench.folder), 0.0
        for share in self.shares:
            pieces.done |= read_artifact(bench.journal.folder(share), PIECES)[0]
            result = bench.journal.result(share)
            assert result is not None, "shares are done before they are put together"
            seconds += result.metrics["seconds"]
        return pieces, seconds


@dataclass(frozen=True, kw_only=True)
class ShareStage(Stage):
    """Every `count`-th piece of a bound or of samples, from the one at `place` on."""

    of: InPieces
    place: int
    count: int
    kind = "share"
    work = "share"
    on_the_way = True
    optional = True

    @property
    def doing(self) -> str:
        return f"share {self.place + 1} of {self.count} of the {self.of.doing}"

    def passes(self) -> tuple[Passes, float]:
        use, number = self.of.passes()
        return use, number / self.count

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        loaded, pieces = self.of.loaded(bench, data, device), Pieces(bench.folder, self.place, self.count)
        began = time.monotonic()
        self.of.compute(loaded, bench, data, pieces)
        write_artifact(bench.folder, PIECES, pieces.done)
        return result_of({"seconds": time.monotonic() - began})


def with_shares(stage: InPieces, count: int) -> list[Stage]:
    """The stage, after the stages that do a share of its work each; alone where there are no pieces to share."""
    if count < 2 or not stage.cell.horizon:
        return [stage]
    ids = tuple(content_hash({"stage": stage.id, "share": place, "of": count}) for place in range(count))
    own = [ShareStage(id, stage.cell, stage.needs, of=stage, place=i, count=count) for i, id in enumerate(ids)]
    return [*own, replace(stage, needs=(*stage.needs, *ids), shares=ids)]
