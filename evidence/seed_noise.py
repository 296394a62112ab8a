"""The noise of a training's seed in a difference between cells, by recipe. It rebuilds `evidence/seed_noise.md`:

    python -m evidence.seed_noise > evidence/seed_noise.md

`seed_noise.csv` has three schedules × eight seeds of each recipe, from one command and its snapshots:

    python -m ablations.run data=fashion_mnist data.held_out_images=300 network.channels=24 horizon=100 seeds=8 \\
     first_seed=300 training.precision=float32 training.batch=64 training.steps=800 training.snapshots=32 \\
     training.rate=constant,linear schedule=linear,cosine,sigmoid average=tracked,0.05,0.1 sampler=ddim \\
     sampler.steps=25 evaluation.n=500 evaluation.sets=1 evaluation.exact=1 evaluation.strata=4 name=seed-noise

Late checkpoints are averages of width 0.05 at 725 and 650 steps, whose samples start from the same noise. The variance
of a difference, averaged over the three pairs of schedules, is twice the mean square of what is left once the means of
seeds and of schedules are taken away: χ² with 14 degrees of freedom, which gives its interval.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

from evidence.page_command import table

RUNS = Path(__file__).with_suffix(".csv")
HEAD = ("rate", "average", "late checkpoints", "SD of a difference in log FID", "FID", "SD in NLL", "NLL")


def spread(values: pd.DataFrame) -> str:
    """The standard deviation of a difference with its 95 % interval, from values [seed, schedule]."""
    rest = values.sub(values.mean(axis=1), axis=0) - values.mean() + values.to_numpy().mean()
    free = (len(values) - 1) * (values.shape[1] - 1)
    square = 2 * float((rest**2).to_numpy().sum())
    low, high = (float(np.sqrt(square / chi2.ppf(q, free))) for q in (0.975, 0.025))
    return f"{np.sqrt(square / free):.2g} ({low:.2g}–{high:.2g})"


def rows(runs: pd.DataFrame) -> list[list[str]]:
    """A row for each rate, average, and number of late checkpoints whose log FIDs are averaged."""
    made = []
    for (rate, average), own in runs.groupby(["rate", "average"]):
        steps = sorted(own["step"].unique(), reverse=True)
        for count in range(1, len(steps) + 1):
            late = own[own["step"].isin(steps[:count])].assign(log=lambda of: np.log(of["fid"]))
            log, nll = (late.pivot_table(index="seed", columns="schedule", values=of) for of in ("log", "nll"))
            told = [spread(nll), f"{nll.to_numpy().mean():.2f}"] if count == 1 else ["", ""]
            made.append(
                [str(rate), str(average), str(count), spread(log), f"{np.exp(log.to_numpy().mean()):.0f}", *told]
            )
    return made


if __name__ == "__main__":
    what = "three schedules × eight seeds; a set of 500 images takes 7% of a training's time."
    print(f"`python -m evidence.seed_noise`: {what}", "", *table(HEAD, rows(pd.read_csv(RUNS))), sep="\n")
