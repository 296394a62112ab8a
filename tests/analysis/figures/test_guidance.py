"""Metrics against the guidance scale, on grids whose guides share the cell that nothing guides."""

import itertools

import numpy as np
import pytest

from analysis.figures.lines import guidance_figure, lines_figure
from analysis.findings.answers import Answers
from analysis.findings.spaces import applies
from analysis.grid_json import ShownMetric
from analysis.read.runs import read_folder
from analysis.tables.captions import caption
from analysis.words.verdicts import headline
from tests.analysis.conftest import FID, NLL
from tests.analysis.figures.conftest import drawn, texts
from tests.analysis.figures.test_lines import found, means
from tests.analysis.tables.grids import axis, grid_of, same

RECALL, TUNED = "recall/train/digits-cnn", "guidance/scale"
TOOK = 2.5
OFF = dict.fromkeys(("guidance.scale", "guidance.scales", "guidance.by", "guidance.rung"), "")


def at(w):
    """What a cell at scale w says of guidance: at 1 nothing."""
    return OFF if w == "1" else {"guidance.scale": f"{float(w)}"}


def scale(setting):
    text = setting.get("guidance.scale") or "1"
    return TOOK if text == "auto" else float(text)


def fid(setting):
    return 20.0 + (scale(setting) - 2) ** 2 + 3 * (setting.get("guidance.by") == "rung")


def guided(folder, *numbers, tuned=True, more=()):
    """Guides × scales; one cell alone is at w = 1."""
    guides = {"class": {"guidance.by": "class"}, "rung": {"guidance.by": "rung", "guidance.rung": "1"}}
    scales = {w: (f"w = {w}", at(w)) for w in numbers}
    if tuned:
        scales["auto"] = ("tuned", {"guidance.scale": "auto", "guidance.scales": "[1.0, 2.0, 3.0]"})
    axes = [axis("guide", "Guide", {g: (f"guide {g}", of) for g, of in guides.items()}), axis("scale", "w", scales)]
    metrics = {NLL: lambda _: 2.5, FID: fid, RECALL: lambda of: 1 - scale(of) / 10, TUNED: scale}
    left_out = list(itertools.product(["rung"], ["1"], *(levels for _, _, levels in more)))
    return grid_of(folder, "general", [*axes, *more], metrics, leave_out=left_out, baseline={})


def stars(axes):
    return sorted((float(x), float(y)) for line in axes.lines if line.get_marker() == "*" for x, y in line.get_xydata())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return guided(tmp_path_factory.mktemp("guided") / "g", "1", "1.5", "2", "3")


def test_every_guides_line_begins_where_nothing_guides(folder):
    lines = [["class-1", *(f"{guide}-{w}" for w in ("1.5", "2", "3"))] for guide in ("class", "rung")]
    assert found(read_folder(folder)) == {"guidance.scale": [((1.0, 1.5, 2.0, 3.0), line) for line in lines]}


def test_what_guidance_moves_is_drawn_against_its_scale(folder):
    left, right = drawn(guidance_figure, folder).axes
    # The bound is of a stage that all scales share.
    assert [axes.get_ylabel().split()[0] for axes in (left, right)] == ["FID", "Recall"]
    assert {axes.get_xlabel() for axes in (left, right)} == {"guidance scale w"}
    np.testing.assert_allclose(means(left)["guide class"], [[1, 21], [1.5, 20.25], [2, 20], [3, 21]])
    np.testing.assert_allclose(means(left)["guide rung"], [[1, 21], [1.5, 23.25], [2, 23], [3, 24]])
    np.testing.assert_allclose(means(right)["guide class"], [[1, 0.9], [1.5, 0.85], [2, 0.8], [3, 0.7]])
    # Recall is the same for both guides: one line, which has both names.
    assert (texts(left), texts(right)) == (["guide rung"], ["guide class\nguide rung"])


def test_a_star_is_a_seed_of_a_tuned_cell_at_the_scale_that_it_took(folder):
    left = drawn(guidance_figure, folder).axes[0]
    seeds = [(TOOK - 0.01, -1.0), (TOOK, 0.0), (TOOK + 0.01, 1.0)]
    taken = sorted((x, mean + step) for mean in (20.25, 23.25) for x, step in seeds)
    np.testing.assert_allclose(stars(left), taken)


def test_the_figure_of_other_numbers_has_no_guidance(folder, tmp_path):
    assert drawn(lines_figure, folder) is None
    steps = same("sampler.steps", "Steps", "5", "10", "50")
    grid = read_folder(guided(tmp_path / "g", "1", "1.5", "2", tuned=False, more=[steps]))
    lines = Answers.of(grid).lines
    # A cell that nothing guides is on one line over the steps, however many guides there are.
    assert {key: len(of) for key, of in lines.items()} == {"sampler.steps": 5, "guidance.scale": 6}


def test_two_scales_make_no_line(tmp_path):
    assert drawn(guidance_figure, guided(tmp_path / "g", "1", "2")) is None


def test_the_caption_says_whose_likelihood_it_is(folder, tmp_path):
    def said(grid):
        words = caption(Answers.of(read_folder(grid)))
        return "the unguided model's" in words, "given its label" in words

    labels = same("conditioning", "Labels", "unconditional", "class")
    assert said(folder) == (True, False)
    assert said(grid_of(tmp_path / "labelled", "general", [labels], {NLL: 2.5, FID: 20.0}, baseline={})) == (
        False,
        True,
    )
    assert said(grid_of(tmp_path / "samples", "general", [labels], {FID: 20.0}, baseline={})) == (False, False)
    plain = same("schedule", "Schedule", "linear", "cosine")
    assert said(grid_of(tmp_path / "plain", "general", [plain], {NLL: 2.5}, baseline={})) == (False, False)


def test_the_verdict_says_where_likelihoods_are_of_different_things(tmp_path):
    def said(name, axis):
        answers = Answers.of(
            read_folder(grid_of(tmp_path / name, "general", [axis], {NLL: 2.5, FID: 20.0}, baseline={}))
        )
        return ["p(x|y)" in headline(found) for found in answers.findings]

    assert said("mixed", same("conditioning", "Labels", "unconditional", "class")) == [True, False]
    assert said("told", same("conditioning", "Labels", "class")) == [False, False]
    assert said("plain", same("schedule", "Schedule", "linear", "cosine")) == [False, False]


def test_a_metric_that_a_cell_was_not_to_have_is_no_shortfall(folder):
    """A scale that was given is not tuned, and a network without labels has no likelihood without them."""
    answers = Answers.of(read_folder(folder))
    tuned = ShownMetric(TUNED, "Guidance scale", "max", decimals=3)
    unlabelled = ShownMetric("nll_unlabelled/test", "NLL, no label", "min", decimals=2)
    for cell in answers.cells:
        assert applies(cell, tuned) == (cell.parameter("guidance.scale") == "auto")
        assert not applies(cell, unlabelled)
