"""The names of a results folder's files, columns and layouts, in a module that does not import pandas."""

from __future__ import annotations

FIXED = ("cell_id", "training_id", "seed", "status", "reason")
"""The columns that every runs.csv has."""
TRACEBACK, NOTES = "traceback", "notes"
"""The traceback of a failed run, whose reason is only its message; and notes that a reader of a finished run needs, one
per line. Most sources have neither, and no such columns."""
AUTOENCODER, NOT_COMPARABLE = "autoencoder_id", "not_comparable"
LATENT = (AUTOENCODER, NOT_COMPARABLE)
"""The autoencoder of a run's images ("" in pixels), and the kinds of metrics in which the run cannot be compared.
Sources without latents have no such columns."""
PRECISION, MACHINE, FIRST_RESULT = "precision", "machine", "first_result"
VERSIONS = ("code", "numerics", "data_digest", PRECISION, MACHINE, FIRST_RESULT)
"""The columns on the origin of a row: the code that trained and scored it, its NUMERICS, the digest of its data, the
precision of its network, which `training.precision=auto` leaves to the machine, and the kind of machine; and the time
in UTC at which the first of its stages finished; "" where unknown."""
NUMERICS = 6
"""Raised whenever a change alters numbers at equal seed, so that old results are never taken for new ones; CHANGELOG.md
says what each changed."""
METADATA = (*FIXED, TRACEBACK, NOTES, *LATENT, *VERSIONS)
"""The columns that are neither choices nor metrics."""
LIKELIHOOD = "likelihood"
"""The purpose of a metric of held-out images, as opposed to one of samples."""
AMOUNTS = ("training.steps", "training.batch")
"""The choices that are amounts: whole numbers."""
SETS = "cost/sample_sets"
"""The number of generated sets that were drawn, if `evaluation.sets=auto` chose it."""
MOST_SETS = 16
"""The most generated sets of a cell and seed that are worth their time; `evaluation.sets=auto` draws so many."""
BY_SET = "sets/"
"""The prefix of curves that are a metric of each generated set, over its number from 1: sets/fid/train/digits-cnn."""
SEVERAL = ", "
"""The separator between codes of a run that one version trained and another scored, and between kinds of metrics."""
RUNG = "rung/"
"""The prefix of curves that are metrics of a training midway, over its steps: rung/nll/val for nll/val."""
RUNG_SECONDS = "cost/rung_seconds"
"""The seconds spent on scoring a training at all of its rungs."""
OVER_STEPS = ("train/", "schedule/", "timesteps/", "clip/", RUNG)
"""The prefixes of the names of curves over training steps."""
UNCOMPARED = "not comparable"
"""The text in the place of a value that cannot be compared."""
STATUSES = ("finished", "diverged", "incompatible", "pruned", "interrupted", "failed")

HELD_OUT = "held-out"
"""The sheet of samples/ that holds data: images or points from no training set."""
NEAREST = "-nearest"
"""The end of the name of a sheet with the training image nearest to each image of the sheet without this end."""
CURVES = ("cell_id", "seed", "curve", "x", "y")
CURVES_FILE = "curves.parquet"
"""The file of curves, and its columns."""
LOG_SNR, WEIGHT = "log_snr", "expected_weight"
FORMULA_CURVES = (LOG_SNR, WEIGHT)
"""The curves that follow from a cell's choices, unless it learns them: the log-SNR and the weight of each t."""
BOUND = "bound_per_t"
"""The curve of what each t adds to the bound."""
DECLARATIONS = "declarations"
"""The key of grid.json for the declarations and their times."""
SEARCH, TRIAL, TRIALS = "search", "trial", "trials.csv"
"""The key of grid.json for a search; the column of its trials' numbers; and their table. Of searches that an earlier
version confirmed in their own folder, trials are rows of runs.csv, where this column is "" for cells."""

PAPERS = ("ddpm_table_1", "ddpm_table_2", "improved_ddpm_1", "improved_ddpm_2", "vdm", "ldm", "analytic_dpm")
LAYOUTS = ("general", *PAPERS)
"""The layouts of tables (`tables`), as a grid's file gives them; most are papers'."""
