"""What a grid file may hold: levels that are no text, names that results can have, and nothing that has no meaning."""

from __future__ import annotations

import pytest
import yaml

from ablations.grids.file import read
from ablations.grids.grid import make
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
        content = {"question": "?", "axes": list(axes)} | keys
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
    assert {cell.horizon for cell in cells("horizon=200,300")} == {200, 300}


@pytest.mark.parametrize(
    ("metric", "words", "measured"),
    [
        ("fid", ["data=mixture2d"], False),
        ("fid", ["data=digits", "evaluation.quality=[]"], False),
        ("fid", ["data=digits"], True),
        ("nll", ["data=mixture2d"], True),
        ("fid_infinity", ["data=digits"], False),
        ("fid_infinity", ["data=digits", "evaluation.metrics=[fid_infinity]"], True),
    ],
)
def test_a_claim_of_what_is_not_measured_is_said(metric, words, measured, said):
    said(AXIS, expects=[CLAIM | {"metric": metric, "than": {"schedule": "linear"}}])
    note = "Papers' claims that are not tested, since their metric is not measured here: 1 of 1."
    assert make(parse_run(["grid=mine", *words])).notes == (() if measured else (note,))


def test_a_level_may_be_called_true(said):
    levels = [{"name": name, "set": {"schedule.rescale": name == "true"}} for name in ("true", "false")]
    said({"name": "rescale", "levels": levels})
    assert [cell.schedule.rescale for cell in cells("rescale=true")] == [True]
    assert [cell.schedule.rescale for cell in cells("rescale=false,true")] == [False, True]


CLAIMS = CLAIM | {"than": {"schedule": "linear"}}
WRONG = {
    "two axes have one name": {"axes": [AXIS, AXIS]},
    "axes.0.levels is wrong: List should have at least 1 item": {"axes": [AXIS | {"levels": []}]},
    "axes.0.name is wrong: String should match pattern": {"axes": [AXIS | {"name": "a/b"}]},
    "axes must be a valid list": {"axes": None},
    "axis is no key of such a file": {"axis": 1},
    "axes.0.levels.0.nam is no key": {"axes": [{"name": "loss", "levels": [{"nam": "a"}]}]},
    "seeds must be a valid integer or 'auto', got True$": {"seeds": True},
    "seeds must be greater than or equal to 1 or 'auto', got 0": {"seeds": 0},
    "expects.0.within must be a valid number": {"expects": [CLAIMS | {"within": float("inf")}]},
    "an axis has a level twice": {"axes": [AXIS | {"levels": ["linear", "linear"]}]},
    "no level of schedule in .* called 'cosin': .*; did you mean 'cosine'": {
        "primary": [{"compare": {"schedule": "cosin"}, "to": {"schedule": "linear"}}]
    },
    "no axis of .* called 'schedul'": {"leave_out": [{"schedul": "linear"}]},
    "each of cells names one level of each axis": {"cells": [["linear", "cosine"]]},
    "baseline, primary or expects names a cell that leave_out leaves out": {
        "expects": [CLAIMS],
        "leave_out": [{"schedule": ["cosine"]}],
    },
    "needs expects.0.source, which has no default": {
        "expects": [{"claim": "c", "metric": "nll", "better": {}, "than": {}}]
    },
    "no metric of .* called 'nl'": {"relevant": {"nl": 1}},
    "no layout of ": {"layout": "mine"},
    "horzon.*did you mean 'horizon'": {"set": {"horzon": 5}},
    "no setting called 'launcher.workers'": {"set": {"launcher.workers": 1}},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_has_no_meaning_is_refused_by_its_name(message, said):
    keys = {"axes": [AXIS]} | WRONG[message]
    axes = keys.pop("axes")
    said(*(axes or ()), **keys, **({} if axes else {"axes": None}))
    with pytest.raises(InputError, match=message):
        cells()


def test_a_file_may_list_its_cells(said):
    horizons = {"name": "horizon", "levels": [100, 200]}
    said(AXIS, horizons, cells=[["linear", 100], ["cosine", 200]])
    assert [cell.horizon for cell in cells()] == [100, 200]
    assert [cell.horizon for cell in cells("schedule=cosine")] == [200]
    # A level that the file lacks is in none of its cells, and crosses with all.
    assert [cell.horizon for cell in cells("schedule=sigmoid")] == [100, 200]


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
    head = planned.head(None, {})
    scales = {metric["name"]: metric.get("scale", "linear") for metric in head["metrics"]}
    assert (scales["nll/test"], scales["is/digits-cnn"], head["relevant"]) == ("log", "linear", {"nll": 0.005})
