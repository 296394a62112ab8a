"""The figures of a report, each with a sentence on what to see, and with an alternative text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from analysis.figures import PICTURES
from analysis.figures.drawing import Drawn
from analysis.findings.answers import Answers
from analysis.findings.spaces import in_latents
from analysis.findings.verdicts import Findings
from analysis.labels import listed
from analysis.report.files import Files
from analysis.report.page import Picture, picture
from analysis.schema import BOUND
from analysis.statistics.families import Verdict
from analysis.words.verdicts import margin

CAPTIONS = {
    "samples": "Samples of every cell, those of one seed drawn from the same noise.",
    "metrics": (
        "Each cell's seeds (dots), their mean and 95 % interval (of the logarithm on a logarithmic axis); dashed "
        "lines are values known beforehand, and what is far off the rest is an arrow with its number."
    ),
    "differences": (
        "The differences behind the verdicts, by seed (dots) with their mean and 95 % interval. Verdicts allow for the "
        "number of comparisons, so one can be “cannot tell” although its own interval leaves out 0, or a ratio of 1."
    ),
    "budget": (
        "Each cell's mean and 95 % interval (of the logarithm on a logarithmic axis) where trainings were scored "
        "on their way, and at their end: lines that cross, or come together, are what more training may turn."
    ),
    "cost": (
        "Each cell's seeds (dots) and mean against what it costs; filled are the cells of the Pareto front, at whose "
        "cost none is known to be better."
    ),
    "compute": (
        "What is bought by training in each space, its autoencoder included: a line joins the cells of one space, and "
        "where lines cross, the better space depends on the budget."
    ),
    "training": "The training loss of every seed (thin) and their mean; scales of different objectives do not compare.",
    "weights": (
        "How much each t counts in training (weight of ‖ε − ε̂‖² × density of t): lines that part show cells that "
        "differ in it."
    ),
    "schedules": "The log-SNR over time of each schedule, and how a learned one moved.",
    "bound": ("What each t adds to the bound on test data: where the bits are, and where cells part."),
    "split": (
        "The share of each term in the bound, of the values that the network sees: without the constant that states it "
        "for fewer grey levels."
    ),
    "elbo": (
        "Where the bits of an image go: for latents the reconstruction and the rate, which is what the latents "
        "themselves cost; for pixels the last step and the rest. A part below 0 lies to the left of 0."
    ),
    "estimate": "How noisy the bound's estimate by one random t is: what a training on it has to average over.",
    "strips": (
        "One image on its way to noise under each schedule, and below it samples of trained cells on their way from it."
    ),
    "reconstructions": (
        "The same test images through each autoencoder of the first seed: what is lost here, no diffusion in its "
        "latents brings back."
    ),
    "lines": (
        "Cells that differ in one number only: seeds (dots), their mean and 95 % interval (of the logarithm on a "
        "logarithmic axis); a metric that the number does not touch is left out, and what is far off the rest is an "
        "arrow with its number."
    ),
    "guidance": (
        "What guidance of each kind buys and what it costs, by its scale w (1 is none): seeds (dots), their mean and "
        "95 % interval; a star is a seed of a cell whose scale was tuned on validation data, at the scale that it took."
    ),
    "forward": (
        "How far x_t still is from pure noise, over time and at its end: where the last KL is not near 0, sampling "
        "starts from noise unlike that of training."
    ),
    "noise": "How much of the data is left at each time, as ᾱ and as log-SNR.",
    "variances": "β̃ is near β but for the first steps, and the larger T, the smaller their share.",
    "objectives": "How much each objective weights the error in ε at each t, relative to its mean over t.",
    "history": (
        "Each trial in the order in which it was tried, and the best so far as a line. The best of many noisy values "
        "is the best partly by luck."
    ),
    "history_second": "Each trial's value of the other objective, in the order in which it was tried.",
    "slices": (
        "Each trial's value against each parameter that it has, darker the later it was tried; parameters that fewer "
        "than three trials on the scale have are left out."
    ),
    "slices_second": "The same for the other objective.",
    "pareto": "What one objective costs in the other: no trial is better in both than one of the best.",
    "rungs": "What the pruner saw: the value on validation data over training steps. What was pruned ends early.",
    "reverse": (
        "How far the true reverse step is from a Gaussian, by step size; and what that costs an exact denoiser in the "
        "bound, by T. Both on a mixture of Gaussians, where the truth is known."
    ),
}
PRELIMINARY = {
    "differences": (
        "How cells differ so far, by seed (dots) with their mean and 95 % interval, each difference by itself."
    ),
    "compute": "What is bought by training in each space, its autoencoder included: a line joins the cells of a space.",
}
"""The captions of figures whose usual captions mention verdicts, for rounds in which none is due."""
SHOWS = {
    "samples": "Sheet of generated samples of {cells}",
    "metrics": "Chart with a row for each of {cells}: seeds, mean, interval of {metrics}. The table holds the numbers",
    "differences": "Chart with a row for each comparison: {verdicts}. The list of comparisons holds the numbers",
    "budget": "Line chart of {metrics} over training steps for {cells}. The table below it names the best at each",
    "cost": "Scatter chart of {metrics} against cost for {cells}. The cost table holds the numbers",
    "compute": "Line chart of {metrics} against the compute of {cells}. The table and the cost table hold the numbers",
    "training": "Line chart of training loss over steps for {cells}",
    "weights": "Line chart of the effective training weight over t for {cells}",
    "schedules": "Line chart of the log-SNR over t for {cells}",
    "bound": "Line chart of the bound's terms over t for {cells}",
    "split": "Bars with the shares of L_0, L_1 to L_{{T−1}} and L_T in the bound of {cells}",
    "elbo": "Bars with the bits/dim that {cells} spend on reconstruction and rate, or on the terms of their bound",
    "estimate": "Chart with a row for each of {cells}: the variance of the bound's estimate, as in the table",
    "strips": "Rows of images from data to noise and from noise to samples, one for each schedule",
    "reconstructions": "Rows of images: test images, and below them the same from each autoencoder",
    "lines": "Line chart of {metrics} against a number in which {cells} differ. The table holds the numbers",
    "guidance": "Line charts of what samples of {cells} score against the guidance scale. The table holds the numbers",
    "forward": "Line charts of the divergence of x_t from a standard Gaussian, over t and over T",
    "noise": "Line charts of alpha-bar and of the log-SNR over t for each schedule",
    "variances": "Line chart of the ratio of the two reverse variances over t, for several T",
    "objectives": "Line chart of the weight of the error in ε over t for each objective",
    "history": "Scatter chart of each trial's value in the order of trials, with the best so far",
    "history_second": "Scatter chart of each trial's value of the other objective in the order of trials",
    "slices": "Scatter charts of each trial's value against each parameter. A table holds the best trials",
    "slices_second": "Scatter charts of each trial's value of the other objective against each parameter",
    "pareto": "Scatter chart of each trial's two objectives with their Pareto front. A table holds the trials that won",
    "rungs": "Line chart of each trial's value on validation data over training steps",
    "reverse": "Line charts of the reverse step's divergence from a Gaussian over β, and of the bound's gap over T",
}


def pictures(answers: Answers, drawn: Mapping[str, Drawn], files: Files) -> dict[str, Picture]:
    """The drawn figures of a grid, by name; `answers` are of the cells that these show."""
    return {
        name: replace(
            picture(name, figure, caption(name, answers), alternative(name, answers)),
            photo=name in PICTURES,
            paper=files.paper(name),
        )
        for name, figure in drawn.items()
    }


def caption(name: str, answers: Answers) -> str:
    """The caption of a figure, with sentences on what only some grids have."""
    more = {"samples": _outside, "differences": _band, "bound": _off_the_axis}
    captions = CAPTIONS | PRELIMINARY if answers.preliminary else CAPTIONS
    return " ".join(text for text in (captions[name], more[name](answers) if name in more else "") if text)


def _outside(answers: Answers) -> str:
    """A sentence on points outside of the frames; "" for images."""
    return "How many points lie outside of a frame stands in it." if answers.meta.examples == "points" else ""


def _band(answers: Answers) -> str:
    """A sentence on the meaning of the grey band, if a metric has one."""
    metrics = [answer.metric for answer in answers.findings if not math.isnan(answer.metric.margin)]
    margins = listed([f"{margin(metric)} of {metric.label}" for metric in metrics], "or")
    return f"What lies in the grey band, a difference of less than {margins}, does not matter." if metrics else ""


def _off_the_axis(answers: Answers) -> str:
    """A sentence on terms of latents that are not above 0 and so are not drawn, if there are any."""
    terms = zip(answers.cells, answers.curve(BOUND), strict=True)
    lost = any(in_latents(cell) and bool((table <= 0).any(axis=None)) for cell, table in terms)
    return "A first term of latents that is below 0 has no place on the logarithmic axis." if lost else ""


def search_pictures(drawn: Mapping[str, Drawn], files: Files) -> dict[str, Picture]:
    """The drawn figures of a search, by name."""
    return {
        name: replace(picture(name, figure, CAPTIONS[name], f"{SHOWS[name]}."), paper=files.paper(name))
        for name, figure in drawn.items()
    }


def alternative(name: str, answers: Answers) -> str:
    """The alternative text of a figure."""
    metrics = listed([answer.metric.label for answer in answers.findings]) or "the metrics"
    verdicts = "; ".join(f"{answer.metric.label} {_verdicts(answer)}" for answer in answers.findings)
    return f"{SHOWS[name].format(cells=answers.cells_shown, metrics=metrics, verdicts=verdicts)}."


def _verdicts(answer: Findings) -> str:
    words = [pair.verdict for pair in answer.pairs]
    called = {"open": "without a verdict yet"}
    return ", ".join(f"{words.count(word)} {called.get(word, word)}" for word in get_args(Verdict) if word in words)
