"""What a study means: every file that ships, what a command line makes of it, and what is refused."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from ablations.metrics.registry import objectives
from ablations.search import __main__ as search
from ablations.search.study import ParameterSpec, make
from ablations.search.trial import planned
from ablations.settings import grammar
from ablations.settings.arguments import parse_search
from ablations.settings.making import refusal
from ablations.settings.registry import build
from analysis.errors import InputError
from tests.ablations.settings.test_grammar import one_line_error

STUDIES = sorted(grammar.options_of("study"))
OWN_OF = {"linear": {"beta_1", "beta_T"}, "cosine": {"s"}, "sigmoid": {"start", "end", "tau"}}
OWN_OF |= {"log_snr_linear": {"gamma_min", "gamma_max"}}


def made(*arguments):
    return make(parse_search(list(arguments)))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_ships_makes_sense_everywhere_in_its_space(name):
    """Every corner of the ranges with every choice is a cell that nothing refuses."""
    here = made(f"study={name}")
    choices = {key: p.choices for key, p in here.parameters.items() if "." not in key}
    for chosen in itertools.product(*choices.values()):
        params = dict(zip(choices, chosen, strict=True))
        rest = [key for key in here.parameters if "." in key and here.applies(key, params)]
        ends = [here.parameters[key].choices or here.parameters[key].ends for key in rest]
        for values in itertools.product(*ends):
            cell = here.cell({**params, **dict(zip(rest, values, strict=True))}, 3)
            assert cell.seed == 3
            assert refusal(cell) is None, (params, rest, values)


@pytest.mark.parametrize("name", STUDIES)
def test_the_papers_default_is_a_trial_of_every_study(name):
    """So the search never ends below it."""
    here = made(f"study={name}")
    assert here.default_is_inside
    assert here.cell(here.default, 0) == here.cell(
        {key: value for key, value in here.default.items() if "." not in key}, 0
    )


@pytest.mark.parametrize("schedule", OWN_OF)
def test_a_fixed_schedule_leaves_its_own_parameters(schedule):
    here = made("study=schedule", f"schedule={schedule}")
    assert set(here.parameters) == {f"schedule.{field}" for field in OWN_OF[schedule]}
    assert here.cell(here.default, 0).schedule == build("schedule", grammar.load("schedule", schedule))


def test_parameters_depend_on_the_choice_that_has_them():
    here = made("study=schedule_joint")
    assert next(iter(here.parameters)) == "schedule"
    for schedule, fields in OWN_OF.items():
        for field in fields:
            assert here.when(f"schedule.{field}") == {"schedule": [schedule]}
            assert here.applies(f"schedule.{field}", {"schedule": schedule})
            others = set(OWN_OF) - {schedule}
            assert not any(here.applies(f"schedule.{field}", {"schedule": other}) for other in others)
    both = made("schedule=linear,cosine", "schedule.zero_terminal=true,false")
    assert both.when("schedule.zero_terminal") == {}, "which each of them has"
    cell = here.cell({"schedule": "sigmoid", "schedule.start": -2.0, "schedule.end": 4.0, "schedule.tau": 0.5}, 0)
    assert (cell.schedule.start, cell.schedule.end, cell.schedule.tau) == (-2.0, 4.0, 0.5)


def test_where_schedules_are_searched_all_are_on_the_footing_of_a_grid_that_compares_them():
    cell = made("study=schedule_joint").cell({"schedule": "cosine", "schedule.s": 0.1}, 0)
    assert (cell.time_input, cell.first_step) == ("log_snr", "beta_1")
    assert made("study=training").cell({}, 0).time_input == "t"


def test_a_command_line_fixes_narrows_and_adds():
    here = made(
        "study=schedule",
        "schedule.beta_1=1e-4",
        "schedule.beta_T=interval(0.01,0.05)",
        "training.batch=64,128",
        "network.groups=interval(2,8)",
        "training.learning_rate=tag(log,interval(1e-4,1e-2))",
        "horizon=50",
    )
    assert "schedule.beta_1" not in here.parameters
    assert here.parameters["schedule.beta_T"].ends == (0.01, 0.05)
    assert here.parameters["schedule.beta_T"].log, "as in the file"
    assert here.parameters["training.batch"].choices == [64, 128]
    assert here.parameters["training.learning_rate"].log
    cell = here.cell({"schedule.beta_T": 0.03, "training.batch": 64}, 5)
    assert (cell.schedule.beta_1, cell.schedule.beta_T, cell.training.batch, cell.horizon) == (1e-4, 0.03, 64, 50)


@pytest.mark.parametrize(
    ("drawn", "tried"),
    [(1.23456789e-4, 1.235e-4), (0.123456, 0.1235), (0.99954321, 0.9995432), (0.9987654321, 0.998765), (0.00001, 1e-4)],
)
def test_numbers_of_a_range_are_tried_at_four_digits_and_near_one_by_their_distance(drawn, tried):
    assert ParameterSpec(low=1e-4, high=0.9999).rounded(drawn) == pytest.approx(tried, rel=1e-6)


def test_the_identity_is_of_the_space_and_not_of_the_budget(tmp_path):
    def identity(*words):
        request = parse_search(["study=schedule", *words, "device=cpu", f"results={tmp_path}"])
        return planned(request, make(request)).identity

    same = identity()
    assert same == identity("trials=7") == identity("confirm=9")
    others = [
        identity("seeds=2"),
        identity("first_seed=1"),
        identity("schedule.beta_1=interval(1e-5,1e-3)"),
        identity("schedule.beta_1=1e-4"),
        identity("study.sampler=gp"),
        identity("study.pruner=none"),
        identity("study.seed=0", "study.startup=0"),
        identity("study.pruner=none", "study.objective=fid"),
    ]
    assert len({same, *others}) == 1 + len(others)


WRONG = {
    "study=schedul": "no study called 'schedul'.*did you mean 'schedule'",
    "": "nothing is searched: give study=NAME, or a range",
    "study.objective=loss": f"called 'loss': there are {', '.join(sorted(objectives()))}; did you mean 'nll'",
    "study=pareto study.objective=nll,fid,mmd": "study.objective is wrong: List should have at most 2 items",
    "study=schedule study.objective=fid": "bounds of trainings on their way: that needs study.objective=nll",
    "study=schedule sampler.eta=interval(0,1)": "no field of sampler=ancestral called 'eta': there are skip, steps",
    "study=schedule study.pruner=none study.objective=nll_ode": "where evaluation.ode= asks for it",
    "study=pareto evaluation.quality=[test]": "judges samples on validation data: leave evaluation.quality out",
    "space=latents space.regularization=vq space.f=1,2": "no likelihood to search by: take study.objective=fid",
    "training.precision=float32,bf16": "training.precision is alike for all trials",
    "study=schedule training.steps=40": "needs .* reports on its way",
    "study=training variance=analytic": "needs .* one variance= that is not fitted",
    "study=schedule training.steps=400,800": "needs .* one training.steps= with reports on its way",
    "study=schedule schedule.beta_1=tag(log,interval(0,1))": "study.parameters.schedule.beta_1: .*low > 0. must hold",
    "study=schedule horizon=10": "what all trials share makes no sense: .*must stay below 1",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_call_is_one_line_and_exit_code_two(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = one_line_error(search.main, words.split(), capsys)
    assert re.search(WRONG[words], line), line
    assert not (tmp_path / "results").exists()


BAD_FILES = {
    "trails is no key of such a file": {"trails": 3},
    "parameters.horizon.lo is no key": {"parameters": {"horizon": {"lo": 1}}},
    "no field of schedule=any called 'beta'": {"parameters": {"schedule.beta": {"low": 0, "high": 1}}},
    "parameters.horizon: .*needs low and high": {"parameters": {"horizon": {"low": 1}}},
    "nothing is searched: give study=NAME, or a range": {"parameters": {"schedule.s": {"low": 1e-3, "high": 1e-2}}},
}


@pytest.mark.parametrize("reason", BAD_FILES)
def test_a_study_that_makes_no_sense_is_one_line(reason, configs):
    good = {"question": "?", "parameters": {"training.ema": {"choices": [0.9, 0.99]}}}
    file = good | BAD_FILES[reason]
    (configs / "study").mkdir()
    (configs / "study" / "mine.yaml").write_text(json.dumps(file), encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        made("study=mine")


def test_a_storages_password_is_not_written_down():
    request = parse_search(["study=schedule", "storage=postgresql://me:secret@host/db", "trials=3"])
    assert request.command == "python -m ablations.search study=schedule trials=3"
