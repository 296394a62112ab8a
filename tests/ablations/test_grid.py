"""Axes × seeds → cells, and what a cell is known by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ablations import cell as cell_module
from ablations import choices, config, grid
from ablations.cell import content_hash
from ablations.stages import stages_of
from analysis.errors import InputError

DIGEST = "d" * 12


def points(*arguments):
    return grid.make(config.parse(list(arguments), "run"))


def cell(*arguments):
    return points(*arguments).points[0].cell


@pytest.mark.parametrize(("axis", "option"), [(a, o) for a in config.AXES for o in config.options_of(a)])
def test_every_config_file_builds_the_choice_of_its_name(axis, option):
    values = dict(config.load(axis, option))
    values.pop("suggests", None)
    built = choices.build(axis, values)
    assert choices.describe(built)["name"] == values.get("name", axis)
    if axis not in ("training", "evaluation"):
        assert values["name"] == option


@pytest.mark.parametrize("axis", [axis for axis in config.AXES if axis not in ("training", "evaluation")])
def test_every_class_of_an_axis_has_its_config_file(axis):
    assert set(choices.classes(axis)) == set(config.options_of(axis))


@pytest.mark.parametrize("name", config.options_of("grid"))
def test_every_grid_file_makes_its_cells(name):
    made = points(f"grid={name}")
    assert made.points
    for point in made.points:
        assert point.cell.refusal() is None
    assert made.file.baseline in [point.levels for point in made.points]


def test_the_parameterization_grid_has_the_rows_of_ddpms_table_2():
    made = points("grid=parameterization")
    rows = {(p.levels["parameterization"], p.levels["loss"]) for p in made.points}
    losses = {"vlb_learned", "vlb_fixed", "simple", "weighted"}
    expected = {(target, loss) for target in ("mu", "epsilon", "x0") for loss in losses}
    assert rows == expected - {("epsilon", "weighted")}
    assert len(made.seeds) >= 3


def test_commas_make_axes_and_their_product():
    made = points("schedule=linear,cosine", "horizon=50,100,200", "seeds=2", "first_seed=5")
    assert len(made.points) == 6
    assert {(c.seed, c.horizon) for _, c in made.cells()} == {(s, h) for s in (5, 6) for h in (50, 100, 200)}
    assert made.name == "custom"


def test_the_command_line_holds_for_all_cells_of_a_grid():
    made = points("grid=parameterization", "training.steps=7", "schedule=cosine")
    assert {p.cell.training.steps for p in made.points} == {7}
    assert {type(p.cell.schedule).__name__ for p in made.points} == {"Cosine"}


def test_the_command_line_picks_and_replaces_levels():
    made = points("grid=parameterization", "parameterization=epsilon,v", "loss=simple")
    assert [p.levels for p in made.points] == [
        {"parameterization": "epsilon", "loss": "simple"},
        {"parameterization": "v", "loss": "simple"},
    ]


def test_a_choice_that_is_replaced_takes_its_fields_with_it():
    assert points("grid=parameterization", "data=mixture2d").points[0].cell.network.width == 128


def test_parameters_give_the_cell_back():
    for point in points("grid=parameterization").points:
        original = replace(point.cell, seed=3)
        assert grid.cell_of(original.parameters(), 3) == original


def test_equal_cells_have_equal_ids_whatever_the_text():
    plain, spelt_out = cell(), cell("schedule=linear", "schedule.beta_1=0.0001", "horizon=1000")
    assert plain.cell_id(DIGEST, "float32") == spelt_out.cell_id(DIGEST, "float32")


@pytest.mark.parametrize(
    "change", ["schedule.beta_1=2e-4", "horizon=999", "training.ema=0.9", "evaluation.clip=false", "threads=2"]
)
def test_any_choice_changes_the_id(change):
    assert cell(change).cell_id(DIGEST, "float32") != cell().cell_id(DIGEST, "float32")


def test_data_precision_and_numerics_are_part_of_the_id(monkeypatch):
    ids = {cell().cell_id(DIGEST, "float32"), cell().cell_id("e" * 12, "float32"), cell().cell_id(DIGEST, "bf16")}
    monkeypatch.setattr(cell_module, "NUMERICS", cell_module.NUMERICS + 1)
    ids.add(cell().cell_id(DIGEST, "float32"))
    assert len(ids) == 4


def test_seeds_are_repetitions_of_one_cell():
    assert cell("first_seed=1").cell_id(DIGEST, "float32") == cell().cell_id(DIGEST, "float32")


def trainings(*arguments):
    return [stages_of(p.cell, DIGEST, "float32", "x")[0].id for p in points(*arguments).points]


@pytest.mark.parametrize(
    "shared", ["variance=beta,beta_tilde", "sampler.steps=10,20", "evaluation.clip=true,false", "evaluation.sets=1,2"]
)
def test_cells_that_differ_in_evaluation_alone_share_a_training(shared):
    assert len(set(trainings(shared))) == 1


def test_the_variance_is_part_of_a_training_that_reads_it():
    assert len(set(trainings("variance=beta,beta_tilde", "objective=vlb"))) == 2


def test_a_seed_is_part_of_every_stage():
    a, b = cell(), cell("first_seed=1")
    ids = [stage.id for c in (a, b) for stage in stages_of(c, DIGEST, "float32", "x")]
    assert len(set(ids)) == 6


def test_validation_and_test_are_scored_apart_and_in_order():
    training, validation, test = stages_of(cell(), DIGEST, "float32", "x")
    assert (validation.split, test.split) == ("validation", "test")
    assert validation.needs == (training.id,)
    assert test.needs == (training.id, validation.id)


def test_another_extractor_is_another_evaluation_but_the_same_validation():
    one, other = (stages_of(cell(), DIGEST, "float32", extractor) for extractor in ("x:1", "x:2"))
    assert [a.id == b.id for a, b in zip(one, other, strict=True)] == [True, True, False]


def test_a_hash_does_not_depend_on_the_order_of_keys():
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("call", "path", "expected"),
    [
        ("schedule=cosine schedule.s=0.004,0.02", "schedule.s", [0.004, 0.02]),
        ("training=long training.steps=100,200", "training.steps", [100, 200]),
        ("data=mixture2d network.width=64,128", "network.width", [64, 128]),
        ("data=mixture2d data.modes=4,8", "data.modes", [4, 8]),
        (
            "grid=parameterization parameterization=v loss=simple training=long training.ema=0.9,0.99",
            "training.ema",
            [0.9, 0.99],
        ),
        ("data=mixture2d network=mlp,unet", "network.__class__.__name__", ["Mlp", "UNet"]),
        ("horizon=50,100 training.steps=7", "horizon", [50, 100]),
    ],
)
def test_an_axis_over_fields_of_a_replaced_choice_keeps_its_levels(call, path, expected):
    found = [point.cell for point in points(*call.split()).points]
    for name in path.split("."):
        found = [getattr(value, name) for value in found]
    assert found == expected


@pytest.mark.parametrize(
    "call", ["schedule=linear,linear", "grid=parameterization loss=simple,simple", "schedule.beta_1=0.0001,1e-4"]
)
def test_cells_that_are_one_are_refused(call):
    with pytest.raises(InputError, match="are the same cell"):
        points(*call.split())


GOOD = {"question": "?", "axes": [{"name": "schedule", "levels": [{"name": "linear"}, {"name": "cosine"}]}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set": {"horzon": 5}}, "no setting called 'horzon'.*did you mean 'horizon'"),
        ({"axes": [{"name": "los", "levels": [{"name": "a"}]}]}, "no setting called 'los'"),
        ({"axes": [{"name": "loss", "levels": [{"name": "a", "set": {"objectiv": "vlb"}}]}]}, "called 'objectiv'"),
        ({"axes": None}, "axes must be a list"),
        ({"axes": [{"levels": []}]}, "axes must be a list, each with name"),
        ({"axes": ["x"]}, "axes must be a list"),
        ({"axis": 1}, "axis: Extra inputs are not permitted"),
        ({"seeds": 0}, "seeds: Input should be greater than or equal to 1"),
        ({"layout": "mine"}, "layout: Input should be 'general' or 'ddpm_table_2'"),
        ({"leave_out": [{"schedule": "sigmoid"}]}, "no level schedule=sigmoid"),
        ({"baseline": {"shedule": "linear"}}, "no level shedule=linear"),
    ],
)
def test_a_grid_file_that_says_what_has_no_meaning_is_refused(change, message, monkeypatch):
    load = config.load
    monkeypatch.setattr(
        config, "load", lambda group, name: {**GOOD, **change} if group == "grid" else load(group, name)
    )
    with pytest.raises(InputError, match=message):
        points("grid=parameterization")
