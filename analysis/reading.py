"""A results folder → `Results`: grid.json and runs.csv, checked and in one canonical order.

Rows of several versions are never mixed silently: more than one `numerics`, or one `data_digest` per data set, is
refused. Values of kinds that a row calls `not_comparable` are dropped here. In a round that is not the last, all is as
of the round.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import InputError, NothingYet
from analysis.grid_json import Meta, kind_of, parse_meta
from analysis.places import no_grid
from analysis.results import Results, numbers, read_csv, readable
from analysis.schema import FIXED, METADATA, NOT_COMPARABLE, OVER_STEPS, SEVERAL


def read_results(path: Path | str) -> Results:
    """The results in `results/<grid>/`; InputError where they are missing or corrupt, NothingYet before the first
    round."""
    folder = Path(path)
    head, source = folder / "grid.json", folder / "runs.csv"
    if not head.is_file():
        raise no_grid(folder)
    whole = parse_meta(head.read_bytes(), str(head))
    now, looks = whole.round, whole.auto.looks if whole.auto else ()
    if not whole.cells:
        raise InputError(f"{folder} holds a search that has confirmed nothing, so it has no table: see its report.html")
    if now is not None and now.number == 0:
        raise NothingYet(f"{now.finished} of {now.trainings} trainings finished; nothing to show yet")
    meta, texts = _as_of_round(whole), read_csv(source, [*FIXED, *(f"axis.{axis.name}" for axis in whole.axes)])
    with readable(source):
        runs = _tidy(texts, meta, source)
    if now is not None:
        runs = runs[runs["seed"].isin(meta.seeds)].reset_index(drop=True)
        runs = runs.drop(columns=[name for name in runs if "/" in str(name) and runs[name].isna().all()])
    return Results(folder, meta, runs, looks[-1] if looks else len(whole.seeds))


def _as_of_round(meta: Meta) -> Meta:
    """The grid's description, limited to the seeds of its round; a preliminary one has no looks and no claims."""
    if meta.round is None:
        return meta
    seeds = meta.seeds[: meta.round.seeds]
    if meta.round.preliminary:
        return replace(meta, seeds=seeds, auto=None, expects=())
    stopped = {cell: min(n, len(seeds)) for cell, n in meta.auto.stopped.items()} if meta.auto else {}
    return replace(meta, seeds=seeds, auto=meta.auto and replace(meta.auto, stopped=stopped))


def _tidy(texts: pd.DataFrame, meta: Meta, source: Path) -> pd.DataFrame:
    """The runs from their texts, in canonical order; InputError where a row cannot be of this grid."""
    texts = _comparable(texts.assign(**{name: "" for name in METADATA if name not in texts}))
    _check_versions(texts, source)
    filled = [str(name) for name in texts if name not in METADATA and (texts[name] != "").any()]
    metrics = sorted(name for name in filled if "/" in name and not name.startswith(OVER_STEPS))
    choices = sorted(name for name in filled if "/" not in name and not name.startswith("axis."))
    axes = {f"axis.{axis.name}": axis for axis in meta.axes}
    runs = texts[[*METADATA, *axes, *choices, *metrics]].copy()
    runs["seed"] = numbers(runs["seed"], "seed", source).astype("int64")
    for name in metrics:
        runs[name] = numbers(runs[name], name, source)

    def place(column: pd.Series) -> pd.Series:
        return column.map(axes[str(column.name)].position) if column.name in axes else column

    return runs.sort_values([*axes, "cell_id", "seed"], key=place, ignore_index=True)


def _comparable(texts: pd.DataFrame) -> pd.DataFrame:
    """The texts without the values that their own rows call not comparable."""
    kinds = texts[NOT_COMPARABLE].str.split(SEVERAL)
    named = [str(name) for name in texts if "/" in str(name) and kind_of(str(name)) in set(kinds.explode())]
    dropped = {name: [kind_of(name) in of_row for of_row in kinds] for name in named}
    return texts.assign(**{name: texts[name].mask(np.array(of), "") for name, of in dropped.items()})


def _check_versions(texts: pd.DataFrame, source: Path) -> None:
    """InputError where rows of several versions are mixed."""
    for name, by in (("numerics", []), ("data_digest", ["data"] if "data" in texts else [])):
        versions = texts.loc[texts[name] != "", [*by, name]].drop_duplicates()
        if len(versions) > (versions["data"].nunique() if by else 1):
            raise InputError(
                f"{source} holds rows of more than one {name} ({', '.join(sorted(versions[name]))}), whose numbers are "
                "not compared: keep the rows of one, or run the grid again under a name=… of its own"
            )
