"""A search's files become frames, and what is wrong with one is said in a line that names it."""

import json

import numpy as np
import pytest

from analysis.errors import InputError
from analysis.findings.search import default_trial
from analysis.folders import search_alone
from analysis.read.runs import read_folder
from analysis.read.search import read_search, search_in
from tests.analysis.searches import (
    BETAS,
    DEFAULT,
    FULL,
    NLL_VAL,
    confirmation,
    few,
    head,
    joint,
    one_objective,
    trial,
    write_search,
)


def edit(path, *changes):
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")


def test_the_frames_of_a_search(tmp_path):
    search = read_search(one_objective(tmp_path / "s"))
    assert [o.head for o in search.head.objectives] == ["NLL (bits/dim) ↓"]
    assert search.trials["trial"].tolist() == list(range(40))
    assert search.trials["status"].value_counts().to_dict() == {"finished": 35, "pruned": 4, "failed": 1}
    assert search.trials["param.schedule.beta_1"].iloc[0] == 1e-4
    assert search.trials[NLL_VAL].isna().sum() == 5
    assert len(search.finished) == 35
    assert list(search.rungs) == ["trial", "seed", "step", "value"]
    assert search.rungs.dtypes.tolist() == [*["int64"] * 3, "float64"]
    assert search.rungs.loc[search.rungs["trial"] == 0, "step"].max() == FULL
    assert search.parameter("schedule.beta_T").label == "β_T"
    assert search.parameter("schedule.beta_2") is None


def test_a_conditional_parameter_is_empty_where_it_does_not_apply(tmp_path):
    search = read_search(joint(tmp_path / "s"))
    linear = search.trials["param.schedule"] == "linear"
    assert search.trials.loc[linear, "param.schedule.beta_1"].notna().all()
    assert search.trials.loc[~linear, "param.schedule.beta_1"].isna().all()
    assert search.parameter("schedule.s").when == {"schedule": ("cosine",)}
    assert search.rungs.empty


def test_trials_come_in_their_order_whatever_that_of_the_file(tmp_path):
    rows = [trial(i, DEFAULT, {NLL_VAL: 2.0 + i}) for i in (2, 0, 1)]
    search = read_search(write_search(tmp_path / "s", head(BETAS), rows))
    np.testing.assert_array_equal(search.trials[NLL_VAL], [2.0, 3.0, 4.0])


def test_of_a_cell_that_was_tried_twice_each_trial_has_the_rungs_that_it_came_to(tmp_path):
    rows = [trial(0, DEFAULT, status="pruned", steps=125), trial(1, DEFAULT, {NLL_VAL: 2.0}, cell_id="c0")]
    rungs = [(0, 0, step, 3 - step / 1000) for step in (125, 250)] + [(0, 7, 125, 9.0)]
    search = read_search(write_search(tmp_path / "s", head(BETAS, pruner="median"), rows, rungs))
    assert search.rungs[["trial", "step"]].to_numpy().tolist() == [[0, 125], [1, 125], [1, 250]]


def test_without_a_search_there_is_none(tmp_path):
    assert search_in(confirmation(tmp_path / "g")) is None
    assert not search_alone(tmp_path)
    with pytest.raises(InputError, match=r"grid\.json describes no search: `python -m ablations\.search study=NAME`"):
        read_search(tmp_path)


def test_a_grid_knows_its_search(tmp_path):
    folder = confirmation(tmp_path / "g")
    assert read_folder(folder).search is None
    assert not search_alone(one_objective(folder))
    assert read_folder(folder).search.head.winners[0].level == "found"
    assert search_alone(one_objective(tmp_path / "alone"))
    with pytest.raises(InputError, match="holds a search that has confirmed nothing, so it has no table"):
        read_folder(tmp_path / "alone")


def test_no_complete_trial_and_no_column_of_the_objective(tmp_path):
    folder = few(tmp_path / "s", "failed")
    edit(folder / "runs.csv", (f",{NLL_VAL}", ""), (",20.5,", ",20.5"))
    search = read_search(folder)
    assert search.finished.empty
    assert search.trials[NLL_VAL].isna().all()


def test_a_default_outside_of_the_space_is_no_fault(tmp_path):
    """It is what winners are compared with, whether or not the search could have tried it."""
    folder = one_objective(tmp_path / "s", 5)
    edit(folder / "grid.json", ('"schedule.beta_1": "0.0001"', '"schedule.beta_1": "None"'))
    assert default_trial(read_search(folder)) is None


HEAD_FAULTS = {
    "objectives.0.direction: Input should be": lambda head: head["objectives"][0].update(direction="down"),
    "nll/val has no direction to search in": lambda head: head["objectives"][0].update(direction="none"),
    "one or two objectives, not 0": lambda head: head.update(objectives=[]),
    "a search has parameters": lambda head: head.update(parameters=[]),
    "schedule.beta_1 has no range from low to high": lambda head: head["parameters"][0].update(low=None),
    "schedule.beta_1 is logarithmic from 0": lambda head: head["parameters"][0].update(low=0.0),
    "beta_1 is 'x', which is no number": lambda head: head["winners"][0].update(params={"schedule.beta_1": "x"}),
    "schedule.beta_1 is a choice of none": lambda head: head["parameters"][0].update(kind="choice"),
    "seeds: Tuple should have at least 1": lambda head: head.update(seeds=[]),
    "objectives.0.decimals: Input should be greater": lambda head: head["objectives"][0].update(decimals=-4),
    "parameters.0.high: Input should be a finite": lambda head: head["parameters"][0].update(high=float("inf")),
    "the parameter 'schedule.beta_1' is there twice": lambda head: head["parameters"].append(head["parameters"][0]),
    "the objective 'nll/val' is there twice": lambda head: head["objectives"].append(head["objectives"][0]),
    "runs.csv lacks trial 99, which won": lambda head: head["winners"][0].update(trial=99),
}


@pytest.mark.parametrize("message", HEAD_FAULTS)
def test_what_is_wrong_with_a_description_is_one_line(tmp_path, message):
    folder = one_objective(tmp_path / "s", 5)
    content = json.loads((folder / "grid.json").read_text())
    HEAD_FAULTS[message](content["search"])
    (folder / "grid.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_search(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "grid.json" in str(error.value)


FILE_FAULTS = [
    ("runs.csv", ("status", "state"), r"runs\.csv lacks the column\(s\) status"),
    ("runs.csv", ("param.schedule.beta_1", "beta"), r"lacks the column\(s\) param\.schedule\.beta_1"),
    (
        "runs.csv",
        ("finished", "done"),
        r"holds a trial of status 'done': expected one of finished, pruned, failed, run",
    ),
    ("runs.csv", (",finished,,1,", ",finished,,0,"), r"runs\.csv holds trial 0 more than once"),
    ("runs.csv", ("20.5,2", "20.5,two"), r"the column 'nll/val' holds 'two"),
    ("runs.csv", (",finished,,0,", ",finished,,zero,"), r"the column 'trial' holds 'zero' where a whole number is"),
    ("grid.json", ('"search": {"name"', '"search": {"name'), r"json is not the description of a search: the file"),
]


@pytest.mark.parametrize(("name", "change", "message"), FILE_FAULTS)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path, name, change, message):
    folder = one_objective(tmp_path / "s", 5)
    edit(folder / name, change)
    with pytest.raises(InputError, match=message) as error:
        read_search(folder)
    assert "\n" not in str(error.value)


def test_a_complete_trial_has_a_value(tmp_path):
    rows = [trial(0, DEFAULT, {})]
    with pytest.raises(InputError, match=r"runs\.csv: trial 0 is finished, but nll/val is not known: run the search"):
        read_search(write_search(tmp_path / "s", head(BETAS), rows))


def test_an_unknown_choice_is_refused(tmp_path):
    folder = joint(tmp_path / "s", 4)
    edit(folder / "runs.csv", (",linear,", ",linea,"))
    with pytest.raises(InputError, match=r"holds param\.schedule=linea: expected one of linear, cosine, sigmoid"):
        read_search(folder)
