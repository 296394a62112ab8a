"""The words that a report uses in a sense of its own. They are explained in the text, and listed at the page's end."""

from __future__ import annotations

import re
from collections.abc import Iterable

MEANINGS = {
    "cell": "one combination of the levels that the grid varies, trained at several seeds",
    "axis": "a design choice that the grid varies, such as the noise schedule; its values are the levels",
    "paired seed": "a seed that all cells share: all then have the same initial weights, batches, times and noise",
    "NLL": "negative log-likelihood in bits/dim: its upper bound on held-out data",
    "floor": "the score of real held-out data at the same sample size",
    "extractor": "the network whose features FID and similar metrics compare",
    "stage": "a piece of a cell's work, such as its training; it runs once for all cells that share it",
    "rung": "a point during training, at a half, a quarter, … of its steps, at which the network is scored too",
    "round": "a part of a command's work; when it is over, its pages are written anew",
    "preliminary": "written before the last round: the page names the leading cells, but gives no verdict",
    "look": "a point planned beforehand at which results decide which cells get further seeds",
    "cannot tell": (
        "of a comparison or a claim: neither a difference nor equality is shown, at an error rate of 5 % for all of "
        "them in a metric together"
    ),
    "given up": "of a comparison at a look: further seeds would hardly have decided it",
    "fresh seed": "a new seed that was not used in these results",
    "exploratory": "declared or continued after results existed: it suggests something, but confirms nothing",
    "Pareto front": "the cells that no other cell of the same or lower cost is known to beat",
}
"""Each word with its meaning; a test keeps the table of docs/words.md equal to it."""
METRICS = {
    "FID": "the distance of samples from real images, by mean and covariance of an extractor's features",
    "FID∞": "FID as it would be of ever more samples",
    "IS": "the inception score: how sure the extractor is of each sample's class, and how varied these are",
    "KID": "the distance of samples from real images, by a polynomial kernel on an extractor's features",
    "MMD²": "the distance of points from held-out ones, by a Gaussian kernel",
    "Energy distance": "the distance of points from held-out ones, by distances between pairs of points",
    "Precision": "the share of samples that lie among real images, by an extractor's features",
    "Recall": "the share of real images that lie among samples, by an extractor's features",
    "Density": "how many real images' neighbourhoods a sample lies in, 1 for real images",
    "Coverage": "the share of real images that have a sample in their neighbourhood",
    "Memorisation rate": (
        "the share of samples nearer, in pixels, to a training image than 95 % of held-out images are: about 0.05 of a "
        "model that copies nothing, 1 of one that copies all"
    ),
    "rFID": "the FID of an autoencoder's reconstructions",
    "PSNR": "how near an autoencoder's reconstructions are to their images, in decibels",
}
"""The metrics of the suite by their labels, each explained at the page's end if a table has it."""
_FORMS = {
    "cell": r"(?<=\d )cells?\b",
    "axis": r"(?<!logarithmic )\bax[ei]s\b",
    "round": r"\bround\b(?= \d)",
    "look": r"\blooks?(?= at \d)|(?<=\bfirst )look\b|(?<=\bplanned )looks?\b",
}
"""The forms of words that have another common sense too, or are too common to be explained everywhere."""
_PATTERNS = {word: re.compile(_FORMS.get(word, rf"\b{word}s?\b"), re.IGNORECASE) for word in MEANINGS}


def named(labels: Iterable[str]) -> set[str]:
    """The explained metrics among those with these labels, such as NLL for "NLL, no label"."""
    return {label.partition(",")[0].partition(" (")[0] for label in labels} & METRICS.keys()


def marked(escaped: str, used: set[str]) -> str:
    """Escaped text with the first of each word as <abbr>, which shows its meaning; the words are added to `used`."""
    places = {word: match for word, pattern in _PATTERNS.items() if (match := pattern.search(escaped))}
    used.update(places)
    for word, match in sorted(places.items(), key=lambda place: -place[1].start()):
        start, end = match.span()
        escaped = f'{escaped[:start]}<abbr title="{MEANINGS[word]}">{match[0]}</abbr>{escaped[end:]}'
    return escaped
