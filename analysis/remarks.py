"""Remarks beside a table's numbers: how runs ended, what their notes say, what the numbers rest on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

import pandas as pd

from analysis.answers import Analysis
from analysis.drawing import drawing
from analysis.folders import COMMITTED
from analysis.labels import counted, two_digits
from analysis.results import FINISHED, Results
from analysis.schema import AUTOENCODER, MACHINE, NOTES, NUMERICS, PRECISION

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")


def merged(texts: Iterable[str]) -> dict[str, str]:
    """Text → the text that stands for all that differ from it in numbers only, with the range of each number."""
    alike: dict[str, list[str]] = {}
    for text in texts:
        alike.setdefault(_NUMBER.sub("{}", text.replace("{", "{{").replace("}", "}}")), []).append(text)
    words: dict[str, str] = {}
    for form, same in alike.items():
        columns = [sorted(column, key=float) for column in zip(*map(_NUMBER.findall, same), strict=True)]
        ranges = ("–".join(dict.fromkeys((column[0], column[-1]))) for column in columns)
        words |= dict.fromkeys(same, form.format(*ranges))
    return words


def of_cells(results: Results) -> dict[str, list[str]]:
    """Cell → the seeds that did not finish, with the reason, and the notes of its runs."""
    runs = results.runs[["cell_id", "status", "reason", NOTES]].astype(object)
    runs["reason"] = [text.strip().partition("\n")[0][:200] for text in runs["reason"]]
    reasons = merged(text for text in runs["reason"] if text)
    notes = merged(line for text in runs[NOTES] for line in text.splitlines())
    by_cell = {}
    for cell, own in runs.groupby("cell_id", sort=False):
        parts = []
        for status, ended in own[own["status"] != FINISHED].groupby("status", sort=False)["reason"]:
            why = "; ".join(dict.fromkeys(reasons[text] for text in ended if text))
            parts.append(f"{status} in {len(ended)} of {len(own)} seeds" + (f" ({why})" if why else ""))
        kept = int((own["status"] == FINISHED).sum())
        parts += [f"mean over the other {kept}"] if parts and kept else []
        lines = [notes[line] for text in own[NOTES] for line in text.splitlines()]
        by_cell[str(cell)] = [text for text in dict.fromkeys(["; ".join(parts), *lines]) if text]
    return by_cell


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
            texts.append(
                f"Of the variance of a difference in {metric.label} over seeds, drawing the samples makes "
                f"{100 * noise.share:.0f} % (median of {counted(noise.pairs, 'comparison')}, a rough estimate from the "
                f"paired differences of {noise.sets} sets at each seed); {counted(noise.best, 'set')} would tell most "
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
    commands = {"more seeds, for exploration": changed(command, more)}
    if analysis.search is not None:
        trials, seeds = {"trials": 2 * len(analysis.search.trials)}, {"confirm": 2 * len(meta.seeds)}
        commands = {"more trials": changed(command, trials), "more fresh seeds": changed(command, seeds)}
    steps = set(analysis.runs.get("training.steps", [])) - {""}
    if len(steps) == 1 and not analysis.trained_elsewhere:
        longer = {"training.steps": 2 * int(steps.pop()), "name": f"{meta.name}-longer"}
        commands["training twice as long"] = changed(command, longer)
    results = analysis.folder.parent
    for metric in analysis.deciding[-1:] if results.name != COMMITTED else []:  # where there are no models
        own = analysis.cells.query("metric == @metric.name and rank >= 0").set_index("cell_id")["mean"]
        if len(own):
            best = {"cell": (metric.sign * own).idxmax(), "seed": meta.seeds[0], "results": results}
            commands["a picture of the best cell"] = changed("python -m ablations.sample", best)
    where = f"grid={meta.name}" if results.name in ("results", COMMITTED) else f"runs={analysis.folder}"
    commands["LaTeX"] = f"python -m analysis.tables {where} format=latex"
    return commands


def changed(command: str, settings: Mapping[str, object]) -> str:
    """A command with other settings."""
    kept = [word for word in shlex.split(command) if word.partition("=")[0] not in settings]
    return shlex.join([*kept, *(f"{key}={value}" for key, value in settings.items())])
