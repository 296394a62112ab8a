"""Axes × seeds → cells, and what a cell is known by."""

from __future__ import annotations

import csv
import functools
import itertools
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from ablations.grids import grid
from ablations.grids.file import read as read_grid
from ablations.search import study
from ablations.settings import grammar, making, registry
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.cell import AT_ONCE, AXES, Cell, default_name
from ablations.settings.registry import cell_id, parameters
from ablations.stages.graph import stages_of, unique
from analysis.errors import InputError
from tests.ablations.cells import GRIDS

DIGEST = "d" * 12
RESULTS = Path(__file__).parents[3] / "results" / "committed"


def points(*arguments):
    return grid.make(parse_run(list(arguments)))


def cell(*arguments):
    return points(*arguments).points[0].cell


@pytest.mark.parametrize("axis", AXES)
def test_every_config_file_builds_the_choice_of_its_name(axis):
    for option in grammar.options_of(axis):
        values = {key: value for key, value in grammar.load(axis, option).items() if key != "suggests"}
        assert registry.describe(registry.build(axis, values))["name"] == values.get("name", axis)
        assert axis in AT_ONCE or values["name"] == option.split("/")[0]
    # And each class has its file; those of `saved` are those that were saved: there may be none.
    files = {option for option in grammar.options_of(axis) if "/" not in option}
    assert axis in AT_ONCE or set(registry.classes(axis)) - {"saved"} == files


def test_commas_make_axes_and_their_product_at_each_seed():
    made = points("schedule=linear,cosine", "horizon=50,100,200", "seeds=2", "first_seed=5")
    assert len(made.points) == 6
    assert {(p.cell.seed, p.cell.horizon) for p in made.at_seeds()} == set(itertools.product((5, 6), (50, 100, 200)))


def test_levels_that_a_command_adds_are_called_by_their_symbols():
    made = points("parameterization=mu,epsilon,x0,v", "variance=beta,beta_tilde")
    titles = [level.title for axis in made.file.axes for level in axis.levels]
    assert titles == ["μ̃", "ε", "x₀", "v", "β", "β̃"]


@pytest.mark.parametrize("folder", sorted(path.parent for path in RESULTS.glob("*/grid.json")), ids=lambda p: p.name)
def test_committed_results_are_still_those_of_their_command(folder):
    """Each row is read back as a cell that its command still plans: one id for one id, and the same of today's
    numerics."""
    rows = rows_of(folder / "runs.csv")
    made_in = {row.get("precision", "") for row in rows} - {""}
    # Results from before the rows said so are of the first.
    today = {int(row.get("numerics") or 1) for row in rows} == {registry.NUMERICS}

    def id_of(cell):
        return cell_id(cell, digest, committed_precision(cell, made_in))

    made = cells_of(folder, json.loads((folder / "grid.json").read_text(encoding="utf-8"))["command"])
    digest = made[0].data.described().digest
    planned = {as_stored(cell, today): id_of(cell) for cell in made}
    read_back = {row["cell_id"]: as_stored(making.cell_of(row, 0), today) for row in rows}
    assert len(set(read_back.values())) == len(read_back)
    assert set(read_back.values()) <= planned.keys()
    if today:
        assert read_back == {name: cell for cell, name in planned.items()}
        for trial in rows_of(folder / "trials.csv"):
            assert id_of(making.cell_of(trial, 0)) == trial["cell_id"]


def as_stored(cell, today):
    """The cell as its row has it, without what only asks for more; rows from before a field existed are read as what
    was done then, and how a bound is drawn is part of its numbers."""
    drawn = {} if today else {"exact": 1, "strata": 1}
    unread = {"rungs": 0, "judged_rungs": 0, "metrics": ()}
    return replace(cell, seed=0, evaluation=replace(cell.evaluation, **unread, **drawn))


def rows_of(table):
    """The rows of a CSV file; none where there is no such file."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cells_of(folder, command):
    """The cells of a grid's command; of a search's, those of its winners and the default."""
    words = shlex.split(command)[2:]
    if words[0] == "ablations.run":
        return [point.cell for point in points(*words[1:]).points]
    made = study.make(parse_search(words[1:]))
    winners = json.loads((folder / "grid.json").read_text(encoding="utf-8"))["search"]["winners"]
    params = [made.default] + [{name: read(text) for name, text in winner["params"].items()} for winner in winners]
    return [made.cell(point, 0) for point in params]


def read(text):
    """A number, or a name."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def committed_precision(cell, made_in):
    """That of committed results by what their rows say; before they said so, `auto` was float32 on all machines."""
    if cell.training.precision != "auto":
        return cell.training.precision
    (found,) = made_in or {"float32"}
    return found


def test_axes_that_older_files_have_not_are_read_as_what_was_done_then():
    known = parameters(cell("horizon=25", "sampler.steps=5"))
    older = {name: text for name, text in known.items() if name.split(".")[0] not in Cell.younger}
    assert len(older) < len(known)
    assert making.cell_of(older, 0) == cell("horizon=25", "sampler.steps=5")
    before = {"coupling": "independent", "average": "tracked", "conditioning": "unconditional", "guidance": "guidance"}
    assert {axis: default_name(axis) for axis in Cell.younger} == before


def test_equal_cells_have_equal_ids_and_any_choice_data_precision_or_numerics_changes_them(monkeypatch):
    plain = cell_id(cell(), DIGEST, "float32")
    assert cell_id(cell("schedule=linear", "schedule.beta_1=0.0001", "horizon=1000"), DIGEST, "float32") == plain
    words = "schedule.beta_1=2e-4 horizon=999 training.ema=0.9 evaluation.clip=false threads=2 time_input=log_snr"
    words += " first_step=beta_1 sampler.skip=0.1 evaluation.ode=1 coupling=optimal"
    ids = [plain, *(cell_id(cell(word), DIGEST, "float32") for word in words.split())]
    ids += [cell_id(cell(), "e" * 12, "float32"), cell_id(cell(), DIGEST, "bf16")]
    monkeypatch.setattr(registry, "NUMERICS", registry.NUMERICS + 1)
    ids.append(cell_id(cell(), DIGEST, "float32"))
    assert len(set(ids)) == len(ids)


def test_an_extractors_weights_count_by_what_they_hold_not_by_where_they_lie():
    here, there = cell("evaluation.weights=here.safetensors"), cell("evaluation.weights=there.safetensors")
    assert parameters(here)["evaluation.weights"] == "here.safetensors"
    assert making.cell_of(parameters(here), 0) == here
    assert cell_id(here, DIGEST, "float32", "x:1") == cell_id(there, DIGEST, "float32", "x:1")
    assert cell_id(here, DIGEST, "float32", "x:1") != cell_id(here, DIGEST, "float32", "x:2")
    assert cell_id(cell(), DIGEST, "float32", "x:1") == cell_id(cell(), DIGEST, "float32", "x:2")


@pytest.mark.parametrize(
    ("call", "terms", "notes"),
    [
        ("schedule=linear,cosine", ("log_snr", "beta_1"), 1),
        ("schedule=learned,learned_linear time_input=log_snr", ("log_snr", "beta_1"), 1),
        ("schedule=linear,cosine time_input=t first_step=schedule", ("t", "schedule"), 0),
        ("schedule=cosine horizon=50,100", ("t", "schedule"), 0),
    ],
)
def test_schedules_are_compared_on_equal_terms_which_a_footnote_tells_unless_others_are_asked_for(call, terms, notes):
    made = points(*call.split())
    assert {(p.cell.time_input, p.cell.first_step) for p in made.points} == {terms}
    assert [note.startswith("Because schedules are compared, ") for note in made.file.footnotes] == [True] * notes


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("objective=vlb_continuous", [32]),
        ("objective=simple,vlb_continuous", [32, 32]),
        ("objective=vlb_continuous evaluation.continuous=4", [4]),
        ("objective=simple,vlb_continuous evaluation.continuous=0", [0, 0]),
        ("objective=simple", [0]),
        # What one cell is scored by all are that can be: μ has no bound in continuous time.
        ("objective=simple,vlb_continuous parameterization=epsilon,mu", [32, 0, 32, 0]),
        # No integral reaches noise alone, so the suggestion is none.
        ("objective=vlb_continuous schedule=rectified parameterization=velocity", [0]),
    ],
)
def test_an_objective_suggests_the_bound_it_trains_and_yields_to_what_is_set(call, expected):
    assert [p.cell.evaluation.continuous for p in points(*call.split()).points] == expected


def test_a_choice_that_is_replaced_takes_its_suggestions_with_it(configs):
    said = {"question": "?", "set": {"objective": "vlb_continuous", "data": "mixture2d"}, "axes": []}
    (configs / "grid" / "mine.yaml").write_text(json.dumps(said), encoding="utf-8")
    kept, replaced = (points("grid=mine", *more).points[0].cell for more in ([], ["objective=vlb"]))
    assert kept.evaluation.continuous == 32
    assert replaced.evaluation.continuous == 0
    assert kept.network == replaced.network == registry.build("network", {"name": "mlp"})


def test_validation_comes_before_test_and_the_bound_before_samples():
    stages = stages_of(cell("variance=analytic", "evaluation.quality=[validation,test]"), DIGEST, "float32", "x")
    order = [(stage.kind, stage.held_out) for stage in stages]
    scored = [(kind, split) for split in ("validation", "test") for kind in ("bound", "samples")]
    assert order == [("training", None), ("fit", None), *scored]
    for i, stage in enumerate(stages):
        assert stage.needs == tuple(before.id for before in stages[:i])


def test_another_extractor_is_another_judgement_and_nothing_else():
    one, other = (stages_of(cell(), DIGEST, "float32", extractor) for extractor in ("x:1", "x:2"))
    assert [a.id == b.id for a, b in zip(one, other, strict=True)] == [True, True, True, False]


# Which kinds of stages two cells share: a training, a fit, the bounds of both splits, the samples.
SHARED = {
    "variance=beta,beta_tilde": "training",
    "variance=analytic,analytic_mse": "training fit",
    "variance=beta,analytic": "training",
    "variance=beta,beta_tilde objective=vlb": "",
    "variance=beta_tilde,analytic objective=vlb": "training",
    "variance=beta,analytic objective=vlb": "",
    "variance=learned,learned_diagonal objective=hybrid": "",
    "variance=beta,beta_tilde schedule=learned": "",
    "variance=beta_tilde,analytic schedule=learned": "training",
    "variance=beta,beta_tilde objective=vlb_continuous": "training",
    "variance=beta,beta_tilde sampler=ddim": "training samples",
    "variance=analytic,analytic_mse sampler=ddim": "training fit samples",
    "sampler=ancestral,ddim": "training bound",
    "sampler=ancestral,heun variance=analytic": "training fit bound",
    "sampler.steps=10,20": "training bound",
    "evaluation.clip=true,false variance=analytic": "training",
    "evaluation.sets=1,2": "training bound",
    "evaluation.exact=2,5": "training samples",
    "evaluation.horizon=10,20": "training samples",
    "evaluation.seed=0,1 variance=analytic sampler=ddim": "training fit samples",
    "evaluation.continuous=0,4": "training samples",
    "evaluation.ode_steps=8,16": "training bound samples",
    "evaluation.ode_steps=8,16 evaluation.ode=1": "training samples",
    "evaluation.n=10,20": "training bound",
    "evaluation.fit=16,32": "training bound samples",
    "evaluation.fit=16,32 variance=analytic": "training",
    "spacing=uniform,karras": "training bound samples",
    "spacing=uniform,karras sampler.steps=10": "training bound",
    "spacing=optimal,uniform evaluation.horizon=10": "training samples",
    "spacing=optimal variance=beta,beta_tilde sampler.steps=10 sampler=ddim": "training",
    "time_input=t,log_snr": "",
    "coupling=independent,optimal": "",
    "threads=1,2": "",
    "training.steps=1,2": "",
}


@pytest.mark.parametrize("call", SHARED)
def test_cells_share_the_stages_that_read_nothing_they_differ_in(call):
    one, other = (stages_of(point.cell, DIGEST, "float32", "x:1") for point in points(*call.split()).points)
    ids = {stage.id for stage in other}
    for kind in ("training", "fit", "bound", "samples"):
        shared = [stage.id in ids for stage in one if stage.kind == kind]
        assert all(shared) if kind in SHARED[call].split() else not any(shared), kind


@pytest.mark.parametrize("call", ["spacing=optimal,uniform sampler.steps=10", "spacing=optimal evaluation.horizon=10"])
def test_a_stage_has_no_part_that_it_does_not_read(call):
    """A bound that cells share would look for the fit of one of them, which it need not wait for."""
    strided = "sampler.steps" if "sampler" in call else "evaluation.horizon"
    for point in points(*call.split()).points:
        for stage in stages_of(point.cell, DIGEST, "float32", "x"):
            if stage.kind in ("bound", "samples"):
                reads = (stage.kind == "samples") == (strided == "sampler.steps")
                assert (stage.parts.fit is not None) == (reads and point.cell.spacing.fitted)


def test_a_shared_stage_waits_for_what_all_its_cells_need_alike():
    made = points("variance=beta,beta_tilde", "sampler=ddim").points
    a, b = (stages_of(point.cell, DIGEST, "float32", "x") for point in made)
    together = {stage.id: stage for stage in unique([*a, *b])}
    assert [stage.kind for stage in together.values()] == ["training", "bound", "bound", "samples", "bound", "bound"]
    assert together[a[-1].id].needs == (a[0].id,)
    assert together[a[-2].id].needs == a[-2].needs


@pytest.mark.parametrize(
    ("call", "path", "expected"),
    [
        ("schedule=cosine schedule.s=0.004,0.02", "schedule.s", [0.004, 0.02]),
        ("data=mixture2d network.width=64,128", "network.width", [64, 128]),
        ("grid=parameterization parameterization=v loss=simple training.ema=0.9,0.99", "training.ema", [0.9, 0.99]),
        ("data=mixture2d network=mlp,unet", "network.__class__.__name__", ["Mlp", "UNet"]),
        ("horizon=50,100 training.steps=7", "horizon", [50, 100]),
    ],
)
def test_an_axis_over_fields_of_a_replaced_choice_keeps_its_levels(call, path, expected):
    found = [point.cell for point in points(*call.split()).points]
    for name in path.split("."):
        found = [getattr(value, name) for value in found]
    assert found == expected


@functools.cache
def shipped(name):
    """A grid that ships, made once for all tests of it."""
    return points(f"grid={name}")


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_file_asks_a_question_whose_cells_and_comparisons_are_there(name):
    asked, made = read_grid(name), shipped(name)
    levels, sides = [point.levels for point in made.points], made.file.sides()
    assert asked.question.endswith("?")
    # The first command's is to end within 5 minutes, and goes on with seeds=5.
    assert asked.seeds >= 5 or (name, asked.seeds) in (("deck", 1), ("parameterization", 3), ("ddpm_table_2", 4))
    assert all(point.refusal is None for point in made.points)
    assert made.file.baseline in levels
    assert made.notes == ()
    assert len(made.file.primary) == len(asked.primary)
    assert all(first in levels and second in levels for first, second in sides)
    # 80 % of the error rate is theirs: few enough that it is worth having.
    assert 3 <= len(sides) <= 20


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_states_its_cells_in_the_help_line(name):
    line = grammar.options_of("grid")[name]
    said = re.search(r"(\d+)( x (\d+))? cells", line)
    assert int(said[1]) * int(said[3] or 1) == len(shipped(name).points)


@pytest.mark.parametrize("name", GRIDS)
def test_claims_name_their_source_with_its_values_and_cells_that_are_there(name):
    levels = [point.levels for point in shipped(name).points]
    for claim in shipped(name).file.expects:
        better = [names for names in levels if claim.better.items() <= names.items()]
        assert any({**names, **claim.than} in levels for names in better), claim.claim
        if claim.published:
            of_better, than = claim.published
            named = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", claim.source)}
            assert {of_better, than} <= named, claim.source
            assert of_better < than or claim.within, claim.claim  # of every metric that they name less is better


def test_levels_of_an_axis_are_picked_by_their_names_though_it_is_called_after_a_choice():
    made = grid.make(parse_run(["grid=latent", "space=pixels,f2", "training.steps=2000"]))
    assert {point.levels["space"] for point in made.points} == {"pixels", "f2"}
    others = grid.make(parse_run(["grid=latent", "training.steps=1500"]))
    assert {point.levels["training.steps"] for point in others.points} == {"1500"}
    with pytest.raises(InputError, match="no level of space called 'latents': there are f1, f2, f4, pixels"):
        grid.make(parse_run(["grid=latent", "space=latents"]))


def test_a_field_of_a_varied_choice_is_for_the_cells_that_have_it_and_varies_in_none_that_have_not():
    made = grid.make(parse_run(["space=pixels,latents", "space.f=4", "horizon=50"]))
    assert [parameters(point.cell).get("space.f") for point in made.points] == [None, "4"]
    with pytest.raises(InputError, match=r"no field of .* called 'g'|has nothing to set"):
        grid.make(parse_run(["space=pixels,latents", "space.g=4"]))
    with pytest.raises(InputError, match="no field of space=pixels called 'f'"):
        grid.make(parse_run(["space=pixels,latents", "space.f=2,4"]))
