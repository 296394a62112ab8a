"""The figures of a search: which are drawn, that they hold what they should, and that outliers squash nothing."""

import numpy as np
import pytest

from analysis.figures import SEARCH_FIGURES, main, write_search_figures
from analysis.figures.drawing import styled
from analysis.figures.history import history_figure
from analysis.figures.pareto import pareto_figure
from analysis.figures.rungs import rungs_figure
from analysis.figures.slices import parent, slices_figure, ticks
from analysis.read.search import SearchedParameter, read_search
from tests.analysis.figures.conftest import files_in, files_written
from tests.analysis.searches import (
    BETAS,
    NLL_VAL,
    PAPERS,
    confirmation,
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
    "two": (two_objectives, ["history", "slices", "pareto"]),
}


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    root = tmp_path_factory.mktemp("searches")
    return {name: read_search(build(root / name)) for name, (build, _) in SCENES.items()}


def few(folder, *rows, **changes):
    params = {"schedule.beta_1": 1e-4, "schedule.beta_T": 0.02}
    return write_search(
        folder, head(BETAS, default=PAPERS, **changes), [trial(i, params, **row) for i, row in enumerate(rows)]
    )


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
    written = sorted(
        path.name for path in files_in(folder, write_search_figures(read_search(folder), folder / "figures"))
    )
    assert written == sorted(f"{name}.{suffix}" for name in SCENES["one"][1] for suffix in ("png", "pdf"))
    assert sorted(path.name for path in (folder / "figures").iterdir()) == written


def test_a_grid_draws_those_of_its_search(tmp_path, quick):
    folder = few(confirmation(tmp_path / "g"), {"values": {NLL_VAL: 2.4}})
    names = {path.stem for path in files_written(folder)}
    assert {"metrics", "history", "slices"} <= names
    assert "rungs" not in names


def test_the_command_draws_a_search_without_a_grid(tmp_path, capsys, quick):
    folder = few(tmp_path / "s", {"values": {NLL_VAL: 2.4}})
    assert main([f"runs={folder}"]) == 0
    assert capsys.readouterr().out.split() == [
        str(folder / "figures" / f"{name}.{suffix}") for name in ("history", "slices") for suffix in ("png", "pdf")
    ]


def test_one_complete_trial_only(tmp_path):
    rows = [{"values": {NLL_VAL: 2.4}}, {"state": "failed", "reason": "boom"}, {"state": "pruned"}]
    assert list(drawn(read_search(few(tmp_path / "s", *rows)))) == ["history", "slices"]


def test_all_failed_draws_nothing(tmp_path):
    folder = few(tmp_path / "s", *[{"state": "failed", "reason": "boom"}] * 3)
    assert drawn(read_search(folder)) == {}
    assert write_search_figures(read_search(folder), folder / "figures") == {}


def test_values_without_end_are_at_the_edge(tmp_path):
    rows = [{"values": {NLL_VAL: value}} for value in (2.4, float("inf"), 2.3)]
    assert "history" in drawn(read_search(few(tmp_path / "s", *rows)))
    rows = [{"values": {NLL_VAL: float("inf")}}] * 2
    assert "history" in drawn(read_search(few(tmp_path / "t", *rows)))


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_history_shows_every_trial_and_the_best_so_far(searches, figures):
    search, figure = searches["one"], figures["one"]["history"]
    (axes,) = figure.axes
    values = search.complete[NLL_VAL].to_numpy()
    step = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    expected = np.minimum.accumulate(values)
    np.testing.assert_allclose(step.get_ydata()[:-1], expected)
    assert axes.get_ylim()[1] < 2.6 < values.max()
    assert "8.32" in texts(figure)
    assert legend(figure) == ["complete", "pruned, at the last value seen or the edge", "failed", "above the scale"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [float(line.get_xdata()[0]) for line in crosses] == [12.0]
    assert any(text.startswith("found by search") for text in texts(figure))
    assert any(text.startswith("paper's default") for text in texts(figure))


def test_two_objectives_have_a_row_each(figures):
    assert [axes.get_ylabel().split(" ")[0] for axes in figures["two"]["history"].axes] == ["NLL", "FID"]
    assert len(figures["two"]["slices"].axes) == 2 * 3


def test_slices_show_a_conditional_parameter_with_its_own_trials_only(searches, figures):
    search = searches["joint"]
    assert parent(search).name == "schedule"
    figure = figures["joint"]["slices"]
    panels = {axes.get_xlabel(): axes for axes in figure.axes}
    cosine = (search.trials["param.schedule"] == "cosine").sum()
    assert {line.get_marker() for line in panels["s"].lines} == {"s"}
    assert len(panels["s"].lines) == cosine
    # All trials, a ring and a square.
    assert len(panels["batch"].lines) == len(search.trials) + 2
    assert panels[r"$\beta_{1}$"].get_xscale() == "log"
    assert [label.get_text() for label in panels["schedule"].get_xticklabels()] == ["linear", "cosine", "sigmoid"]
    assert legend(figure)[-3:] == ["linear", "cosine", "sigmoid"]


def test_pareto_names_winners_and_default(figures):
    figure = figures["two"]["pareto"]
    assert legend(figure)[-4:] == ["best NLL", "best FID", "between", "paper's default"]
    (axes,) = figure.axes
    assert axes.get_xlabel().endswith(r"$\downarrow$")
    assert axes.get_ylabel().endswith(r"$\downarrow$")
    assert legend(figure)[:3] == ["on the front", "dominated", "beyond the scale"]


def test_a_winner_that_is_the_default_is_named_so(tmp_path):
    search = read_search(two_objectives(tmp_path / "s", 1))
    assert len(search.head.winners) == 3
    figure = drawn(search)["pareto"]
    assert legend(figure)[-1] == "best NLL, best FID, between: paper's default"


def test_rungs_have_a_line_per_trial(searches, figures):
    search = searches["one"]
    (axes,) = figures["one"]["rungs"].axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert len(lines) == search.rungs["trial"].nunique()
    dots = [line for line in axes.lines if len(np.atleast_1d(line.get_xdata())) == 1]
    assert len(dots) == 4


def test_what_is_missing_gives_no_figure(searches):
    assert rungs_figure(searches["joint"]) is None
    assert pareto_figure(searches["one"]) is None


@pytest.mark.parametrize(
    ("low", "high", "log", "kind", "expected"),
    [
        (1e-6, 1e-3, True, "float", [1e-6, 1e-5, 1e-4, 1e-3]),
        (0.005, 0.1, True, "float", [0.01, 0.03, 0.1]),
        (32, 256, True, "int", [50, 100, 200]),
        (0.0, 1.0, False, "float", [0.0, 0.5, 1.0]),
        (2, 5, False, "int", [2, 3, 4, 5]),
        (3.0, 3.1, True, "float", [3.0, 3.1]),
    ],
)
def test_ticks_are_few_and_round(low, high, log, kind, expected):
    found = ticks(SearchedParameter("x", "x", kind, (), low, high, log))
    np.testing.assert_allclose(found, expected)


def test_a_range_of_one_value_and_a_lone_choice_are_drawn(tmp_path):
    parameters = [
        BETAS[0] | {"high": 1e-6},
        BETAS[1] | {"kind": "int", "low": 3.0, "high": 3.0, "log": False},
    ]
    rows = [trial(i, {"schedule.beta_1": 1e-6, "schedule.beta_T": 3}, {NLL_VAL: 2.0 + i / 10}) for i in range(3)]
    won = [winner("found", "found by search", rows[0], parameters)]
    folder = write_search(tmp_path / "s", head(parameters, winners=won), rows)
    assert list(drawn(read_search(folder))) == ["history", "slices"]


def test_names_of_figures_are_of_one_function_each():
    assert list(SEARCH_FIGURES.values()) == [
        history_figure,
        slices_figure,
        pareto_figure,
        rungs_figure,
    ]
