"""The names of a results folder's files, columns and layouts: to know them takes no pandas, which takes a while."""

from __future__ import annotations

FIXED = ("cell_id", "training_id", "seed", "status", "reason")
"""The columns that every runs.csv has."""
TRACEBACK, NOTES = "traceback", "notes"
"""The traceback of a failed run, whose reason is its message alone; and what a reader must know of a finished run, a
line each. Most sources have neither, and no such columns."""
AUTOENCODER, NOT_COMPARABLE = "autoencoder_id", "not_comparable"
LATENT = (AUTOENCODER, NOT_COMPARABLE)
"""The autoencoder that a run's images went through ("" in pixels), and the kinds of metrics that it cannot be compared
in. Sources without latents have no such columns."""
OPTIONAL = (TRACEBACK, NOTES, *LATENT)
"""The columns that are there where a row has something to say in them."""
PRECISION, MACHINE, FIRST_RESULT = "precision", "machine", "first_result"
VERSIONS = ("code", "numerics", "data_digest", PRECISION, MACHINE, FIRST_RESULT)
"""The makers of a row: the code that trained and scored it, its NUMERICS, the digest of its data, the precision of its
network, which `training.precision=auto` leaves to the machine, and the kind of machine; and when the first of the
stages that it rests on was finished, in UTC; "" where unknown."""
NUMERICS = 6
"""Raised whenever a change alters numbers at equal seed, so that old results are never taken for new ones.

6: a draw begins at a state that is all a hash of its name; on a CPU the variance of group norm is of values less one of
them; the analytic variance reads the error of x_0 where its own estimate is noise; memorisation counts ties in part;
a sampler's times of even log-SNR, or of Karras et al., are real.
5: small products in bf16 are taken as they are, and each by itself; a recipe has an optimizer and a rate.
4: on a CPU layers add up in an order that does not depend on the networks beside them.
3: on a CPU group norm and SiLU in one kernel, and attention by products; samples of a training in bf16 drawn in it too;
the bound dequantised anew for each term.
2: the analytic variance's own noise and bound, and its fit by the training's seed; one start of all paths of a sample;
the bound's draws; weights stated of x_0.
"""
METADATA = (*FIXED, *OPTIONAL, *VERSIONS)
"""The columns that are neither choices nor metrics."""
LIKELIHOOD = "likelihood"
"""The purpose of a metric that is of each held-out image, and of no sample."""
AMOUNTS = ("training.steps", "training.batch")
"""The choices that are counted with: whole numbers."""
SETS = "cost/sample_sets"
"""The number of generated sets that were drawn, where `evaluation.sets=auto` asked for as many as it takes."""
SET_SPREAD = "_set_sd"
"""The ending of a metric's name in the column of the standard deviation between its generated sets."""
SEVERAL = ", "
"""Between the codes of a run that was trained by one version and scored by another, and between kinds of metrics."""
RUNG = "rung/"
"""The beginning of the names of curves that are metrics of a training on its way, over its steps: rung/nll/val of
nll/val."""
RUNG_SECONDS = "cost/rung_seconds"
"""The seconds of scoring a training on its way, at all of its rungs."""
OVER_STEPS = ("train/", "schedule/", "timesteps/", "clip/", RUNG)
"""The beginnings of the names of curves over training steps."""
UNCOMPARED = "not comparable"
"""The text in the place of a value that there is none of."""
STATUSES = ("finished", "diverged", "incompatible", "pruned", "interrupted", "failed")
SCORED, UNSCORED = "scored", "not scored"
"""The states of runs at their first rung: what a round of rungs says in the place of how they ended; no runs.csv
does."""
COUNTED = (STATUSES[0], SCORED)
"""The statuses of runs whose values count."""

HELD_OUT = "held-out"
"""The sheet of samples/ that holds data: images or points that no training has seen."""
CURVES = ("cell_id", "seed", "curve", "x", "y")
"""The columns of curves.csv."""
KEYS = ("cell_id", "seed", "metric")
"""The columns of images.csv that are no images."""
FORMULAS = "formulas.csv"
DECLARATIONS = "declarations"
"""The key of grid.json that holds what was declared, and when."""
SEARCH, TRIAL = "search", "trial"
"""What grid.json says of a search; and the column of runs.csv that numbers its trials, "" of cells that confirm it."""
PAGES = ("answers.json", "figures", "report.html", "table.csv", "table.md", "table.tex")
"""The files that `analysis.pages` makes of the other files, and can make again."""

LAYOUTS = (
    "general",
    "ddpm_table_1",
    "ddpm_table_2",
    "improved_ddpm_1",
    "improved_ddpm_2",
    "vdm",
    "ldm",
    "analytic_dpm",
)
"""The layouts of tables (`tables`), as a grid's file gives them."""
