"""A published network in the place of a training: its chain comes from its files, and all evaluation reads it."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import torch

from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from analysis.errors import InputError
from diffusion_core.networks.files import files_at
from tests.ablations.cells import cell_of, over, results_of, stages_in, stages_of_cell, weights

SMALL = [
    *["network=published", "evaluation.exact=1", "evaluation.strata=2", "evaluation.n=16", "evaluation.sets=1"],
    *["sampler.steps=3", "evaluation.rungs=0", "evaluation.judged_rungs=0", "training.precision=float32"],
]
SCHEDULER = {"num_train_timesteps": 20, "beta_schedule": "squaredcos_cap_v2", "variance_type": "fixed_large"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a pipeline of diffusers for digits, with random weights."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    sizes = {"in_channels": 1, "out_channels": 1, "block_out_channels": (16,), "norm_num_groups": 8}
    network = UNet2DModel(sample_size=8, layers_per_block=1, add_attention=False, **kinds, **sizes)
    place = tmp_path_factory.mktemp("published")
    DDPMPipeline(network, DDPMScheduler(**SCHEDULER, prediction_type="v_prediction")).save_pretrained(place)
    return place


def test_target_schedule_steps_and_variance_come_from_its_files(folder):
    cell = cell_of(*SMALL, f"network.path={folder}")
    assert (cell.horizon, cell.evaluation.clip) == (20, True)
    assert (cell.network.horizon, cell.network.digest) == (20, files_at(str(folder)).digest)
    chosen = [type(choice).__name__ for choice in (cell.parameterization, cell.schedule, cell.variance)]
    assert chosen == ["V", "Cosine", "Beta"]


def test_its_grid_asks_every_comparison_of_one_import(folder):
    made = make(parse_run(["grid=published", f"network.path={folder}", "horizon=100"]))
    levels = [point.levels for point in made.points]
    assert all(point.refusal is None for point in made.points)
    assert all(first in levels and second in levels for first, second in made.file.sides())
    assert all({**names, **claim.than} in levels for claim in made.file.expects for names in levels)
    trained = {stage.id for point in made.points for stage in stages_in(point.cell) if stage.kind == "training"}
    assert len(trained) == 1
    with pytest.raises(InputError, match=r"network\.path= is missing"):
        make(parse_run(["grid=published"]))


def test_what_is_said_otherwise_holds_and_is_told(folder):
    words = [*SMALL, f"network.path={folder}", "schedule=sigmoid", "variance=beta,beta_tilde"]
    grid = make(parse_run(words))
    assert {type(point.cell.schedule).__name__ for point in grid.points} == {"Sigmoid"}
    said = [note for note in grid.notes if "published" in note]
    assert said == ["schedule=sigmoid in place of cosine, which the files of the published network stand for"]


def test_seeds_and_variances_share_its_import_and_differ_in_what_reads_them(folder, tmp_path, few_digits):
    """Seeds with equal draws would be copies of one score, and any difference between cells certain."""
    cells = [
        stages_of_cell(*SMALL, f"network.path={folder}", *words)
        for words in (
            [],
            ["variance=beta_tilde"],
            ["first_seed=1"],
            ["variance=analytic"],
            ["variance=analytic", "first_seed=1"],
        )
    ]
    imports = {stage.id for stages in cells for stage in stages if stage.kind == "training"}
    assert len(imports) == 1
    results = [{stage.kind: results_of([stage], tmp_path)[stage.id] for stage in stages} for stages in cells]
    assert results[0]["training"].metrics["cost/parameters"] > 1000
    bounds = [result["bound"].metrics for result in results]
    assert len({bound["nll/test"] for bound in bounds}) == len(cells)
    kinds = [{stage.kind: stage.id for stage in stages} for stages in (cells[3], cells[4])]
    assert all(kinds[0][kind] != kinds[1][kind] for kind in ("fit", "bound"))
    assert all(value == value for bound in bounds for value in bound.values())


def test_a_training_begins_with_its_weights(folder, tmp_path, few_digits):
    """Its learned variance is zero at first, and its first outputs are the network's own."""
    words = over(SMALL, "training.start=published", "variance=learned", "objective=hybrid", "training.warmup=0")
    words += [f"network.path={folder}", "training.steps=1", "training.batch=4", "training.learning_rate=1e-12"]
    stage = next(stage for stage in stages_of_cell(*words) if stage.kind == "training")
    results_of([stage], tmp_path)
    from safetensors.torch import load_file

    theirs = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    learned = weights(stage, tmp_path)
    name = next(name for name in learned if name.endswith("conv_out.weight"))
    torch.testing.assert_close(learned[name][:1], theirs["conv_out.weight"])
    assert not learned[name][1:].abs().max() > 1e-9


def test_a_finished_cell_is_found_again_and_drawn_from(folder, tmp_path, few_digits, monkeypatch, capsys):
    import ablations

    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "theirs")
    words = [*SMALL, "network.path=theirs", "name=published", "launcher=serial"]
    assert ablations.main(["run", *words]) == 0
    runs = pd.read_csv(tmp_path / "results" / "published" / "runs.csv", dtype=str)
    assert ablations.main(["sample", f"cell={runs['cell_id'][0]}", "n=2", "out=drawn"]) == 0
    assert (tmp_path / "drawn.png").stat().st_size > 0
    shutil.rmtree("theirs")
    assert ablations.main(["sample", f"cell={runs['cell_id'][0]}", "n=2", "out=drawn"]) == 2
    assert "\nerror: network.path=theirs is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["network.path=nowhere"], "network.path=nowhere is missing"),
        (["network.digest=0123"], "holds other weights than network.digest=0123"),
        (["time_input=log_snr"], "take space=pixels and time_input=t"),
        (["average=raw"], "take average=tracked"),
        (["data=mixture2d"], "takes 1 channels"),
        (["conditioning=class"], "knows 0 classes, and is to be told 10"),
    ],
)
def test_what_it_cannot_be_asked_is_refused_in_one_line(words, says, folder):
    with pytest.raises(InputError, match=says) as refused:
        cell_of(*over([*SMALL, f"network.path={folder}"], *words))
    assert "\n" not in str(refused.value)


def test_a_training_that_begins_with_none_is_refused():
    with pytest.raises(InputError, match=r"training\.start=published begins with network=published, got network=unet"):
        cell_of("training.start=published")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trained_betas", [0.1, 0.2]),
        ("beta_schedule", "sigmoid"),
        ("prediction_type", "flow"),
        ("variance_type", "learned"),
        ("thresholding", True),
    ],
)
def test_a_chain_that_no_choice_here_makes_is_refused_by_name(field, value, folder, tmp_path):
    (tmp_path / "unet").symlink_to(folder / "unet")
    place = tmp_path / "scheduler_config.json"
    place.write_text(json.dumps({**SCHEDULER, field: value}))
    with pytest.raises(InputError, match=field):
        cell_of(*SMALL, f"network.path={tmp_path}")
