"""What the report takes for likelihood and samples, what it says of noise and axes."""

import re

import numpy as np
import pytest

from analysis.findings.answers import Answers
from analysis.report.answers import axes, noise, published
from analysis.report.budget import budget
from analysis.report.comparisons import comparisons
from analysis.report.figures import caption
from analysis.report.page import Items, Text, render
from analysis.report.verdict import verdict
from tests.analysis.conftest import FID, NLL, known
from tests.analysis.findings.test_expectations import claim
from tests.analysis.findings.test_expectations import grid_of as claims_on
from tests.analysis.findings.test_factorial import grid_of as planted
from tests.analysis.findings.test_verdicts import VALUES, grid_of
from tests.analysis.report.pages import Page


def test_one_seed_says_that_it_is_no_verdict():
    values = {name: (nll[:1], fid[:1]) for name, (nll, fid) in VALUES.items()}
    answer = verdict(Answers.of(grid_of(values))).blocks[0]
    assert (answer.mark, answer.choice) == ("One seed: no verdict", "cosine")


def test_by_how_much_is_said_with_its_interval_of_the_nearest_that_is_compared():
    """Of a, b and c with means 2.0, 2.5 and 2.2 the best is a, and c is the nearest."""
    values = {"a": ([2.0, 2.1, 1.9], [1.0] * 3), "b": ([2.5, 2.6, 2.4], [1.0] * 3), "c": ([2.2, 2.31, 2.1], [1.0] * 3)}
    said = verdict(Answers.of(grid_of(values))).blocks[0].why
    assert said[1] == "By how much: a is better than c by 0.20 ± 0.01 bits/dim (p < 0.001)."


def texts(section):
    """The paragraphs of a section."""
    return [block for block in section.blocks if isinstance(block, Text)]


def lists(blocks):
    """Those that are lists of sentences, and no remarks on all of them."""
    return [block for block in blocks if isinstance(block, Items)]


def test_a_continued_grid_is_exploratory_and_says_what_would_confirm_it():
    grid = grid_of(continued=True)
    assert verdict(Answers.of(grid)).blocks[0].mark.startswith("Exploratory")
    items = comparisons(Answers.of(grid)).blocks[0].items
    assert re.search(
        r"linear is worse than cosine .* fresh seeds of this grid would probably show a difference\.$",
        items[0],
        re.IGNORECASE,
    )
    assert "fresh seeds" not in comparisons(Answers.of(grid_of())).blocks[0].items[0]


def test_no_recommendation_among_cells_that_share_a_likelihood():
    values = {"heun": ([2.0, 2.1], [9.0, 8.0]), "ddim": ([2.0, 2.1], [5.0, 6.0])}
    nll, fid = verdict(Answers.of(grid_of(values))).blocks
    assert (nll.take, nll.choice) == ("For likelihood: nothing to choose between.", "")
    assert fid.choice


def test_better_than_real_images_is_no_claim():
    floors = [{FID: known("held-out images, n = 450", value)} for value in (25.05, 1.0)]
    beyond, short = (verdict(Answers.of(grid_of(floors=given))).blocks for given in floors)
    assert beyond[1].why[1].startswith("That is beyond the 25.1 of held-out images, n = 450, which does not mean")
    assert short[-1].blocks[-1].text == "For comparison: held-out images, n = 450, score 1.0."


@pytest.mark.parametrize(
    ("codes", "mark", "said"),
    [
        ({"uniform code": 4.0, "one histogram": 3.0, "exact density": 1.1}, "", ""),
        (
            {"uniform code": 4.0, "one histogram": 2.2, "histogram per pixel": 2.1},
            "Every cell is worse than a histogram per pixel",
            "Every cell is worse than a histogram per pixel (2.10 bits/dim), which needs no network.",
        ),
        (
            {"uniform code": 2.3, "one histogram": 2.2},
            "Every cell is worse than a uniform code",
            "a uniform code (2.30 bits/dim): it was trained too little, or the bound was taken in too few steps.",
        ),
    ],
)
def test_a_likelihood_that_codes_without_a_network_reach_is_said_to_be_none(codes, mark, said):
    """The best mean is 2.40."""
    baselines = {NLL: [known(*code) for code in codes.items()]}
    nll, fid, *_ = verdict(Answers.of(grid_of(baselines=baselines))).blocks
    assert (nll.mark, nll.why[0].endswith(said or "than learned.")) == (mark, True)
    assert ("worse than" in nll.why[0]) == bool(said)
    assert (fid.mark, "code" in fid.why[0]) == ("", False)


def test_a_caption_speaks_of_a_band_only_where_one_is_drawn():
    differences = caption("differences", Answers.of(grid_of(relevant={"nll": 0.02})))
    assert differences.endswith(
        "What lies in the grey band, a difference of less than 0.02 bits/dim of NLL or 5 % of FID, does not matter."
    )
    metrics = [{"name": NLL, "label": "NLL", "direction": "min", "decides": "likelihood", "relevant": None}]
    assert "band" not in caption("differences", Answers.of(grid_of(metrics=metrics)))


def test_the_number_of_fresh_seeds_is_explained():
    """Eight cells against a baseline; the last of them differs a little."""
    values = {f"level{i}": ([2.0, 2.1, 1.9], [1.0, 2.0, 3.0]) for i in range(7)}
    blocks = comparisons(Answers.of(grid_of(values | {"last": ([2.03, 2.11, 1.95], [1.0, 2.0, 3.0])}))).blocks
    (told,) = [block for block in lists(blocks) if block.title.startswith("NLL: cannot tell")]
    assert told.items[-1].endswith(" fresh seeds.")
    assert told.note.startswith(
        "“n fresh seeds” at the end of a line: n new seeds of this grid, without those that were used here,"
    )
    assert "a probability of about 80 %" in told.note


def test_noise_of_sampling_apart_from_seeds():
    # FID's seeds vary with sds 4.082, 2.872 and 4.573; sets with 3 each, so a mean of two with 3/√2 = 2.12.
    grid = grid_of(sets=3.0)
    (line,) = [
        block.text
        for block in noise(Answers.of(grid)).blocks
        if isinstance(block, Text)
        if block.text.startswith("FID")
    ]
    assert "standard deviation of 4.1, and drawing other samples from the same networks alone gives 2.1 (typ" in line


def test_noise_of_images_apart_from_seeds():
    # d_si = 1 + s_s + w_i: the variance of its mean is var(s)/n + var(w)/m.
    seeds, images = np.array([-0.1, 0.0, 0.1]), np.array([-0.4, 0.1, 0.3, 0.0])
    values = {"a": ([1.0 + s for s in seeds], [1.0, 1.0, 1.0]), "b": ([0.0] * 3, [1.0, 1.0, 1.0])}
    rows = {("a", s, NLL): 1 + seeds[s] + images for s in range(3)} | {("b", s, NLL): np.zeros(4) for s in range(3)}
    grid = grid_of(values, images=rows)
    of_images, of_seeds = images.var(ddof=1) / 4, seeds.var(ddof=1) / 3
    (line,) = [block.text for block in texts(noise(Answers.of(grid))) if "held-out" in block.text]
    assert line.startswith(f"NLL: {100 * of_images / (of_images + of_seeds):.0f} % of the variance of a difference")


def test_on_how_many_images_the_best_is_better():
    # b is better on 30 of 40 images in the mean over seeds, though a is on one of the two at seed 0 everywhere.
    better = np.repeat([1.0, -1.0], [30, 10])
    values = {"a": ([1.5] * 2, [1.0] * 2), "b": ([1.0] * 2, [1.0] * 2)}
    rows = {("a", 0, NLL): 1 - better, ("a", 1, NLL): 1 + 3 * better, ("b", 0, NLL): 1 + 0 * better}
    rows[("b", 1, NLL)] = rows[("b", 0, NLL)]
    grid = grid_of(values, images=rows)
    (line,) = [
        block.text
        for block in noise(Answers.of(grid)).blocks
        if isinstance(block, Text)
        if "bootstrapped" in block.text
    ]
    said = re.fullmatch(
        r"NLL: b is better than a on 75 % of the 40 held-out images .* interval (\d+) to (\d+) %.*", line
    )
    # Wilson's interval for 30 of 40 is 59.8 to 85.8 %.
    assert int(said[1]) == pytest.approx(59.8, abs=4)
    assert int(said[2]) == pytest.approx(85.8, abs=4)


def test_an_interval_from_100_to_100_percent_is_not_printed():
    values = {"a": ([1.5] * 2, [1.0] * 2), "b": ([1.0] * 2, [1.0] * 2)}
    rows = {(name, seed, NLL): np.full(40, of[seed]) for name, (of, _) in values.items() for seed in (0, 1)}
    lines = [block.text for block in texts(noise(Answers.of(grid_of(values, images=rows))))]
    assert "NLL: b is better than a on 100 % of the 40 held-out images." in lines


def test_points_are_called_points():
    """2-D data, which no extractor judges."""
    values = {"a": ([1.0, 1.1], [9.0, 8.0]), "b": ([1.5, 1.7], [5.0, 6.0])}
    rows = {(name, seed, NLL): np.full(40, of[seed]) for name, (of, _) in values.items() for seed in (0, 1)}
    points = {"extractor": None, "extractor_accuracy": None, "floors": {FID: known("held-out points, n = 1000", 50.0)}}
    for images in (rows, None):
        answers = Answers.of(grid_of(values, images=images, **points))
        sections = [verdict(answers), noise(answers), budget(answers, [])]
        (told,) = Page(render("q", [], sections)).texts("main")
        assert "training points" in told
        assert "held-out points" in told
        assert "validation data" in told
        assert "image" not in told
        assert answers.costs.sampling.label == "sampling time per point"


def test_a_claim_of_what_was_not_measured_is_not_counted_as_undecided():
    claims = [claim("cosine", "linear", metric="nll"), claim("cosine", "linear")]
    section = published(Answers.of(claims_on(*claims)))
    assert section.gist == "of 2 claims 1 as published, 1 not measured"
    assert [block.title for block in lists(section.blocks)] == ["As published (1 of 2)", "Not measured (1 of 2)"]


def test_axes_that_depend_on_each_other_and_do_not_cross_in_full_have_no_averages(page):
    told = page.section("axes")
    assert "Target and Objective depend on each other" in told
    assert "averaged over the other axes" not in told


def test_axes_that_matter_and_averages_over_the_others():
    grid = planted()
    told = Page(render("q", [], [axes(Answers.of(grid))])).section("axes")
    assert "Steps matters" in told
    assert "NLL averaged over the other axes: mean ± 95 % interval over seeds." in told
    assert "Steps: 10 steps" in told


def test_a_declared_comparison_without_a_value_is_named_with_its_reason():
    values = VALUES | {"learned": ([np.nan] * 4, [np.nan] * 4)}
    primary = [{"compare": {"schedule": name}} for name in ("cosine", "learned")]
    cells = {name: {"schedule": name} for name in values}
    grid = grid_of(values, baseline={"schedule": "linear"}, primary=primary, cells=cells)
    blocks = comparisons(Answers.of(grid)).blocks
    (lacking,) = [block for block in lists(blocks) if block.title == "NLL: declared, and not measured (1)"]
    assert lacking.items == ("learned against linear: learned diverged in 4 of 4 seeds.",)
    undeclared = comparisons(Answers.of(grid_of(values, baseline={"schedule": "linear"}))).blocks
    assert not [block for block in lists(undeclared) if "not measured" in block.title]


def test_a_cell_that_is_out_though_untold_from_the_leader_is_said_to_be_and_why():
    """3.3 and 3.45 beside 1.40 and 1.44: too few seeds for a pair of many, enough against all cells together."""
    values = {"a": [1.40, 1.44], "b": [1.43, 1.48], "c": [3.3, 3.45], "d": [3.9, 4.75]}
    answers, of_five = (
        Answers.of(grid_of({name: (nll, [1.0, 2.0]) for name, nll in cells.items()}))
        for cells in (values, values | {"e": [3.31, 3.47]})
    )
    (nll, _) = answers.findings
    assert (nll.best, nll.leading, nll.standing.beaten[2]) == (0, {0, 1, 3}, {0, 1})
    assert {pair.verdict for pair in nll.pairs} == {"cannot tell"}
    (cannot_tell, fid) = lists(comparisons(answers).blocks)
    assert cannot_tell.note.startswith(
        "c is not known to differ from a by their comparison alone, and yet is not among the cells that may be the "
        "best. These are worked out from all comparisons together,"
    )
    assert "by them a and b are better than it." in cannot_tell.note
    assert "and yet" not in fid.note
    several = comparisons(of_five).blocks[0].note
    assert several.startswith("c and e are not known to differ from a by their comparison alone, and yet are not among")
    assert "by them each has a better one." in several
