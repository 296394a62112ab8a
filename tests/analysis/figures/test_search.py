"""The figures of a search: which are drawn, that they hold what they should, and that outliers squash nothing."""

import dataclasses
import math

import matplotlib
import pytest
from matplotlib import pyplot

from analysis.figures import main, write_search_figures
from analysis.figures.drawing import styled
from analysis.figures.search import SEARCH_FIGURES, slices_figure, study_of
from analysis.read.search import read_search
from tests.analysis.figures.conftest import files_in, files_written
from tests.analysis.searches import (
    BETAS,
    DEFAULT,
    NLL_VAL,
    confirmation,
    few,
    head,
    joint,
    one_objective,
    trial,
    two_objectives,
    winner,
    write_search,
)

SCENES = {
    "one": (one_objective, ["history", "slices", "rungs"]),
    "joint": (joint, ["history", "slices"]),
    "two": (two_objectives, ["history", "history_second", "slices", "slices_second", "pareto"]),
}


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    root = tmp_path_factory.mktemp("searches")
    return {name: read_search(build(root / name)) for name, (build, _) in SCENES.items()}


@pytest.fixture(scope="module")
def figures(searches):
    """The figures of each search, drawn once."""
    return {name: drawn(search) for name, search in searches.items()}


def drawn(search):
    """The figures that there are, laid out as when they are saved."""
    found = {}
    with styled():
        for name, make in SEARCH_FIGURES.items():
            figure = make(search)
            if figure is not None:
                figure.draw_without_rendering()
                found[name] = figure
    return found


@pytest.mark.parametrize("name", SCENES)
def test_every_search_has_the_figures_that_it_has_data_for(figures, name):
    assert list(figures[name]) == SCENES[name][1]


def test_stale_figures_of_a_search_go(tmp_path, quick):
    folder = one_objective(tmp_path / "s", 12)
    (folder / "figures").mkdir()
    (folder / "figures" / "pareto.png").write_bytes(b"stale")
    written = {path.name for path in files_in(folder, write_search_figures(read_search(folder), folder / "figures"))}
    assert written == {f"{name}.{suffix}" for name in SCENES["one"][1] for suffix in ("png", "pdf")}
    assert {path.name for path in (folder / "figures").iterdir()} == written


def test_a_grid_draws_those_of_its_search(tmp_path, quick):
    folder = few(confirmation(tmp_path / "g"), 2.4)
    names = {path.stem for path in files_written(folder)}
    assert {"metrics", "history", "slices"} <= names
    assert "rungs" not in names


def test_the_command_draws_a_search_without_a_grid(tmp_path, capsys, quick):
    folder = few(tmp_path / "s", 2.4)
    assert main([f"runs={folder}"]) == 0
    assert capsys.readouterr().out.split() == [
        str(folder / "figures" / f"{name}.{suffix}") for name in ("history", "slices") for suffix in ("png", "pdf")
    ]


def test_one_complete_trial_only(tmp_path):
    assert list(drawn(read_search(few(tmp_path / "s", 2.4, "failed", "pruned")))) == ["history", "slices"]


def test_all_failed_draws_nothing(tmp_path):
    folder = few(tmp_path / "s", *["failed"] * 3)
    assert drawn(read_search(folder)) == {}
    assert write_search_figures(read_search(folder), folder / "figures") == {}


def test_values_without_end_have_no_place(tmp_path):
    assert "history" in drawn(read_search(few(tmp_path / "s", 2.4, math.inf, 2.3)))
    assert drawn(read_search(few(tmp_path / "t", math.inf, math.inf))) == {}


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_history_shows_every_trial_the_best_so_far_and_the_default(searches, figures):
    search, figure = searches["one"], figures["one"]["history"]
    (axes,) = figure.axes
    values = search.finished[NLL_VAL].to_numpy()
    best = next(line for line in axes.lines if line.get_label() == "Best Value")
    assert best.get_ydata()[-1] == values.min()
    assert axes.get_ylim()[1] < 2.6 < values.max()
    assert axes.get_title() == "2 trials beyond the scale"
    assert legend(figure) == ["trial", "best so far", "default"]


def test_two_objectives_have_figures_of_their_own(figures):
    axes = [figures["two"][name].axes[0] for name in ("history", "history_second")]
    assert [one.get_ylabel().split(" ")[0] for one in axes] == ["NLL", "FID"]


def test_slices_show_a_conditional_parameter_with_its_own_trials_only(searches, figures):
    search = searches["joint"]
    panels = {axes.get_xlabel(): axes for axes in figures["joint"]["slices"].axes}
    points = {label: len(panels[label].collections[0].get_offsets()) for label in ("s", "batch", "schedule")}
    assert points == {"s": (search.trials["param.schedule"] == "cosine").sum(), "batch": 60, "schedule": 60}
    assert panels[r"$\beta_{1}$"].get_xscale() == "log"
    choices = panels["schedule"].xaxis
    assert [choices.get_major_formatter()(place, place) for place in range(3)] == ["linear", "cosine", "sigmoid"]


def test_a_parameter_of_few_trials_has_no_panel(searches):
    """Two trials with the cosine schedule are too few for s, which the others lack."""
    search = searches["joint"]
    cosine = search.trials["param.schedule"] == "cosine"
    few = dataclasses.replace(search, trials=search.trials[~cosine | (cosine.cumsum() <= 2)])
    labels = {axes.get_xlabel() for axes in slices_figure(few).axes}
    assert {"batch", "schedule", "start"} < labels
    assert "s" not in labels
    assert "s" in {axes.get_xlabel() for axes in slices_figure(search).axes}


def test_pareto_tells_the_best_from_the_rest(figures):
    figure = figures["two"]["pareto"]
    assert legend(figure) == ["trial", "none is better in both"]
    (axes,) = figure.axes
    assert axes.get_xlabel().endswith(r"$\downarrow$")
    assert axes.get_ylabel().endswith(r"$\downarrow$")


def test_rungs_have_a_line_per_trial_and_name_the_winner_and_the_default(searches, figures):
    figure = figures["one"]["rungs"]
    assert len(figure.axes[0].lines) == searches["one"].rungs["trial"].nunique()
    assert sorted(legend(figure)) == ["default", "found by search"]


def test_rungs_of_one_trial_that_nothing_names_need_no_legend(tmp_path):
    rows = [trial(0, DEFAULT, status="pruned")]
    folder = write_search(tmp_path / "s", head(BETAS), rows, [(0, 0, 10, 2.5), (0, 0, 20, 2.4)])
    assert drawn(read_search(folder))["rungs"].axes[0].get_legend() is None


def test_the_study_is_the_one_that_was_searched(searches):
    for search in searches.values():
        study = study_of(search)
        states = search.trials["status"].map({"finished": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"})
        assert [trial.state.name for trial in study.trials] == states.tolist()
        best = {search.head.winners[0].trial} if len(search.head.objectives) == 1 else None
        assert best is None or {trial.number for trial in study.best_trials} == best


def test_drawing_leaves_no_figure_and_no_style_behind(searches):
    before = dict(matplotlib.rcParams)
    SEARCH_FIGURES["history"](searches["one"])
    assert pyplot.get_fignums() == []
    assert {name for name, value in matplotlib.rcParams.items() if before[name] != value} <= {"backend"}


def test_a_range_of_one_value_and_a_lone_choice_are_drawn(tmp_path):
    parameters = [BETAS[0] | {"high": 1e-6}, BETAS[1] | {"kind": "int", "low": 3.0, "high": 3.0, "log": False}]
    rows = [trial(i, {"schedule.beta_1": 1e-6, "schedule.beta_T": 3}, {NLL_VAL: 2.0 + i / 10}) for i in range(3)]
    won = [winner("found", "found by search", rows[0], parameters)]
    folder = write_search(tmp_path / "s", head(parameters, winners=won), rows)
    assert list(drawn(read_search(folder))) == ["history", "slices"]
