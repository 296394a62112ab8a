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
# {name}

A diffusion model of {data}, trained to answer: {question} It is cell {cell_id} at seed {seed} of the grid {grid}.

```python
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("{folder}")
images = pipeline(batch_size=16, num_inference_steps={steps}).images
```

| metric | this network | mean of the cell's {n} seeds ± half its 95 % interval | among the grid's cells |
|---|---|---|---|
{scores}

{verdicts}

Made by `{command}`: {choices}.

**Limits**

- Trained on {images} {examples} {shape} of {data}, for {training} steps of {batch}; T = {horizon}. It knows nothing else.
- Scores are of held-out data of the same set, with the network in {precision}. Those of samples are of images rounded
  to grey levels: the pipeline does not round, and shows x/2 + 1/2 held within [0, 1].
- The scheduler computes in float32, and {steps} steps are what the scores are of.
"""


def card(folder: Path, row: dict[str, str], cell: Cell, analysis: Analysis) -> str:
    """The README of the network of a row of runs.csv, exported to a folder."""
    meta, own = analysis.meta, analysis.cells[analysis.cells["cell_id"] == row["cell_id"]]
    scores = []
    for score in own.to_dict("records"):
        metric, value = analysis.metric(score["metric"]), float(row.get(score["metric"]) or "nan")
        mean = words.amount(metric, score["mean"], score["half_width"])
        scores.append(f"| {metric.head} | {words.amount(metric, value)} | {mean} | {score['place']} |")
    compared = analysis.comparisons[analysis.comparisons[["a", "b"]].eq(row["cell_id"]).any(axis=1)]
    verdicts = [f"- {words.comparison_sentence(analysis, pair)}" for pair in compared.to_dict("records")]
    axes = ("parameterization", "variance", "schedule", "objective", "network")
    return CARD.format(
        name=f"{analysis.names[row['cell_id']] or meta.name} ({meta.data})",
        folder=folder,
        grid=meta.name,
        question=meta.question,
        data=meta.data,
        cell_id=row["cell_id"],
        seed=row["seed"],
        steps=getattr(cell.sampler, "steps", None) or cell.horizon,
        n=own["n"].max(),
        scores="\n".join(scores),
        verdicts="\n".join(verdicts or ["Its grid compares it with no other cell."]),
        command=meta.command,
        choices=", ".join(f"{axis}={row[axis]}" for axis in axes),
        images=meta.trained_on,
        examples=meta.examples,
        shape=list(meta.shape),
        training=cell.training.steps,
        batch=cell.training.batch,
        horizon=cell.horizon,
        precision=row["precision"],
    )
