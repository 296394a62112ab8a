"""The main command, really run on a tiny grid: what it leaves, continues, refuses and survives."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from ablations import publish, sample
from ablations.data.tensors import write_tensors
from ablations.driver import run
from ablations.engine.journal import Journal
from ablations.engine.stage import code_version
from ablations.engine.workers import ThisProcess, perform
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.stages import training_loop
from ablations.stages.bound import BoundStage
from ablations.stages.training_loop import read_checkpoint
from ablations.tracking.store import TrackingError
from ablations.tracking.tracker import Tracker
from analysis import read, shell, tables
from analysis.errors import InputError
from analysis.pages import in_words
from analysis.reading import read_results
from analysis.results import read_curves
from analysis.schema import NUMERICS
from tests.ablations.cells import POINTS, TINY, assert_same, over, weights
from tests.ablations.conftest import HERE, head, plan_of, result_of, rows, runs_of, stages_of_cell, tracker_in
from tests.ablations.settings.test_grammar import one_line_error
from tests.forked import code_of, forked
from tests.sampling import sampled
from tests.stored import downloaded


def no_launch(self, stages, device):
    raise AssertionError(f"{len(stages)} stages were launched")


def test_a_grid_ends_with_its_files_its_table_and_the_link(tiny):
    assert tiny.code == 0
    names = {str(path.relative_to(tiny.folder)) for path in tiny.folder.rglob("*") if path.is_file()}
    assert {"grid.json", "runs.csv", "curves.parquet", "table.md", "table.tex", "table.csv"} <= names
    assert {"figures/samples.png", "figures/metrics.png", "figures/training.png"} <= names
    # A sheet of each of four cells, another of the training images nearest to it, and one of held-out images.
    assert sum(name.startswith("samples/") for name in names) == 4 + 4 + 1
    assert "FID" in tiny.printed
    assert "#/experiments/1/runs?compareRunsMode=CHART&workflowType=machine_learning" in tiny.printed
    assert f"mlflow ui --backend-store-uri sqlite:///{tiny.results}/mlflow.db" in tiny.printed


@pytest.mark.thorough
def test_each_command_that_goes_on_works_as_it_is_shown(again, capsys):
    assert run.main(again.arguments) == 0  # Its command is from now on that of the copy.
    shown = in_words(read(again.folder)).partition("To go on:\n")[2].splitlines()
    mains = {"ablations.run": run.main, "ablations.sample": sample.main, "analysis.tables": tables.main}
    for line in shown:
        _, _, module, *words = shlex.split(line.partition(": ")[2])
        capsys.readouterr()
        assert shell.outcome(mains[module], words) == 0, line
        assert "tabular" in capsys.readouterr().out or module != "analysis.tables"
    assert [line.partition(":")[0].strip() for line in shown] == [
        "more seeds, for exploration", "training twice as long", "a picture of the best cell", "LaTeX",
    ]  # fmt: skip
    assert {row["seed"] for row in rows(again.folder)} == {"0", "1"}
    assert {row["training.steps"] for row in rows(again.results / "tiny-longer")} == {"120"}


def test_every_cell_is_finished_and_scored_and_those_that_differ_in_variance_alone_share_a_training(tiny):
    found = rows(tiny.folder)
    assert [(row["axis.parameterization"], row["axis.variance"]) for row in found] == [
        (target, variance) for target in ("v", "epsilon") for variance in ("beta", "beta_tilde")
    ]
    for row in found:
        assert row["status"] == "finished"
        parts = [float(row[f"nll/test_{part}"]) for part in ("L0", "Lt", "LT")]
        assert float(row["nll/test"]) == pytest.approx(sum(parts), rel=1e-5)
        assert 0 < float(row["nll/test"]) < 2 * 4.09
        assert float(row["fid/train/digits-cnn"]) > head(tiny.folder)["floors"]["fid/train/digits-cnn"]["value"]
    assert [len({row[name] for row in found}) for name in ("training_id", "cell_id", "nll/test")] == [2, 4, 4]


def test_the_score_of_each_generated_set_is_kept(tiny):
    curves = read_curves(tiny.folder, "sets/fid/train/digits-cnn").set_index(["cell_id", "seed"])
    for row in rows(tiny.folder):
        own = curves.loc[(row["cell_id"], int(row["seed"]))]
        assert list(own["x"]) == [1, 2]
        assert own["y"].mean() == pytest.approx(float(row["fid/train/digits-cnn"]), rel=1e-6)


def test_a_folder_with_other_results_is_never_overwritten(again):
    before = (again.folder / "grid.json").read_bytes()
    with pytest.raises(InputError, match=r"results of other choices, or .*name="):
        run.main([*again.arguments, "training.ema=0.5", "dry_run=true"])
    with pytest.raises(InputError, match=r"results of other choices, or .*name="):
        run.main([*again.arguments, "training.ema=0.5"])
    assert (again.folder / "grid.json").read_bytes() == before


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def altered(path):
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)


def of_another(path):
    shutil.copy(min(found for found in path.parent.parent.glob(f"*/{path.name}") if found != path), path)


DAMAGES = pytest.mark.parametrize(
    "damage", sampled([altered, cut, Path.unlink, of_another], 4, ["altered", "cut", "unlink", "of_another"], "slow")
)


@DAMAGES
@pytest.mark.parametrize("file", ["weights", "samples"])
def test_a_damaged_file_is_made_anew_by_the_same_command_and_nothing_else_is(damage, file, again, alone):
    """A worker meets weights when a bound is asked for again, the command itself all else; or it is seen at once."""
    before, curves = rows(again.folder), (again.folder / "curves.parquet").read_bytes()
    stages, training = again.results / ".stages", before[0]["training_id"]
    if file == "weights":
        bounds = [stage for stage in plan_of(*again.arguments).stages() if isinstance(stage, BoundStage)]
        (stages / next(stage.id for stage in bounds if training in stage.needs) / "result.json").unlink()
        damage(stages / training / "weights.safetensors")
    else:
        damage(min(stages.glob("*/samples.safetensors")))
    others = {path: path.stat().st_mtime_ns for path in stages.glob("*/samples.safetensors")}
    if shell.outcome(run.main, again.arguments) != 0:
        assert run.main(again.arguments) == 0
    assert sum(path.stat().st_mtime_ns != then for path, then in others.items()) <= (file == "samples")
    assert without_costs(rows(again.folder)) == without_costs(before)
    assert (again.folder / "curves.parquet").read_bytes() == curves


def test_what_a_grid_declares_and_a_users_own_files_are_left_by_the_same_command(again, alone):
    mine = again.folder / "samples" / "mine.txt"
    mine.write_text("precious")
    (declared,) = before = head(again.folder)["declarations"]
    assert declared["time"] < min(row["first_result"] for row in rows(again.folder))
    assert (declared["seen"], declared["baseline"]) == (False, head(again.folder)["baseline"])
    assert run.main(again.arguments) == 0
    assert head(again.folder)["declarations"] == before
    assert mine.read_text() == "precious"


def without_costs(found):
    own = ("cost/", "code", "first_result")
    return [{name: text for name, text in row.items() if not name.startswith(own)} for row in found]


def test_an_incompatible_cell_is_a_row_with_its_reason(again, alone):
    arguments = [word for word in again.arguments if not word.startswith(("variance=", "name="))]
    arguments += ["variance=beta,learned_diagonal", "name=mixed"]
    assert run.main(arguments) == 0
    found = rows(again.results / "mixed")
    assert [row["status"] for row in found] == ["finished", "incompatible"] * 2
    assert "teaches no variance" in found[1]["reason"]


def test_a_training_killed_half_way_and_continued_is_bit_identical(tmp_path):
    stage = stages_of_cell(*over(TINY, "training.steps=40", "training.report_every=5"))[0]
    checkpoint = tmp_path / "killed" / stage.id / "checkpoint.safetensors"

    def command():
        training_loop.CHECKPOINT_SECONDS = 0
        perform(stage, Journal(tmp_path / "killed"), "cpu")
        return 0

    child = forked(command, tmp_path / "log")
    while not checkpoint.exists():
        assert child.is_alive()
        time.sleep(0.002)
    child.kill()
    assert code_of(child) == -signal.SIGKILL
    assert 0 < read_checkpoint(checkpoint.parent).step < 40
    results = [result_of(stage, tmp_path / name) for name in ("killed", "whole")]
    assert_same(weights(stage, tmp_path / "killed"), weights(stage, tmp_path / "whole"))
    assert results[0].curves["train/network"] == results[1].curves["train/network"]
    assert not checkpoint.exists()


def test_a_foreign_checkpoint_is_not_continued(tmp_path, capfd):
    stage, other = (stages_of_cell(*POINTS, f"first_seed={seed}")[0] for seed in (0, 1))
    folder = Journal(tmp_path).folder(stage.id)
    write_tensors(folder / "checkpoint.safetensors", {"a": torch.zeros(1)}, stage=other.id, step="1", seconds="1")
    assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    told = f"goes on without its checkpoint, since checkpoint.safetensors was left by another stage, {other.id}"
    assert told in capfd.readouterr().err


def test_runs_are_flat_tagged_and_complete_in_mlflow(tiny):
    tracker = tracker_in(tiny.results)
    found = runs_of(tracker)
    assert len(found) == 4
    by_id = {(run.data.tags["cell_id"], run.data.tags["seed"]): run for run in found}
    for row in rows(tiny.folder):
        data = by_id[row["cell_id"], row["seed"]].data
        assert data.params["axis.variance"] == data.params["variance"] == row["variance"]
        assert data.params["schedule.beta_1"] == "0.0001"
        assert "mlflow.parentRunId" not in data.tags
        history = tracker.client.get_metric_history(by_id[row["cell_id"], row["seed"]].info.run_id, "train/network")
        assert sorted(point.step for point in history) == [20, 40, 60]
    tracking = json.loads((tiny.folder / "tracking.json").read_text())
    told = {(cell, seed): run for cell, seeds in tracking["runs"].items() for seed, run in seeds.items()}
    assert told == {key: run.info.run_id for key, run in by_id.items()}
    assert tracking["link"] in tiny.printed
    (summary,) = runs_of(tracker, "summary")
    files = {path.name for path in tiny.folder.iterdir() if path.is_file()}
    assert {item.path for item in tracker.client.list_artifacts(summary.info.run_id)} == files | {"figures"}


@pytest.mark.thorough
def test_more_seeds_continue_and_a_store_that_goes_away_costs_no_result_and_is_delivered_later(
    again, capsys, monkeypatch
):
    before = rows(again.folder)

    def gone(self, folder):
        raise TrackingError("the tracking store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "publish", gone)
        assert run.main([*again.arguments, "seeds=2"]) == 0
    assert "python -m ablations.publish" in capsys.readouterr().out
    found = rows(again.folder)
    assert found[:4] == before
    assert [row["seed"] for row in found] == ["0"] * 4 + ["1"] * 4
    assert head(again.folder)["continued"] is True
    assert found[0]["nll/test"] != found[4]["nll/test"]
    assert publish.main([f"results={again.results}"]) == 0
    assert "tiny: 8 runs published" in capsys.readouterr().out  # A folder that was copied is delivered anew.


def test_sample_draws_pictures_of_a_finished_cell(tiny, tmp_path, capsys):
    target = tmp_path / "x.png"
    cell_id = rows(tiny.folder)[0]["cell_id"]
    assert sample.main([f"cell={cell_id[:8]}", "n=9", f"results={tiny.results}", f"out={target}"]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    with Image.open(target) as picture:
        assert picture.size == (8 * (8 * 9 + 1), 8 * (2 * 9 + 1))
    arguments = [f"cell={cell_id}", "seed=7", f"results={tiny.results}"]
    assert "has no seed 7: it has 0" in one_line_error(sample.main, arguments, capsys)


@pytest.mark.gpu
def test_a_cell_is_sampled_on_the_device_that_is_asked_for_and_no_other_is_opened(tiny, tmp_path):
    cell_id = rows(tiny.folder)[0]["cell_id"]
    last = torch.cuda.device_count() - 1
    words = [f"cell={cell_id}", "n=4", f"results={tiny.results}", f"out={tmp_path / 'drawn'}", f"device=cuda:{last}"]
    assert sample.main(words) == 0
    assert torch.cuda.current_device() == last
    assert torch.backends.cudnn.deterministic


def test_a_second_run_leaves_diverged_cells_alone(tmp_path, capsys, monkeypatch, alone):
    arguments = over(POINTS, "training.learning_rate=1e30")
    arguments += [f"results={tmp_path}", "name=wild", "launcher=serial"]
    assert run.main(arguments) == 0
    assert "diverged in 1 of 1 seeds" in capsys.readouterr().out
    assert "loss was not finite" in rows(tmp_path / "wild")[0]["reason"]
    monkeypatch.setattr(ThisProcess, "submit", no_launch)
    assert run.main(arguments) == 0
    assert run.main([*arguments, "dry_run=true"]) == 0
    assert "0 of them new" in capsys.readouterr().out


def test_folder_and_store_give_equal_frames(tiny, tmp_path):
    folder = read_results(tiny.folder)
    stored = read_results(downloaded(f"sqlite:///{tiny.results}/mlflow.db", "tiny", tmp_path / "stored"))
    pd.testing.assert_frame_equal(folder.runs, stored.runs)
    pd.testing.assert_frame_equal(folder.curves, stored.curves)
    assert folder.meta == stored.meta


def test_a_row_knows_what_made_it_and_what_it_cost(tiny):
    digest = make(parse_run(["horizon=25"])).points[0].cell.data.load().digest
    assert f"cpu ({platform.machine()}), {HERE}, code {code_version()}" in (tiny.folder / "table.md").read_text("utf-8")
    for row in rows(tiny.folder):
        assert (row["code"], row["numerics"], row["data_digest"]) == (code_version(), str(NUMERICS), digest)
        assert row["precision"] == HERE
        assert float(row["cost/train_flops"]) == pytest.approx(3 * float(row["cost/flops_per_image"]) * 60 * 16)
    assert read_results(tiny.folder).counted("code") == {code_version(): 4}


LOSS_AFTER_TEN_STEPS = {6: 0.851906}


def test_numbers_do_not_change_without_raising_numerics(tmp_path):
    """Where this fails with reason, raise NUMERICS and write down the new loss."""
    words = over(TINY, "training.steps=10", "training.report_every=10", "training.precision=float32")
    loss = result_of(stages_of_cell(*words)[0], tmp_path).metrics["train/network"]
    assert loss == pytest.approx(LOSS_AFTER_TEN_STEPS[NUMERICS], rel=1e-4)
