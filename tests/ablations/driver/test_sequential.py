"""`seeds=auto`: seeds go where something is left to decide, and whatever happens on the way, the same is decided.

No cell is trained here: each scores what `NLL` says of it.
"""

from __future__ import annotations

import re

import pytest

from ablations.driver import run
from ablations.driver.plan import Looks
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.stages.bound import BoundStage
from analysis.errors import InputError
from analysis.results import read_csv
from tests.ablations.conftest import head, plan_of
from tests.ablations.driver.conftest import NLL, NOISE, WORDS
from tests.ablations.settings.test_grammar import one_line_error
from tests.sampling import sampled

ENDED = {"epsilon": 8, "mu": 3, "v": 8, "x0": 3}


def ran(results, *words, code=0):
    """Run the grid; how many seeds each target has in runs.csv."""
    assert run.main([*WORDS, f"results={results}", *(words or ["seeds=auto"])]) == code
    return counts(results)


def counts(results):
    found = read_csv(results / "auto" / "runs.csv", ["axis.parameterization"])
    return found["axis.parameterization"].value_counts().to_dict()


def looks_in(capsys):
    """What the terminal said of the looks."""
    return [line for line in capsys.readouterr().out.splitlines() if " seeds: " in line and "training" not in line]


def test_cells_stop_where_their_comparisons_are_over(scored, tmp_path, capsys):
    assert ran(tmp_path) == ENDED
    assert looks_in(capsys) == [
        "3 seeds: 1 of 3 comparisons settled, 1 over without a verdict, 1 open",
        "  go on to 5 seeds: v, ε",
        "5 seeds: 1 of 3 comparisons settled, 1 over without a verdict, 1 open",
        "  go on to 8 seeds: v, ε",
        "8 seeds: 2 of 3 comparisons settled, 1 over without a verdict, 0 open",
    ]
    told = head(tmp_path / "auto")
    ids = {levels["parameterization"]: cell for cell, levels in told["cells"].items()}
    assert told["auto"] == {"looks": [3, 5, 8, 12], "most": 12, "stopped": {ids[name]: n for name, n in ENDED.items()}}
    assert (told["seeds"], told["continued"]) == (list(range(8)), False)
    assert set(read_csv(tmp_path / "auto" / "runs.csv", ["status"])["status"]) == {"finished"}
    assert len(scored) == 3 * sum(ENDED.values())


def test_the_same_command_runs_nothing_again_and_a_dry_run_says_the_least_and_the_most(scored, tmp_path, capsys):
    ran(tmp_path)
    seconds = head(tmp_path / "auto")["seconds"]
    before, said = (tmp_path / "auto" / "runs.csv").read_bytes(), looks_in(capsys)
    scored.clear()
    ran(tmp_path)
    assert looks_in(capsys) == said
    assert (tmp_path / "auto" / "runs.csv").read_bytes() == before
    assert (head(tmp_path / "auto")["continued"], head(tmp_path / "auto")["seconds"]) == (False, seconds)
    assert run.main([*WORDS, f"results={tmp_path}", "seeds=auto", "seeds.max=12", "dry_run=true"]) == 0
    told = capsys.readouterr().out
    assert "3 comparisons, looked at with 3, 5, 8 or 12 seeds" in told
    least, most = told.split("at least ")[1].split("at most ")
    assert "4 cells × 3 seeds: 12 trainings, 0 of them new" in least
    assert "4 cells × 12 seeds: 48 trainings, 26 of them new" in most
    assert not scored


@pytest.mark.parametrize(
    "stop", [*sampled([50, 20, 36], 3), *(pytest.param(stop, marks=pytest.mark.slow) for stop in (0, 40))]
)
def test_a_command_that_is_killed_decides_the_same_in_the_end(stop, scored, tmp_path, capsys):
    """It has 36 stages before its first look, and 48 before its second."""
    ran(tmp_path / "whole")
    whole, said = (tmp_path / "whole" / "auto" / "runs.csv").read_bytes(), looks_in(capsys)
    cut = tmp_path / "cut"
    scored.stop = stop
    assert set(ran(cut, code=130).values()) == ({3, 5} if stop == 50 else {3})
    scored.stop = None
    assert ran(cut) == ENDED
    assert (cut / "auto" / "runs.csv").read_bytes() == whole
    assert looks_in(capsys)[-len(said) :] == said
    assert head(cut / "auto")["continued"] is False


def test_seeds_max_ends_what_stays_open(scored, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(NLL, "v", lambda seed: 2.8 + 0.2 * NOISE[2, seed] + 0.1 * NOISE[0, seed])
    assert ran(tmp_path, "seeds=auto", "seeds.max=5") == {**ENDED, "epsilon": 5, "v": 5}
    assert "  open at seeds.max=5: v, ε" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("first", "second"),
    sampled([("seeds=3", "seeds=auto"), ("seeds=auto seeds.max=5", "seeds=auto"), ("seeds=auto", "seeds=12")], 3),
)
def test_another_plan_after_results_were_seen_is_exploratory(first, second, scored, tmp_path):
    ran(tmp_path, *first.split())
    assert head(tmp_path / "auto")["continued"] is False
    ran(tmp_path, *second.split())
    assert head(tmp_path / "auto")["continued"] is True


def test_a_cell_without_a_value_at_any_seed_stops(scored, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(NLL, "v", lambda seed: "diverged")
    assert ran(tmp_path) == dict.fromkeys(ENDED, 3)
    assert "3 seeds: 1 of 3 comparisons settled, 2 over without a verdict, 0 open" in capsys.readouterr().out


def test_a_stage_that_failed_is_tried_once_by_a_command_and_leaves_the_other_seeds(scored, tmp_path, monkeypatch):
    whole = NLL["v"]
    monkeypatch.setitem(NLL, "v", lambda seed: "failed" if seed == 1 else whole(seed))
    found = ran(tmp_path, code=1)
    tried = [stage for stage in scored if isinstance(stage, BoundStage) and stage.held_out == "validation"]
    assert len({stage.id for stage in tried}) == len(tried) == sum(found.values())
    assert found["v"] > 3


GRID = """# Three targets, of which one comparison counts
question: Which?
axes:
  - name: parameterization
    levels: [{name: epsilon}, {name: mu}, {name: v}, {name: x0}]
baseline: {parameterization: epsilon}
primary:
  - {compare: {parameterization: v}}
relevant: {nll: 0.1}
"""


def test_cells_outside_of_what_is_declared_have_the_first_look_only(scored, tmp_path, configs):
    (configs / "grid" / "mine.yaml").write_text(GRID + "seeds: auto\n")
    words = ["grid=mine", *WORDS[1:], f"results={tmp_path}"]
    assert run.main(words) == 0
    # One comparison alone is settled sooner than one of three.
    assert counts(tmp_path) == {"epsilon": 5, "v": 5, "mu": 3, "x0": 3}
    assert make(parse_run([*words, "seeds=4"])).seeds == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("horizon=25 seeds=auto", "seeds=auto adds seeds until .* needs two cells that can be compared: give seeds=N"),
        ("seeds=auto seeds.max=2", "seeds.max=2: the first look takes 3 seeds, got 2 at most"),
        ("seeds.max=20", "seeds.max says how far seeds=auto goes: give both, or seeds=N alone"),
    ],
)
def test_a_wrong_word_is_one_line(call, message, capsys, tmp_path):
    line = one_line_error(run.main, [*call.split(), f"results={tmp_path}"], capsys)
    assert re.search(message, line), line


def test_a_cell_that_makes_no_sense_is_in_no_comparison():
    words = ["variance=beta,learned_diagonal,beta_tilde", "horizon=25", "seeds=auto", *WORDS[2:3]]
    declared = Looks.of(plan_of(*words))
    assert len(declared.pairs) == 1
    with pytest.raises(InputError, match="needs two cells"):
        Looks.of(plan_of("variance=beta,learned_diagonal", *words[1:]))
