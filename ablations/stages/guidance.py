"""guidance: weights, fit, guide ─▶ the scale whose samples are nearest to validation images (`guidance.scale=auto`).

It reads what samples read. Every candidate gets a set from the same noise, which no set that is judged later has. The
distance is FID, or the energy distance for points.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ablations.data.base import Data
from ablations.engine.files import Damaged
from ablations.engine.journal import Result
from ablations.engine.stage import Bench, Progress
from ablations.metrics.judging import set_size, yardstick_of
from ablations.metrics.measured import SCALE
from ablations.metrics.registry import metric_of
from ablations.settings.cell import Cell
from ablations.settings.evaluation import HELD_OUT, MOST_SETS
from ablations.settings.guiding import at_scale
from ablations.settings.identity import content_hash
from ablations.stages.artifacts import CANDIDATES, read_artifact, write_artifact
from ablations.stages.guide import load_guided
from ablations.stages.restore import Parts
from ablations.stages.samples import draw_samples, passes_of_sample, samples_content
from ablations.stages.stage import Stage, finished_with


@dataclass(frozen=True)
class GuidanceStage(Stage):
    """A trained network whose samples are guided by each candidate scale in turn, and judged on validation."""

    id: str
    cell: Cell
    parts: Parts
    needs: tuple[str, ...]
    kind = "guidance"
    passes = "sampling"
    doing = "tuning its guidance"

    @property
    def validates(self) -> bool:
        """True where samples are judged on validation: only there does its scale matter for validation."""
        return "validation" in self.cell.evaluation.quality

    @property
    def judged(self) -> float:
        return float(len(self.cell.guidance.scales))

    def work(self, data: Data) -> float:
        each = sum(passes_of_sample(at_scale(self.cell, scale)) for scale in self.cell.guidance.scales)
        return float(set_size(self.cell, "validation", data) * each)

    def result(self, bench: Bench, data: Data, device: torch.device) -> Result:
        """The best scale, of equal ones the first; each candidate's score is kept at once, in case the stage is
        stopped."""
        cell, scales = self.cell, self.cell.guidance.scales
        model = load_guided(cell, data, bench.journal, self.parts, device)
        n, first = set_size(cell, "validation", data), noise_after(cell, data)
        yardstick = yardstick_of(cell, "validation", data, device)
        name = "energy_distance" if cell.data.extractor is None else "fid"
        scores, began = _scored(bench.folder), time.monotonic()
        for place in range(len(scores), len(scales)):
            progress = partial(_part, bench.progress, place, len(scales))
            samples = draw_samples(at_scale(cell, scales[place]), model, n, progress, first)
            scored = {} if samples is None else yardstick.scores([metric_of(name)], [samples])
            scores.append(next(iter(scored.values()), math.inf))
            write_artifact(bench.folder, CANDIDATES, {"scores": torch.tensor(scores, dtype=torch.float64)})
        usable = [(scale, score) for scale, score in zip(scales, scores, strict=True) if math.isfinite(score)]
        if not usable:
            return Result("diverged", "the samples are not finite, whatever scale guides them", {}, {}, {})
        best, _ = min(usable, key=lambda pair: pair[1])
        result = finished_with({SCALE: best, "cost/guidance_seconds": time.monotonic() - began})
        result.curves[f"guidance/{name}"] = ([scale for scale, _ in usable], [score for _, score in usable])
        return result


def _part(progress: Progress, place: int, of: int, share: float) -> None:
    progress((place + share) / of)


def _scored(folder: Path) -> list[float]:
    """The scores of the first candidates, left by a run that was stopped."""
    try:
        return [float(score) for score in read_artifact(folder, CANDIDATES)[0]["scores"]]
    except (Damaged, KeyError):
        return []


def noise_after(cell: Cell, data: Data) -> int:
    """The number of the first sample of a seed that belongs to no judged set."""
    return max(MOST_SETS, cell.evaluation.first_sets) * max(set_size(cell, split, data) for split in HELD_OUT)


def guidance_of(cell: Cell, parts: Parts, extractor: str | None, needs: tuple[str, ...]) -> GuidanceStage:
    """The stage that chooses a cell's scale; `parts` are those that its samples read."""
    content = samples_content(cell, parts, "validation", extractor, 1, max(MOST_SETS, cell.evaluation.first_sets))
    return GuidanceStage(content_hash(content | {"stage": "guidance"}), cell, parts, needs)
