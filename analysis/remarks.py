"""Remarks beside a table: what its numbers rest on, and how to go on.

One of them is the share of drawing samples in the noise of a difference, from paired differences, seeds × sets.
Generated set k of every cell starts from the same noise. Let d_sk be the difference of two cells at seed s in set k, of
K, on the metric's scale. It varies between trainings and, within one, between sets:

    Var_s d̄_s = σ_seed² + σ_set²/K,      σ_set² = mean_s Var_k d_sk       (one-way analysis of variance)
    K* = √(σ_set²/σ_seed² · c/c_set)     leaves the least variance a second, where a set takes c_set seconds and all
                                         else of a run, its share of a training above all, takes c
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.answers import Analysis
from analysis.comparisons import planned_pairs
from analysis.costs import work_seconds
from analysis.grid_json import MetricInfo
from analysis.labels import counted, two_digits
from analysis.places import COMMITTED
from analysis.results import Results
from analysis.schema import AUTOENCODER, BY_SET, MACHINE, MOST_SETS, NUMERICS, PRECISION


def drawing(results: Results, metric: MetricInfo) -> tuple[float, int, int, int] | None:
    """What drawing adds to the noise of a grid's differences in a metric: its share of their variance (the median over
    comparisons) and the number of sets; the number of comparisons; and the number of sets that is best for the time it
    takes. None where fewer than two sets or seeds were kept."""
    curves, scaled = results.curve(f"{BY_SET}{metric.name}"), results.scaled(metric)
    shares, sets = list[float](), max((len(curve) for curve in curves.values()), default=0)
    for a, b, declared in planned_pairs(results):
        if not declared or not {a, b} <= curves.keys():
            continue
        paired = scaled.loc[[a, b]].dropna(axis=1).columns.get_level_values("seed")
        ours, theirs = (curves[cell].reindex(columns=paired).to_numpy(dtype=np.float64) for cell in (a, b))
        d = np.log(ours / theirs) if metric.scale == "log" else ours - theirs
        d = d[:, np.isfinite(d).all(0)]
        between = float(d.mean(0).var(ddof=1)) if min(d.shape) > 1 else 0.0
        if between > 0:
            shares.append(min(1.0, float(d.var(axis=0, ddof=1).mean()) / len(d) / between))
    if not shares:
        return None
    share = float(np.median(shares))
    return share, sets, len(shares), best_sets(share, sets, _cost(results, sets))


def best_sets(share: float, sets: int, cost: float) -> int:
    """K* from the share of drawing at K = `sets`, where all else costs as much as so many sets."""
    ratio = sets * share / (1 - share) if share < 1 else np.inf
    return int(np.clip(np.rint(np.sqrt(ratio * cost)), 1, MOST_SETS))


def _cost(results: Results, sets: int) -> float:
    """c/c_set, over all finished runs; 0 where no time is known."""
    drawn = work_seconds(results.finished.filter(items=["seed", "training_id", "cost/sample_seconds"]))
    return sets * (work_seconds(results.finished) / drawn - 1) if drawn > 0 else 0.0


def of_table(analysis: Analysis) -> list[str]:
    """Sentences on what the numbers rest on: extractor, decoder, draws, labels, latents, kinds of machine."""
    meta = analysis.meta
    seen = [m.label for m in meta.metrics if m.name.endswith(f"/{meta.extractor}") and m.part != "autoencoder"]
    sets = f", mean of {meta.quality_sets} disjoint sets" if (meta.quality_sets or 1) > 1 else ""
    late = pd.to_numeric(analysis.runs.get("evaluation.checkpoints", pd.Series(dtype=float)), errors="coerce").max()
    sets += f", in turn from the last {late:.0f} checkpoints" if late > 1 else ""
    accuracy = f" (accuracy {100 * meta.extractor_accuracy:.1f} %)" if meta.extractor_accuracy else ""
    by = f"{', '.join(seen)}: by {meta.extractor}{accuracy} on {meta.quality_n} generated images{sets}."
    texts = [by] * bool(seen) + [f"L₀ by the decoder: {meta.decoder}."] * bool(meta.decoder)
    for metric in analysis.deciding:
        draws = analysis.finished.get(f"{metric.name}_draw_se")
        if draws is not None and draws.notna().any():
            error = f"{two_digits(draws.max())} {metric.unit}".rstrip()
            texts.append(f"{metric.label}'s own error, from its draws, is at most {error}.")
        if (noise := drawing(analysis, metric)) is not None:
            share, drawn, pairs, best = noise
            texts.append(
                f"Of the variance of a difference in {metric.label} over seeds, drawing the samples makes "
                f"{100 * share:.0f} % (median of {counted(pairs, 'comparison')}, a rough estimate from the "
                f"paired differences of {drawn} sets at each seed); {counted(best, 'set')} would tell most "
                "for their time."
            )
    if any(metric.kind.startswith("nll") for metric in analysis.metrics):
        labels = any(analysis.parameter(cell, "conditioning") == "class" for cell in analysis.cell_ids)
        texts += ["With labels, likelihoods are p(x|y), not p(x)."] * labels
        latents = bool((analysis.runs[AUTOENCODER] != "").any())
        texts += ["In latents, NLL is the bound of autoencoder and diffusion, in bits of the image."] * latents
    kinds = [f"{kind} ({counted(n, 'run')})" for kind, n in analysis.counted(MACHINE).items()]
    paired = f"Cells are paired only at seeds that one kind of machine ran: {'; '.join(kinds)}."
    return texts + [paired] * (len(kinds) > 1)


def provenance(analysis: Analysis) -> str:
    """The command, the machine, the code and its NUMERICS."""
    meta = analysis.meta
    precision, numerics = ("/".join(sorted(set(analysis.runs[name]) - {""})) for name in (PRECISION, "numerics"))
    code = " and ".join(analysis.counted("code")) or meta.code
    other = "" if numerics == str(NUMERICS) else f" (this code's {NUMERICS} gives other digits)"
    parts = [f"`{meta.command}`" * bool(meta.command), meta.device, precision, f"code {code}" * bool(code)]
    return ", ".join([*filter(None, parts), f"numerics {numerics or 'not recorded'}{other}"]) + "."


def go_on(analysis: Analysis) -> dict[str, str]:
    """Next step → its command."""
    meta = analysis.meta
    command = meta.command or f"python -m ablations.run grid={meta.name}"
    more = {"seeds.max": 2 * meta.auto.looks[-1]} if meta.auto else {"seeds": 2 * len(meta.seeds)}
    commands = {} if meta.preliminary else {"more seeds, for exploration": with_settings(command, more)}
    if analysis.search is not None:
        trials, seeds = {"trials": 2 * len(analysis.search.trials)}, {"confirm": 2 * len(meta.seeds)}
        commands = {"more trials": with_settings(command, trials), "more fresh seeds": with_settings(command, seeds)}
    plans = analysis.runs.reindex(columns=["training.steps", "horizon"], fill_value="").to_numpy()
    steps = {steps for steps, horizon in plans if steps and horizon != "0"}
    if len(steps) == 1 and not analysis.trained_elsewhere:
        longer = {"training.steps": 2 * int(steps.pop()), "name": f"{meta.name}-longer"}
        commands["training twice as long"] = with_settings(command, longer)
    results = analysis.folder.parent
    for metric in analysis.deciding[-1:] if results.name != COMMITTED else []:  # where there are no models
        own = analysis.cells.query("metric == @metric.name and rank >= 0").set_index("cell_id")["mean"]
        if len(own):
            best = {"cell": (metric.sign * own).idxmax(), "seed": meta.seeds[0], "results": results}
            script = re.match(r"python (\S+\.py)", command)  # which alone knows its classes
            program = f"python {script[1]} sample" if script else "python -m ablations.sample"
            commands["a picture of the best cell"] = with_settings(program, best)
    findable = results.name == COMMITTED or results.resolve() == Path("results").resolve()
    where = f"grid={meta.name}" if findable else f"runs={analysis.folder}"
    commands["LaTeX"] = f"python -m analysis.tables {where} format=latex"
    return commands


def with_settings(command: str, settings: Mapping[str, object]) -> str:
    """A command with other settings."""
    kept = [word for word in shlex.split(command) if word.partition("=")[0] not in settings]
    return shlex.join([*kept, *(f"{key}={value}" for key, value in settings.items())])
