"""What numbers alone refuse before torch is imported, against what would be said later."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ablations.grids import file as grids
from ablations.grids import grid
from ablations.launchers.serial import Serial
from ablations.search import file as studies
from ablations.search import study
from ablations.search.plan import plan_search
from ablations.settings import grammar
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.beforehand import refuse_numbers
from analysis.format.errors import InputError

REFUSED = [
    "horizon=20",
    "horizon=1",
    "horizon=20 objective=simple,min_snr",
    "grid=parameterization horizon=20",
    "grid=parameterization parameterization=epsilon,v horizon=20",
    "grid=parameterization training.steps=0",
    "schedule.beta_T=2",
    "schedule=cosine schedule.s=-1",
    "training=long training.batch=1000000",
    "training.steps=2.5",
    "training.stepps=3",
    "evaluation.seed=-1",
    "threads=0",
    "horizon=1000000000",
]

KEPT = [
    "",
    "horizon=21",
    "horizon=20 schedule=cosine",
    "horizon=20 schedule.rescale=false",
    "horizon=20 schedule.beta_T=0.01",
    "horizon=20,100",
    "horizon=20 schedule=linear,cosine",
    "horizon=20 schedule.rescale=false,true",
    "schedule.beta_T=2,0.02",
    "grid=schedule horizon=20",
    "horizon=0 space=latents",
]


OF_SEARCHES = [
    "study=training horizon=20",
    "study=schedule training.steps=0",
    "objective=simple,min_snr horizon=20",
    "training.learning_rate=interval(0.001,0.01) schedule.beta_T=2",
]

KEPT_IN_SEARCHES = [
    "study=schedule horizon=20",
    "study=schedule schedule=cosine horizon=20",
    "schedule=cosine,linear horizon=20",
    "horizon=20,100",
]


def refuse(words: str) -> None:
    refuse_numbers(*grids.shared_and_levels(parse_run(words.split())))


def refuse_in_a_search(words: str) -> None:
    refuse_numbers(*studies.shared_and_levels(parse_search(words.split())))


@pytest.mark.parametrize("words", REFUSED)
def test_what_numbers_refuse_is_what_would_be_said_of_them_later(words):
    with pytest.raises(InputError) as now:
        refuse(words)
    with pytest.raises(InputError) as later:
        grid.make(parse_run(words.split()))
    assert str(later.value).removeprefix("no cell makes sense: ") == str(now.value)


@pytest.mark.parametrize("words", OF_SEARCHES)
def test_and_of_searches(words):
    with pytest.raises(InputError) as now:
        refuse_in_a_search(words)
    with pytest.raises(InputError) as later:
        plan_search(study.make(parse_search(words.split())), Serial(), ["cpu"])
    assert str(later.value).removeprefix("what all trials share makes no sense: ") == str(now.value)


@pytest.mark.parametrize("words", KEPT)
def test_what_any_cell_may_have_is_not_refused(words):
    refuse(words)


@pytest.mark.parametrize("words", KEPT_IN_SEARCHES)
def test_nor_what_any_trial_may_have(words):
    refuse_in_a_search(words)


@pytest.mark.parametrize("name", grammar.options_of("grid"))
def test_no_grid_that_ships_is_refused(name):
    refuse(f"grid={name}")


@pytest.mark.parametrize("name", grammar.options_of("study"))
def test_and_no_study(name):
    refuse_in_a_search(f"study={name}")


def test_torch_is_not_imported_for_it():
    code = (
        "import sys\nfrom ablations import run\nfrom ablations.search import __main__ as search\n"
        "from analysis.format.errors import InputError\n"
        f"for main, calls in ((run.main, {REFUSED!r}), (search.main, {OF_SEARCHES!r})):\n"
        "    for words in calls:\n"
        "        try: main(words.split())\n        except InputError: pass\n"
        "        assert not {'torch', 'mlflow', 'pandas', 'scipy'} & set(sys.modules), words"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_grids_file_without_a_meaning_is_left_to_its_reader(configs):
    (configs / "grid").mkdir(exist_ok=True)
    (configs / "grid" / "odd.yaml").write_text("question: [3]\naxes: []\n")
    refuse("grid=odd horizon=20")
    with pytest.raises(InputError, match="odd"):
        grid.make(parse_run(["grid=odd", "horizon=20"]))
