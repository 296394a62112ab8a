"""What a grid file may hold: levels that are no text, names that results can have, and nothing that has no meaning."""

from __future__ import annotations

import pytest
import yaml

from ablations.grids.file import AxisSpec
from ablations.grids.grid import make
from ablations.grids.reading import read
from ablations.results.grid_json import head_of
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from analysis.errors import InputError
from tests.ablations.conftest import plan_of

AXIS = {"name": "schedule", "levels": ["linear", "cosine"]}
CLAIM = {"claim": "c", "source": "s", "metric": "nll", "better": {"schedule": "cosine"}}


@pytest.fixture
def said(configs):
    """Writes a grid file, grid=mine, of these axes and keys."""
    (configs / "grid").mkdir(exist_ok=True)

    def write(*axes, **keys):
        content = {"question": "?", "axes": list(axes), **keys}
        (configs / "grid" / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        grammar.use(None)

    yield write
    grammar.use(None)


def cells(*words):
    return [point.cell for point in make(parse_run(["grid=mine", *words])).points]


def test_numbers_and_booleans_are_levels(said):
    said(
        {"name": "horizon", "levels": [100, {"name": 200, "label": "twice"}]},
        {"name": "schedule.rescale", "levels": [True, False]},
        {"name": "training.learning_rate", "levels": [1e-3]},
        baseline={"horizon": 100, "schedule.rescale": True, "training.learning_rate": 0.001},
        primary=[{"compare": {"horizon": 200}}],
        leave_out=[{"horizon": 200, "schedule.rescale": [False]}],
        expects=[CLAIM | {"better": {"horizon": 200}, "than": {"horizon": 100}, "since": {"schedule.rescale": True}}],
    )
    found = [(cell.horizon, cell.schedule.rescale, cell.training.learning_rate) for cell in cells()]
    assert found == [(100, True, 0.001), (100, False, 0.001), (200, True, 0.001)]
    assert read("mine").axes[0].levels[1].title == "twice"


@pytest.mark.parametrize(
    ("axis", "keys", "named"),
    [
        (AXIS, {"set": {"launcher.workers": 1}}, "launcher.workers"),
        (AXIS, {"set": {"seeds": 3}}, "seeds"),
        ({"name": "seed", "levels": [{"name": "a", "set": {"first_seed": 1}}]}, {}, "first_seed"),
    ],
)
def test_how_a_command_runs_is_not_in_a_file(axis, keys, named, said):
    said(axis, **keys)
    with pytest.raises(InputError, match=rf"mine.*: {named} is no setting of a cell: give it on the command line"):
        read("mine")


@pytest.mark.parametrize(
    ("metric", "words", "note"),
    [
        ("fid", ["data=mixture2d"], "FID"),
        ("energy_distance", ["data=digits"], "Energy distance"),
        ("fid", ["data=digits", "evaluation.quality=[]"], "FID"),
        ("fid", ["data=digits"], ""),
        ("nll", ["data=mixture2d"], ""),
        ("fid_infinity", ["data=digits"], "FID∞"),
        ("fid_infinity", ["data=digits", "evaluation.metrics=[fid_infinity]"], ""),
    ],
)
def test_a_claim_of_what_is_not_measured_is_said(metric, words, note, said):
    said(AXIS, expects=[CLAIM | {"metric": metric, "than": {"schedule": "linear"}}])
    notes = make(parse_run(["grid=mine", *words])).notes
    expected = f"Papers' claims that are not tested, since {note} is not measured here (1 of 1)."
    assert notes == ((expected,) if note else ())


def test_levels_that_are_numbers_are_picked_and_joined_by_others(said):
    said({"name": "horizon", "levels": [100, 200]})
    assert [cell.horizon for cell in cells("horizon=200,300")] == [200, 300]


def test_a_level_may_be_called_true(said):
    levels = [{"name": name, "set": {"schedule.rescale": name == "true"}} for name in ("true", "false")]
    said({"name": "rescale", "levels": levels})
    assert [cell.schedule.rescale for cell in cells("rescale=true")] == [True]
    assert [cell.schedule.rescale for cell in cells("rescale=false,true")] == [False, True]


def test_a_level_that_says_what_it_sets_sets_that():
    axis = AxisSpec.model_validate({"name": "size", "levels": [{"name": 1, "set": {"network.channels": 32}}, "two"]})
    assert [(level.name, level.set) for level in axis.levels] == [("1", {"network.channels": 32}), ("two", {})]


@pytest.mark.parametrize("name", ["a/b", "a(b)", "a,b", "a\x07b", "a\n", " a", "-", "", "a" * 101])
def test_an_axis_that_results_cannot_name_is_refused(name, said):
    said({"name": name, "levels": [{"name": "x", "set": {"horizon": 50}}, {"name": "y", "set": {"horizon": 60}}]})
    with pytest.raises(InputError, match=r"mine\.yaml: an axis is named by at most 100 letters, digits .*, got"):
        cells()


@pytest.mark.parametrize("name", ["schedule.beta_1", "Loss weighted", "a:b-c", "größe"])
def test_an_axis_that_results_can_name_is_none_of_those(name, said):
    said({"name": name, "levels": [{"name": "x", "set": {"horizon": 50}}, {"name": "y", "set": {"horizon": 60}}]})
    assert [cell.horizon for cell in cells()] == [50, 60]


WRONG = {
    "the axis 'schedule' is given twice": {"axes": [AXIS, AXIS]},
    "the axis 'schedule' has no levels: give it some": {"axes": [AXIS | {"levels": []}]},
    "axes.0.levels must be a list": {"axes": [AXIS | {"levels": None}]},
    "seeds: must be a whole number or auto, got True$": {"seeds": True},
    "fraction must be less than or equal to 100000, got 1000000": {"fraction": 10**6},
    "fraction=4 is more than the 2 cells that its axes make$": {"fraction": 4},
    "within must be a finite number": {"expects": [CLAIM | {"than": {"schedule": "linear"}, "within": float("inf")}]},
    "the axis 'schedule' has the level 'linear' twice": {"axes": [AXIS | {"levels": ["linear", "linear"]}]},
    "primary: no level of schedule called 'cosin': there are cosine, linear; did you mean 'cosine'": {
        "primary": [{"compare": {"schedule": "cosin"}, "to": {"schedule": "linear"}}]
    },
    "leave_out: no axis called 'schedul': there are schedule": {"leave_out": [{"schedul": "linear"}]},
    "baseline names {'schedule': 'linear'}, which leave_out leaves out": {
        "baseline": {"schedule": "linear"},
        "leave_out": [{"schedule": "linear"}],
    },
    "expects names {'schedule': 'cosine'}, which leave_out leaves out": {
        "expects": [CLAIM | {"than": {"schedule": "linear"}}],
        "leave_out": [{"schedule": ["cosine"]}],
    },
    "seeds must be a whole number or 'auto', got 'two'": {"seeds": "two"},
    "expects.0.source is missing": {"expects": [{"claim": "c", "metric": "nll", "better": {}, "than": {}}]},
    "expects compares {'schedule': 'cosine'} with itself": {"expects": [CLAIM | {"than": {"schedule": "cosine"}}]},
    "expects compares {'schedule': 'cosine'} with itself: 'since": {
        "expects": [CLAIM | {"claim": "since then", "than": {"schedule": "linear"}, "since": {"schedule": "cosine"}}]
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_what_has_no_meaning_is_refused_by_its_name(message, said):
    keys = {"axes": [AXIS]} | WRONG[message]
    said(*keys.pop("axes"), **keys)
    with pytest.raises(InputError, match=message) as error:
        cells()
    assert "mine.yaml" in str(error.value)


def test_a_setting_that_has_no_meaning_is_placed(said):
    said(
        {
            "name": "schedule",
            "levels": ["cosine", {"name": "linear", "set": {"schedule": "linear", "schedule.beta_1": 5}}],
        }
    )
    with pytest.raises(InputError, match=r"got beta_1=5\.0 and beta_T=0\.02 \(at schedule=linear of grid=mine\)$"):
        cells()


def test_a_scale_that_a_file_declares_reaches_grid_json_with_what_matters_on_it(said):
    said(AXIS, scale={"nll": "log"}, relevant={"nll": 0.005})
    planned = plan_of("grid=mine")
    head = head_of(planned.grid, planned.runs, planned.here.data, None, {})
    scales = {metric["name"]: metric.get("scale", "linear") for metric in head["metrics"]}
    assert (scales["nll/test"], scales["is/digits-cnn"], head["relevant"]) == ("log", "linear", {"nll": 0.005})


def test_a_scale_without_what_matters_on_it_is_refused(said):
    said(AXIS, scale={"nll": "log"})
    with pytest.raises(InputError, match=r"^\S+ declares a scale of nll: give the difference that matters .*, too$"):
        read("mine")
