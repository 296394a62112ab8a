"""What numbers alone refuse before torch is imported, against what would be said later."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ablations.grids import grid
from ablations.grids.beforehand import refuse_numbers
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from analysis.errors import InputError

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


def request(words: str):
    return parse_run(words.split())


@pytest.mark.parametrize("words", REFUSED)
def test_what_numbers_refuse_is_what_would_be_said_of_them_later(words):
    with pytest.raises(InputError) as now:
        refuse_numbers(request(words))
    with pytest.raises(InputError) as later:
        grid.make(request(words))
    assert str(later.value).removeprefix("no cell makes sense: ") == str(now.value)


@pytest.mark.parametrize("words", KEPT)
def test_what_any_cell_may_have_is_not_refused(words):
    refuse_numbers(request(words))


@pytest.mark.parametrize("name", grammar.options_of("grid"))
def test_no_grid_that_ships_is_refused(name):
    refuse_numbers(request(f"grid={name}"))


def test_torch_is_not_imported_for_it():
    code = (
        "import sys\nfrom ablations import run\nfrom analysis.errors import InputError\n"
        f"for words in {['', *REFUSED]!r}:\n"
        "    try: run.refuse_numbers(run.parse_run(words.split()))\n    except InputError: pass\n"
        "    assert not {'torch', 'mlflow', 'pandas', 'scipy'} & set(sys.modules), words"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_grids_file_without_a_meaning_is_left_to_its_reader(configs):
    (configs / "grid").mkdir(exist_ok=True)
    (configs / "grid" / "odd.yaml").write_text("question: [3]\naxes: []\n")
    asked = request("grid=odd horizon=20")
    refuse_numbers(asked)
    with pytest.raises(InputError, match="odd"):
        grid.make(asked)
