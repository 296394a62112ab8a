"""The caption of a grid's table: all that a reader needs to judge the numbers without looking elsewhere."""

from __future__ import annotations

import math

from analysis.findings.answers import Answers
from analysis.findings.costs import TOTAL_FLOPS
from analysis.findings.family import asked
from analysis.findings.lines import GUIDANCE
from analysis.findings.spaces import PSNR, RFID, in_latents
from analysis.findings.summary import DrawError, HeldOutError, range_of_means
from analysis.findings.values import Unpaired
from analysis.grid_json import Meta, ShownMetric
from analysis.labels import counted, duration, listed, two_digits
from analysis.read.runs import GridResults
from analysis.schema import PRECISION
from analysis.words.declared import exploratory
from analysis.words.provenance import chain_length, image_size, numerics, span_of, steps_taken
from analysis.words.rounds import at_rungs, looked, round_of, seeds_taken

_CONTINUOUS = "nll_continuous/"
_AT_THE_END = {
    "Gaussian over grey-level bins": "softmax over grey levels (no network)",
    "Gaussian density": "density at γ₁",
}
"""The decoder of a bound in T steps → the one that continuous time has on the same data."""
MARKS = (
    "Bold: the best mean among the cells to which no other is shown to be better (paired t-tests over all pairs), and "
    "those shown to be as good; °: the rest of these cells, which may be the best or much worse. In each metric by "
    "itself, the cell that truly is the best has one of the two marks in at least 95 % of grids."
)
"""The meaning of bold type and of the sign °."""
_LABELLED = (
    "With labels, likelihoods are of each image given its label, p(x|y); “NLL, no label” alone is of the image without."
)
_GUIDED = (
    "Guidance changes samples alone: a guided cell's likelihoods are the unguided model's, and the same at any scale."
)
_FAR = 2
"""The most that the largest error may exceed the median cell's, as a factor, and still speak for all cells."""


def caption(answers: Answers) -> str:
    """The caption: data, seeds and interval, decoder, errors from draws, quality, latents, budget, provenance."""
    meta = answers.meta
    judged = [
        _decoder(answers),
        *map(own_error, answers.draw_errors),
        *_told(answers),
        _quality(meta),
        _latents(answers),
    ]
    parts = [
        at_rungs(answers.meta, answers.metrics),
        setting(answers.grid),
        _interval(answers),
        *judged,
        _budget(answers.grid),
        _provenance(answers),
    ]
    return " ".join(part for part in parts if part)


def setting(grid: GridResults) -> str:
    """The data, with its size and the number of examples, and T, or its range where cells differ in it."""
    size = ", ".join(text for text in (image_size(grid.meta), _number(grid.meta)) if text)
    data = f"{grid.meta.data} ({size})" if size else grid.meta.data
    return f"Data: {', '.join(text for text in (data, chain_length(grid)) if text)}."


def _number(meta: Meta) -> str:
    return f"{meta.trained_on:,} training {meta.examples}" if meta.trained_on else ""


def _interval(answers: Answers) -> str:
    """The meaning of ±, of bold and of °."""
    if len(answers.meta.seeds) < 2:
        return "One seed, so no interval is known" + ("." if answers.preliminary else " and none is marked.")
    errors = [_given(error, answers.meta.examples) for error in answers.held_out_errors]
    rows = listed([axis.label for axis in answers.axes if axis.name in answers.meta.rows])
    marks = f"{MARKS} Marks compare cells with the same {rows}." if rows else MARKS
    sentences = [interval(answers.meta), *errors, _scales(answers), "" if answers.preliminary else marks]
    return " ".join(text for text in sentences if text)


def _scales(answers: Answers) -> str:
    """The metrics that are compared by their logarithm, with the reason if that is not their own scale."""
    own = {metric.name: metric.scale for metric in answers.meta.metrics}
    logs = [answer.metric for answer in answers.findings if answer.metric.scale == "log"]
    names = [
        metric.label if own[metric.name] == "log" else f"{metric.label}, since its means {_spanned(answers, metric)},"
        for metric in logs
    ]
    if not names:
        return ""
    its, are = ("its", "is") if len(names) == 1 else ("their", "are")
    return f"{listed(names)} {are} compared by {its} logarithm, so {its} differences are factors."


def _spanned(answers: Answers, metric: ShownMetric) -> str:
    least, most = range_of_means(answers.grid, metric)
    return f"span a factor of {two_digits(most / least)}"


def interval(meta: Meta) -> str:
    """The meaning of ±, and the number of seeds behind it."""
    return f"Mean ± half-width of the 95 % t-interval over {seeds_taken(meta)}{looked(meta)}."


def _given(error: HeldOutError, what: str) -> str:
    """The error that the ± of a metric leaves out: that of the choice of held-out images."""
    half = f"{two_digits(error.half_width)} {error.metric.unit}" if error.metric.unit else two_digits(error.half_width)
    return (
        f"{error.metric.label}'s ± holds for these {error.n} held-out {what}; others would move all cells "
        f"together, the median one by about ± {half}."
    )


def _decoder(answers: Answers) -> str:
    """The decoder of L₀, and that of continuous time if the table has such a metric; "" if grid.json has none."""
    decoder = answers.meta.decoder
    if decoder is None:
        return ""
    others = [metric.label for metric in answers.metrics if metric.name.startswith(_CONTINUOUS)]
    at_the_end = [f"in {label}: {_AT_THE_END[decoder]}" for label in others if decoder in _AT_THE_END]
    return "; ".join([f"L₀ by the decoder: {decoder}", *at_the_end]) + "."


def own_error(error: DrawError) -> str:
    """The largest error of a metric from its draws, and its cell if that is far above the others."""
    unit = f" {error.metric.unit}" if error.metric.unit else ""
    apart = error.largest > _FAR * error.median
    where = f" ({error.cell.name}), and {_upwards(error.median)}{unit} in the median cell" if apart else ""
    return f"{error.metric.label}'s own error, from its draws, is at most {_upwards(error.largest)}{unit}{where}."


def _told(answers: Answers) -> list[str]:
    """Sentences that explain likelihoods with labels, and likelihoods of guided cells, if there are any."""
    labelled = any(cell.parameter("conditioning") == "class" for cell in answers.cells)
    guided = any(cell.parameter(GUIDANCE) not in ("", "1.0") for cell in answers.cells)
    likelihoods = any(metric.kind.startswith("nll") for metric in answers.metrics)
    return [text for text, holds in ((_LABELLED, labelled), (_GUIDED, guided)) if holds and likelihoods]


def _upwards(value: float) -> str:
    """A value by two significant digits, rounded up."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return two_digits(math.ceil(value / step - 1e-9) * step)


def _quality(meta: Meta) -> str:
    # The names of metrics of samples, and that of rFID, end in the name of their extractor.
    seen = [metric for metric in meta.metrics if meta.extractor and metric.name.endswith(f"/{meta.extractor}")]
    names = [metric.label for metric in seen if metric.part != "autoencoder"]
    if not names:
        return ""
    accuracy = f" (accuracy {100 * meta.extractor_accuracy:.1f} %)" if meta.extractor_accuracy is not None else ""
    sets = f", mean of {meta.quality_sets} disjoint sets" if (meta.quality_sets or 1) > 1 else ""
    n = f" on n = {meta.quality_n} generated images{sets}" if meta.quality_n else ""
    floor = "; the floor is what held-out images score at that n" if meta.floors else ""
    held_out = any(metric.name.endswith(f"/test/{meta.extractor}") for metric in meta.metrics)
    against = f" against the test {meta.examples}" if held_out else ""
    return f"{', '.join(names)} by the extractor {meta.extractor}{accuracy}{against}{n}{floor}."


def _latents(answers: Answers) -> str:
    """The meaning of the metrics of cells in latents; "" if there are no such cells."""
    if not any(in_latents(cell) for cell in answers.cells):
        return ""
    shown = [metric for metric in answers.meta.metrics if metric.name == PSNR or metric.name.startswith(RFID)]
    names = " and ".join(metric.label for metric in shown)
    total = next((metric.label for metric in answers.meta.metrics if metric.name == TOTAL_FLOPS), "")
    sentences = [
        "In latents, NLL is the bound of the autoencoder and its diffusion together, in bits of the image.",
        f"{names} {'is' if len(shown) == 1 else 'are'} of its reconstructions of test images." if names else "",
        f"{total} include the autoencoder's." if total else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _budget(grid: GridResults) -> str:
    batch, parameters = span_of(grid, "training.batch"), span_of(grid, "cost/parameters")
    words = [
        steps_taken(grid),
        f"batch {batch}" if batch else "",
        f"{parameters} network parameters" if parameters else "",
    ]
    parts = ", ".join(word for word in words if word)
    return f"Per cell: {parts}." if parts else ""


def _provenance(answers: Answers) -> str:
    grid, meta = answers.grid, answers.meta
    took = f" ({duration(meta.seconds)})" if meta.seconds else ""
    precisions = "/".join(sorted(set(grid.runs[PRECISION]) - {""}))
    device = ", ".join(["", *(word for word in (meta.device, precisions) if word)])
    several = [f"{code} ({n} runs)" for code, n in grid.codes] if len(grid.codes) > 1 else []
    made_by = ", ".join(several) or meta.code
    code = (f"; code {made_by}" if made_by else "") + f"; numerics {numerics(grid)}"
    which = f"; {round_of(answers.meta)}" if not answers.preliminary and round_of(answers.meta) else ""
    command = f"`{meta.command}`{took}{device}{code}{which}." if meta.command else ""
    continued = (
        " Other seeds were asked for after results were there, so its verdicts are exploratory."
        if meta.continued
        else ""
    )
    kinds = [f"{kind} ({counted(n, 'run')})" for kind, n in grid.machines]
    mixed = (
        f" Its runs come from several kinds of machine, which round otherwise, and a training makes of that as much as "
        f"another seed: {'; '.join(kinds)}."
        if len(kinds) > 1
        else ""
    )
    return " ".join([command + mixed + _unpaired(answers) + continued, *exploratory(answers)])


def _unpaired(answers: Answers) -> str:
    """A sentence on differences left out because different kinds of machine ran the two cells; "" if none are."""
    apart = Unpaired.of((a, b) for a, b, _ in asked(answers.grid, answers.cells))
    if not apart.left_out:
        return ""
    untested = (
        f", and {apart.untested} of the comparisons have fewer than two seeds left, so nothing is said of them"
        if apart.untested
        else ""
    )
    return (
        f" Two cells are compared at the seeds that the same kind made of both: {apart.left_out} of the {apart.pairs} "
        f"differences by seed are left out{untested}."
    )
