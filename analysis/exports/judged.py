"""The entries of answers.json that say what was found: verdicts, claims, effects, fronts."""

from __future__ import annotations

from typing import Literal

from analysis.exports.measured import Entry, InWords, Measure, MetricName, Number, Place, Places, read_at
from analysis.findings.claims import Obstacle
from analysis.findings.declared import Declared
from analysis.findings.expectations import Fate
from analysis.statistics.families import Verdict


class AnsweredHeadline(Entry):
    """The answer in each metric that decides, the shortest form of all that follows."""

    metric: MetricName = read_at("metric", "name")
    decides: str = read_at("metric", "decides")
    """The purpose that the metric is asked for: `likelihood`, `samples`, or what its author calls it."""
    best: Place | None
    """The cell with the best mean of those that may be the best, or of all in a preliminary round; null where no cell
    has a value."""
    leaders: Places = read_at("leading")
    """All cells that may be the best: no other is shown to be better. In a grid without `rows` they are the cells in
    bold and those with °; with `rows` these marks are within rows. Empty with one seed, and in a preliminary round."""
    as_good: Places
    """Other cells, leaders or not, that are shown to be worse than the best by less than `relevant`, or not worse."""
    sentence: str
    """The same in words, as it stands beside the table of a grid without `rows`."""
    rivals: Places
    """Cells that are shown to be worse than the best, and may be better at twice the training; empty where trainings
    were not scored on their way."""


class AnsweredRow(Entry):
    """The answer in a metric among the cells of a row: those that share the levels which no declared comparison
    changes. Places are those of the grid's cells."""

    metric: MetricName = read_at("metric", "name")
    levels: dict[str, str]
    """The levels that the row's cells share, by axis."""
    cells: Places
    """The cells of the row."""
    best: Place | None
    """The cell with the best mean of those of the row that may be its best, as in a headline."""
    leaders: Places = read_at("leading")
    """The cells of the row to which no other of the row is shown to be better."""
    as_good: Places
    """Other cells of the row that are shown to be worse than its best by less than `relevant`, if at all."""
    sentence: str
    """The same in words."""


class AnsweredComparison(Entry):
    """Two cells by the seeds that both finished, and by held-out image where each image has a value. The comparisons of
    one metric are one family with the `claims` about it."""

    metric: MetricName = read_at("metric", "name")
    a: Place
    """The first cell."""
    b: Place
    """The cell that it is compared with."""
    primary: bool
    """True where the grid declares this comparison, or declares none."""
    declared: Declared = "not recorded"
    """When it was declared as it stands: `beforehand`, `after results` of any of its runs, or `not recorded`."""
    exploratory: bool = True
    """True where it was not declared beforehand, so that its verdict is no confirmation."""
    scale: Literal["linear", "log"] = read_at("metric", "scale")
    """The metric's scale: where it is `log`, the next two are of logarithms."""
    difference: Number = read_at("comparison", "difference")
    """The mean of a − b over the common seeds."""
    half_width: Number = read_at("comparison", "half_width")
    """Half the width of the 95 % interval of this difference by itself; with `seeds=auto`, of one that holds together
    with those of all declared comparisons at all looks."""
    n: int = read_at("comparison", "n")
    """The number of seeds that both finished."""
    p: Number = read_at("comparison", "p")
    """p of a difference of 0, two-sided."""
    adjusted_p: Number
    """The same, adjusted for all comparisons of this metric and claims about it: 0.05 or less is a verdict; null where
    none is due."""
    equal_p: Number
    """The adjusted p of the claim that the difference is below `relevant`; null where the metric names none."""
    settled_at: int | None
    """With `seeds=auto` the number of seeds at which the verdict came, in place of both adjusted p; else null."""
    verdict: Verdict
    """The verdict that a is `better` or `worse` than b, `equal` for practical purposes, or one `cannot tell`; `open` in
    a preliminary round."""
    fresh_seeds: int | None
    """The number of new seeds of this grid that would show the difference with a probability of about 80 %, judged by
    these seeds; null where no number up to 100 would, and with `seeds=auto`."""
    sentence: InWords


class AnsweredCourse(Entry):
    """A comparison over the budget."""

    metric: MetricName
    a: Place = read_at("pair", "a")
    """One cell."""
    b: Place = read_at("pair", "b")
    """The other cell."""
    verdicts: tuple[Verdict, ...]
    """On a relative to b at each of the rungs, the last of these the end."""
    settled: bool
    """True where they are told apart at the end, and would be at twice the training if the difference went on changing
    as since the last rung. It says nothing of what happens further on."""
    before: Number = read_at("change", "before", default=None)
    """a − b at the last rung before the end, in the mean over the seeds that were scored there; on a log scale of
    logarithms. Null below two seeds."""


class AnsweredClaim(Entry):
    """An expectation from a paper. Claims about a metric are one family with its `comparisons`; with `seeds=auto` those
    that are about none of these are a family of their own."""

    claim: str = read_at("claim", "claim")
    """The claim in words."""
    source: str = read_at("claim", "source")
    """The source of the claim."""
    declared: Declared = "not recorded"
    """When it was written down: `beforehand`, `after results` of any run that it is about, or `not recorded`."""
    exploratory: bool = True
    """True where it was not written down beforehand, so that its fate is no confirmation."""
    metric: str
    """The metric that it is about; where the grid has none such, its kind."""
    fate: Fate
    """`as published`, `contrary to the paper`, `too early to say` (contrary, at a budget that says nothing of it),
    `no difference that matters` or `cannot tell`."""
    obstacle: Obstacle
    """The reason why it could not be tested: `not measured`, `not comparable`, `too few seeds`; empty where it was."""
    difference: Number = read_at("test", "comparison", "difference", default=None)
    """The difference that the claim is about, averaged over the axes that it does not name; of logarithms where the
    metric is on a log scale."""
    half_width: Number = read_at("test", "comparison", "half_width", default=None)
    """Half the width of its 95 % interval."""
    margin: Number = read_at("test", "margin", default=None)
    """For a claim that two are equal, the difference that still counts as equal; else null."""
    adjusted_p: Number = read_at("test", "different", default=None)
    """The p of the difference, adjusted within its family; for a claim that two are equal, the p of a difference beyond
    the margin. Null where looks decided."""
    equal_p: Number = read_at("test", "equal", default=None)
    """For a claim that two are equal, the adjusted p of a difference within the margin; else null."""
    listed: bool = read_at("is_listed", default=False)
    """True where it is about the two cells of one of the `comparisons`: then a claim that one is better has that
    verdict."""
    sentence: InWords


class AnsweredEffect(Entry):
    """An axis of several, or two together, and how much of a metric's variation they account for."""

    metric: MetricName
    axes: tuple[str, ...]
    """One axis, to say whether it matters; or two, to say whether the effect of one depends on the other."""
    df: int
    """Degrees of freedom of the effect."""
    df_error: int | Number
    """The number of seeds less one."""
    F: Number
    """The F statistic; null where it is infinite."""
    p: Number
    """Its p."""
    adjusted_p: Number = read_at("adjusted")
    """The same, adjusted for all effects on this metric; for an effect that is the contrast of a comparison or a claim,
    the adjusted p of that."""
    share: Number
    """The share of the sum of squares that seeds do not explain."""
    matters: bool
    """True where the adjusted p is 0.05 or less, unless the effect is the contrast of a comparison that is `equal`; or
    where a comparison or a claim shows a difference between cells that differ in these axes alone."""


class AnsweredAverage(Entry):
    """A level of an axis, averaged over all other axes within each seed."""

    metric: MetricName
    axis: str = read_at("axis", "name")
    """The axis."""
    level: str
    """The level's label."""
    mean: Number = read_at("estimate", "mean")
    """The mean over seeds, on a log scale the geometric one."""
    low: Number = read_at("estimate", "low")
    """The lower end of its 95 % interval."""
    high: Number = read_at("estimate", "high")
    """The upper end."""
    note: str
    """The combinations of the other axes that it is over, where these are not all."""


class AnsweredFront(Entry):
    """The cells that are worth their cost: those to which no cell that costs no more is known to be better."""

    metric: MetricName
    cost: Measure
    """The `name` of the cost."""
    cells: Places
    """The cells on the front."""


class AnsweredWeight(Entry):
    """An axis along which the weight that training gives to each t changes, though the axis does not declare that: a
    second difference between its cells."""

    axis: str
    """The axis."""
    factor: Number
    """The largest factor between the weights of two cells; null where one has no weights."""
    t: int
    """The t at which they differ most."""


class AnsweredOptimism(Entry):
    """The winner of a search, in the search and anew at the fresh seeds of its confirmation."""

    winner: str = read_at("winner", "label")
    """The name of the winner."""
    metric: str = read_at("objective", "name")
    """The objective."""
    searched: Number
    """Its value in the search, which is the best partly by luck."""
    fresh: Number = read_at("fresh", "mean")
    """The mean of the same cell at seeds that the search has not used."""
    half_width: Number = read_at("fresh", "half_width")
    """Half the width of the 95 % interval of `fresh`."""
    n: int
    """The number of fresh seeds."""
    test: Number = read_at("test", "mean", default=None)
    """The mean of a likelihood on test images; else null."""
    gap: Number
    """The amount by which `fresh` is worse than `searched`, in the metric's direction: above 0 the search was
    optimistic."""
    gap_half_width: Number = read_at("half_width")
    """Half the width of the 95 % interval of the gap."""
    sentence: InWords
