"""Lines over numbers that cells differ in, on grids like those that ship and on one that mixes them."""

import numpy as np
from scipy import stats

from analysis.figures.lines import lines_figure
from analysis.findings.answers import Answers
from analysis.read.runs import read_folder
from tests.analysis.conftest import FID, NLL
from tests.analysis.figures import conftest
from tests.analysis.figures.conftest import texts
from tests.analysis.tables.grids import axis, grid_of, same, vdm

VARIANCE = same("variance", "Variance", "beta", "beta_tilde")
SCHEDULE = same("schedule", "Schedule", "linear", "cosine")


def both(k):
    return {"sampler.steps": k, "evaluation.horizon": k}


def nll(setting):
    """Grows with few steps of the bound; the sampler does not reach it."""
    e = setting["evaluation.horizon"]
    return 2.0 + 10 / float(setting["horizon"] if e == "null" else e) + 0.5 * (setting["variance"] == "beta_tilde")


def fid(setting):
    s = setting["sampler.steps"]
    steps = float(setting["horizon"] if s == "null" else s)
    return 10.0 + 100 / steps + 20 * float(setting["sampler.skip"]) + (setting["schedule"] == "cosine")


def made(folder, axes, fid=fid, **changes):
    """Every combination of levels; seeds 0, 1, 2 read the value − 0.02 in NLL and − 1 in FID, the value, and more."""
    return read_folder(grid_of(folder, "general", axes, {NLL: nll, FID: fid}, baseline={}, **changes))


def steps(*numbers):
    return axis("steps", "Steps", {k: (k, both(k)) for k in numbers})


def found(grid):
    """Key → of each line its numbers and the names of its cells."""
    return {
        key: [(line.xs, ["-".join(cell.levels) for cell in line.cells]) for line in lines]
        for key, lines in Answers.of(grid).lines.items()
    }


def drawn(grid):
    return conftest.drawn(lines_figure, grid)


def means(axes):
    """Name → points of each mean line."""
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    return {line.get_label(): np.stack([line.get_xdata(), line.get_ydata()], axis=1) for line in lines}


def test_steps_of_sampler_and_bound_are_one_number(tmp_path):
    grid = made(tmp_path / "g", [VARIANCE, steps("10", "25", "100")])
    lines = [[f"{variance}-{k}" for k in ("10", "25", "100")] for variance in ("beta", "beta_tilde")]
    assert found(grid) == {"sampler.steps": [((10.0, 25.0, 100.0), line) for line in lines]}


def test_steps_that_are_not_given_are_all_of_them(tmp_path):
    number = axis("steps", "Steps", {"10": ("10", both("10")), "25": ("25", both("25")), "all": ("all", {})})
    assert found(made(tmp_path / "g", [number])) == {"sampler.steps": [((10.0, 25.0, 100.0), ["10", "25", "all"])]}


def test_values_drawn_are_the_values_of_the_runs(tmp_path):
    grid = made(tmp_path / "g", [VARIANCE, steps("10", "25", "100")])
    left, right = drawn(grid).axes
    assert (left.get_ylabel().split()[0], right.get_ylabel().split()[0]) == ("NLL", "FID")
    assert (left.get_xlabel(), right.get_xlabel()) == ("", "sampling steps")
    np.testing.assert_allclose(means(left)["beta"], [[10, 3.0], [25, 2.4], [100, 2.1]])
    np.testing.assert_allclose(means(left)["beta_tilde"], [[10, 3.5], [25, 2.9], [100, 2.6]])
    np.testing.assert_allclose(means(right)["beta"], [[10, 20.0], [25, 14.0], [100, 11.0]])
    seeds = [line for line in left.lines if line.get_marker() == "."]
    assert len(seeds) == 6
    np.testing.assert_allclose(seeds[0].get_ydata(), [2.98, 3.0, 3.02])
    assert set(seeds[0].get_xdata()) == {10.0}
    bars = [line for line in left.lines if line.get_marker() == "None"]
    # 95 % of three seeds that are 0.02 apart.
    np.testing.assert_allclose(bars[0].get_ydata(), [3.0 - 0.04968276, 3.0 + 0.04968276], atol=1e-6)
    assert texts(left) == ["beta", "beta_tilde"]
    assert left.get_xscale() == "log"
    assert list(left.xaxis.get_majorticklocs()) == [10, 25, 100]


def test_a_share_is_linear_and_what_it_does_not_touch_is_left_out(tmp_path):
    skip = same("sampler.skip", "Skipped", "0.0", "0.05", "0.1", "0.4")
    figure = drawn(made(tmp_path / "g", [SCHEDULE, skip]))
    (axes,) = figure.axes
    assert axes.get_ylabel().startswith("FID")
    assert axes.get_xscale() == "linear"
    assert axes.get_xlabel().replace("\n", " ") == "share of the reverse process skipped"
    np.testing.assert_allclose(means(axes)["cosine"], [[0, 12], [0.05, 13], [0.1, 14], [0.4, 20]])


def test_lines_may_have_different_lengths(tmp_path):
    horizon = same("horizon", "T", "25", "50", "100", "1000")
    grid = made(tmp_path / "g", [SCHEDULE, horizon], leave_out=[("cosine", "1000")])
    assert [line[0] for line in found(grid)["horizon"]] == [(25.0, 50.0, 100.0, 1000.0), (25.0, 50.0, 100.0)]
    left, right = drawn(grid).axes
    assert list(means(left)) == ["linear", "cosine"]
    assert right.get_xlabel() == "T"


def test_training_and_evaluation_in_t_steps_and_evaluation_alone(tmp_path):
    """VDM's Table 2: each T at itself, and the last one, trained in continuous time, at all."""
    at = {t: (t, {"horizon": t, "objective": "vlb"}) for t in ("10", "30", "100")}
    trained = axis("t", "T in training", at | {"inf": ("∞", {"horizon": "300", "objective": "vlb_continuous"})})
    evaluated = axis("evaluated", "T in evaluation", {t: (t, {"evaluation.horizon": t}) for t in ("10", "30", "300")})
    off = [(a, b) for a in ("10", "30", "100") for b in ("10", "30", "300") if a != b and (a, b) != ("100", "300")]
    grid = made(tmp_path / "g", [trained, evaluated], leave_out=off)
    assert found(grid) == {"evaluation.horizon": [((10.0, 30.0, 300.0), ["inf-10", "inf-30", "inf-300"])]}
    (axes,) = drawn(grid).axes
    assert axes.get_xlabel() == "T in evaluation"
    assert texts(axes)[0].replace("\n", " ") == r"T in training $\infty$"


def test_t_at_itself_is_a_line_of_its_own(tmp_path):
    trained = axis("t", "T", {t: (t, {"horizon": t, "evaluation.horizon": t}) for t in ("10", "30", "100")})
    assert list(found(made(tmp_path / "g", [trained]))) == ["horizon"]


def test_the_sampler_alone_leaves_the_likelihood_out(tmp_path):
    number = same("sampler.steps", "Steps", "5", "10", "50")
    (axes,) = drawn(made(tmp_path / "g", [VARIANCE, number])).axes
    assert axes.get_ylabel().startswith("FID")


def test_eta(tmp_path):
    eta = axis("eta", "η", {e: (e, {"sampler": "ddim", "sampler.eta": e}) for e in ("0", "0.5", "1")})
    ancestral = axis("eta", "η", {"none": ("none", {"sampler": "ancestral"})} | eta[2])
    assert found(made(tmp_path / "g", [ancestral])) == {"sampler.eta": [((0.0, 0.5, 1.0), ["0", "0.5", "1"])]}


VIEW = axis(
    "view",
    "View",
    {"all": ("all", {})}
    | {f"k{k}": (f"{k} steps", both(k)) for k in ("10", "25")}
    | {f"skip{s}": (f"{s} skipped", {"sampler.skip": s}) for s in ("0.1", "0.2")}
    | {f"t{t}": (f"T = {t}", {"horizon": t}) for t in ("20", "50")},
)


def test_one_axis_that_sets_steps_or_share_or_t(tmp_path):
    grid = made(tmp_path / "g", [SCHEDULE, VARIANCE, VIEW])
    rest = ["linear-beta", "linear-beta_tilde", "cosine-beta", "cosine-beta_tilde"]
    assert found(grid) == {
        "sampler.steps": [((10.0, 25.0, 100.0), [f"{one}-{view}" for view in ("k10", "k25", "all")]) for one in rest],
        "sampler.skip": [
            ((0.0, 0.1, 0.2), [f"{one}-{view}" for view in ("all", "skip0.1", "skip0.2")]) for one in rest
        ],
        "horizon": [((20.0, 50.0, 100.0), [f"{one}-{view}" for view in ("t20", "t50", "all")]) for one in rest],
    }
    figure = drawn(grid)
    # Two rows of three, but for the likelihood against the share skipped.
    labels = [axes.get_xlabel().split("\n")[0] for axes in figure.axes]
    assert labels == ["", "", "sampling steps", "share of the reverse", "T"]
    # The likelihood knows no schedule and FID no variance: what lies on each other is one line.
    likelihoods, fids = ["linear, beta", "linear, beta_tilde"], ["linear, beta", "cosine, beta"]
    assert [list(means(axes)) for axes in figure.axes] == [*[likelihoods] * 2, *[fids] * 3]
    # Three panels in a row are narrow: a line is named in the last one, by all that it is of.
    assert [len(texts(axes)) for axes in figure.axes] == [0, 2, 0, 0, 2]
    assert texts(figure.axes[1])[0] == "linear, beta\ncosine, beta"
    colors = {}
    for axes in figure.axes:
        for line in axes.lines:
            colors.setdefault(line.get_label(), set()).add(line.get_color())
    assert [len(colors[name]) for name in {*likelihoods, *fids}] == [1, 1, 1]


def test_without_a_number_there_is_no_figure(tmp_path, shared_folder):
    grid = made(tmp_path / "g", [SCHEDULE, VARIANCE])
    assert found(grid) == {}
    assert drawn(grid) is None
    assert drawn(shared_folder) is None
    assert drawn(vdm(tmp_path / "too small")) is None
    assert drawn(made(tmp_path / "two", [SCHEDULE, steps("10", "100")])) is None


def test_a_cell_that_diverged_has_no_point(tmp_path):
    grid = made(tmp_path / "g", [VARIANCE, steps("10", "25", "100")], ended={("beta", "25"): "diverged"})
    left = drawn(grid).axes[0]
    np.testing.assert_allclose(means(left)["beta"], [[10, 3.0], [100, 2.1]])
    assert len(means(left)["beta_tilde"]) == 3


def test_cells_that_were_never_run_make_no_line(tmp_path):
    grid = made(tmp_path / "g", [VARIANCE, steps("10", "25", "100")], ended={("beta", "25"): "pruned"})
    assert [line[1][0] for line in found(grid)["sampler.steps"]] == ["beta_tilde-10"]
    everything = {(variance, k): "diverged" for variance in ("beta", "beta_tilde") for k in ("10", "25", "100")}
    assert drawn(made(tmp_path / "h", [VARIANCE, steps("10", "25", "100")], ended=everything)) is None


def test_one_seed_has_no_interval(tmp_path):
    grid = made(tmp_path / "g", [steps("10", "25", "100")], seeds=[1])
    left = drawn(grid).axes[0]
    assert not [line for line in left.lines if line.get_marker() == "None"]
    (points,) = means(left).values()
    np.testing.assert_allclose(points, [[10, 3.0], [25, 2.4], [100, 2.1]])


def test_more_than_a_decade_is_logarithmic(tmp_path):
    numbers = steps("10", "20", "50", "100")
    wide = made(tmp_path / "g", [numbers], fid=lambda setting: 100000 / float(setting["sampler.steps"]) ** 2)
    near, far = drawn(wide).axes
    assert (near.get_yscale(), far.get_yscale()) == ("linear", "log")
    assert far.get_ylim()[0] < 10 < 1000 < far.get_ylim()[1]


def test_a_logarithmic_axis_has_geometric_means_and_their_intervals(tmp_path):
    numbers = steps("10", "20", "50", "100")
    wide = made(tmp_path / "g", [numbers], fid=lambda setting: 20000 / float(setting["sampler.steps"]) ** 2)
    far = drawn(wide).axes[1]
    (points,) = means(far).values()
    by_hand = [np.log([7.0, 8.0, 9.0]), np.log([1.0, 2.0, 3.0])]
    np.testing.assert_allclose(points[-2:], [[50, np.exp(by_hand[0].mean())], [100, np.exp(by_hand[1].mean())]])
    bars = {line.get_xdata()[0]: line.get_ydata() for line in far.lines if line.get_marker() == "None"}
    np.testing.assert_allclose(bars[50], np.exp(stats.ttest_1samp(by_hand[0], 0).confidence_interval(0.95)))
    # Half an interval of 2.5 around 2 would have no lower end on this axis.
    lower, upper = np.exp(stats.ttest_1samp(by_hand[1], 0).confidence_interval(0.95))
    np.testing.assert_allclose(bars[100], [max(lower, far.get_ylim()[0]), upper])


def test_an_extreme_value_is_an_arrow_with_its_number(tmp_path):
    numbers = steps("10", "20", "25", "50", "100")
    far = drawn(
        made(tmp_path / "g", [numbers], lambda setting: 5000.0 if setting["sampler.steps"] == "25" else fid(setting))
    ).axes[1]
    assert far.get_ylim()[1] < 50
    assert "5000" in texts(far)
    (points,) = means(far).values()
    assert points[2].tolist() == [25.0, 5000.0]
