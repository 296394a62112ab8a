"""The card of an exported network: what it is, what its grid measured and decided, what made it, and its limits."""

from __future__ import annotations

from pathlib import Path

from ablations.settings.cell import Cell
from analysis import words
from analysis.answers import Analysis

CARD = """\
---
library_name: diffusers
pipeline_tag: unconditional-image-generation
tags: [ddpm, diffusion-ablations]
---
# {name} ({meta.data})

A diffusion model of {meta.data}: cell {row[cell_id]} at seed {row[seed]} of the grid {meta.name}. {meta.question}

```python
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("{folder}")
images = pipeline(batch_size=16, num_inference_steps={steps}).images
```

| metric | this network | mean over seeds ± half its 95 % interval | among the grid's cells |
|---|---|---|---|
{scores}

{verdicts}

Made by `{meta.command}`: parameterization={row[parameterization]}, variance={row[variance]}, schedule={row[schedule]},
objective={row[objective]}, network={row[network]}.

**Limits**

- Trained on {meta.trained_on} {meta.examples} {shape} of {meta.data} and nothing else, for {cell.training.steps} steps
  of batch {cell.training.batch}, with T = {cell.horizon}.
- Scores are of held-out data of the same set, with the network in {row[precision]} and {steps} steps a sample, rounded
  to grey levels. The pipeline does not round: it shows x/2 + 1/2 within [0, 1], and its scheduler is in float32.
"""


def card(folder: Path, row: dict[str, str], cell: Cell, analysis: Analysis) -> str:
    """The README of the network of a row of runs.csv, exported to a folder."""
    own, scores = row["cell_id"], []
    for score in analysis.cells[analysis.cells["cell_id"] == own].to_dict("records"):
        metric, value = analysis.metric(score["metric"]), float(row.get(score["metric"]) or "nan")
        mean = words.amount(metric, score["mean"], score["half_width"])
        scores.append(f"| {metric.label} | {words.amount(metric, value)} | {mean} | {score['place']} |")
    pairs = [pair for pair in analysis.comparisons.to_dict("records") if own in (pair["a"], pair["b"])]
    verdicts = [f"- {words.comparison_sentence(analysis, pair)}" for pair in pairs]
    return CARD.format(
        name=analysis.names[own] or analysis.meta.name,
        meta=analysis.meta,
        row=row,
        cell=cell,
        folder=folder,
        steps=getattr(cell.sampler, "steps", None) or cell.horizon,
        shape=list(analysis.meta.shape),
        scores="\n".join(scores),
        verdicts="\n".join(verdicts or ["Its grid compares it with no other cell."]),
    )
