"""The main command, really run on a tiny grid: what it leaves, continues, refuses and survives."""

from __future__ import annotations

import csv
import gc
import hashlib
import itertools
import json
import math
import platform
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from ablations import publish, run, sample
from ablations.data.tensors import read_tensors, write_tensors
from ablations.driver import requests, written
from ablations.driver.execute import Execution, Job
from ablations.driver.plan import plan
from ablations.driver.rounds import at_once
from ablations.driver.spent import Spent
from ablations.engine import dispatch as dispatching
from ablations.engine.dispatch import Dispatch
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.engine.version import code_version
from ablations.grids.grid import make
from ablations.launchers.local import Local
from ablations.launchers.protocol import launcher_of
from ablations.settings import identity
from ablations.settings.arguments import parse_run
from ablations.settings.exits import outcome
from ablations.settings.identity import NUMERICS
from ablations.stages import bound, training_loop
from ablations.stages.artifacts import read_checkpoint
from ablations.stages.bound import BoundStage
from ablations.stages.graph import stages_of
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from analysis.format.errors import InputError
from analysis.read.runs import read_folder
from analysis.read.store import read_store
from diffusion_core.parameterizations import V
from tests.ablations.conftest import HERE
from tests.ablations.settings.test_grammar import one_line_error
from tests.axes import thinned
from tests.forked import forked


def rows(done):
    with (done.folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def head(done):
    return json.loads((done.folder / "grid.json").read_text(encoding="utf-8"))


def no_launch(self, stages):
    raise AssertionError(f"{len(stages)} stages were launched")
    yield


def test_a_grid_ends_with_its_files_its_table_and_the_link(tiny):
    assert tiny.code == 0
    names = {str(path.relative_to(tiny.folder)) for path in tiny.folder.rglob("*") if path.is_file()}
    assert {"grid.json", "runs.csv", "curves.csv", "table.md", "table.tex", "table.csv"} <= names
    assert {"figures/samples.png", "figures/metrics.png", "figures/training.png"} <= names
    assert sum(name.startswith("samples/") for name in names) == 4
    assert "NLL" in tiny.printed
    assert "FID" in tiny.printed
    assert "#/experiments/1/runs?compareRunsMode=CHART&workflowType=machine_learning" in tiny.printed
    assert f"mlflow ui --backend-store-uri sqlite:///{tiny.results}/mlflow.db" in tiny.printed


def test_every_cell_is_finished_and_scored(tiny):
    found = rows(tiny)
    assert [(row["axis.parameterization"], row["axis.variance"]) for row in found] == [
        (target, variance) for target in ("v", "epsilon") for variance in ("beta", "beta_tilde")
    ]
    for row in found:
        assert row["status"] == "finished"
        parts = [float(row[f"nll/test_{part}"]) for part in ("L0", "Lt", "LT")]
        assert float(row["nll/test"]) == pytest.approx(sum(parts), rel=1e-5)
        assert 0 < float(row["nll/test"]) < 2 * 4.09
        assert float(row["fid/train/digits-cnn"]) > head(tiny)["floors"]["fid/train/digits-cnn"]["value"]


def test_cells_that_differ_in_variance_alone_share_a_training_but_not_a_score(tiny):
    a, b = rows(tiny)[:2]
    assert a["training_id"] == b["training_id"]
    assert a["cell_id"] != b["cell_id"]
    assert a["nll/test"] != b["nll/test"]


def test_a_second_run_starts_nothing_and_prints_the_table(again, capsys, monkeypatch):
    monkeypatch.setattr(Dispatch, "run", no_launch)
    before = {p: p.read_bytes() for p in again.folder.glob("*.csv")}
    assert run.main(again.arguments) == 0
    assert "NLL" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in again.folder.glob("*.csv")} == before


def test_a_folder_with_other_results_is_never_overwritten(again):
    before = (again.folder / "grid.json").read_bytes()
    with pytest.raises(InputError, match=r"results of other choices .*name="):
        run.main([*again.arguments, "training.ema=0.5"])
    assert (again.folder / "grid.json").read_bytes() == before


def test_results_of_another_version_of_this_code_are_named_so_and_never_overwritten(again, monkeypatch):
    monkeypatch.setattr(identity, "NUMERICS", NUMERICS + 1)
    monkeypatch.setattr(requests, "NUMERICS", NUMERICS + 1)
    with pytest.raises(InputError, match=r"results of another version of this code, .*name="):
        run.main([*again.arguments, "dry_run=true"])


def test_a_dry_run_counts_and_estimates_without_running(again, capsys, monkeypatch):
    monkeypatch.setattr(Dispatch, "run", no_launch)
    assert run.main([*again.arguments, "seeds=3", "dry_run=true"]) == 0
    printed = capsys.readouterr().out
    assert "4 cells × 3 seeds: 6 trainings, 4 of them new" in printed
    assert "about" in printed


def test_one_bad_cell_does_not_stop_a_grid(again, capsys, monkeypatch):
    bound_of = bound.bound_of

    def bound_or_not(cell, *given):
        if isinstance(cell.parameterization, V):
            raise ValueError("v has no bound today")
        return bound_of(cell, *given)

    monkeypatch.setattr(bound, "bound_of", bound_or_not)
    for path in (again.results / ".stages").glob("*/bound.safetensors"):
        (path.parent / "result.json").unlink()
    assert run.main(again.arguments) == 1
    assert [row["status"] for row in rows(again)] == ["failed", "failed", "finished", "finished"]
    assert rows(again)[0]["reason"] == "ValueError: v has no bound today"
    assert "failed: parameterization=v variance=beta seed 0" in capsys.readouterr().out


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def altered(path):
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)


def of_another(path):
    shutil.copy(min(found for found in path.parent.parent.glob(f"*/{path.name}") if found != path), path)


def planned(done):
    """The plan of a run's command."""
    request = parse_run(done.arguments)
    launcher = launcher_of(request)
    return plan(make(request), launcher, launcher.devices("cpu", 1))


DAMAGES = pytest.mark.parametrize(
    "damage", thinned([altered, cut, Path.unlink, of_another], 4, ["altered", "cut", "unlink", "of_another"])
)


@DAMAGES
def test_a_damaged_training_is_made_anew_by_itself_and_nothing_else_is(damage, again, capfd):
    """A worker finds it when it reads the weights for a bound that is asked for again; or it is seen at once."""
    before, training = rows(again), rows(again)[0]["training_id"]
    damage(again.results / ".stages" / training / "weights.safetensors")
    bounds = [
        stage.id for stage in planned(again).stages() if isinstance(stage, BoundStage) and training in stage.needs
    ]
    (again.results / ".stages" / bounds[0] / "result.json").unlink()
    others = {path: path.stat().st_mtime_ns for path in (again.results / ".stages").glob("*/samples.safetensors")}
    assert run.main(again.arguments) == 0
    told = capfd.readouterr().err
    assert told.count("damaged, and made anew") == 1
    assert "weights.safetensors" in told
    assert all(path.stat().st_mtime_ns == then for path, then in others.items())
    assert without_costs(rows(again)) == without_costs(before)


@DAMAGES
@pytest.mark.parametrize("file", ["samples", "bound"])
def test_a_damaged_file_of_a_result_is_made_anew_when_that_is_written(damage, file, again, capfd):
    before, images = rows(again), (again.folder / "images.csv").read_bytes()
    found = (again.results / ".stages").glob(f"*/{file}.safetensors")
    # What validation images cost, each, is in no file of results.
    damage(min(path for path in found if '"nll/val"' not in (path.parent / "result.json").read_text(encoding="utf-8")))
    (again.folder / "runs.csv").unlink()
    assert run.main(again.arguments) == 0
    assert "made anew" in capfd.readouterr().err
    assert without_costs(rows(again)) == without_costs(before)
    assert (again.folder / "images.csv").read_bytes() == images


def test_damage_that_is_met_on_the_way_is_made_anew_at_the_end(again, capfd):
    request, made = parse_run(again.arguments), planned(again)
    journal = Journal(again.results / ".stages")
    bounds = [stage for stage in made.stages() if isinstance(stage, BoundStage) and stage.split == "test"]
    altered(journal.folder(bounds[0].id) / "bound.safetensors")
    (again.folder / "runs.csv").unlink()
    (whole,) = at_once(made)
    job = Job(journal, again.folder, None, {"command": request.command, "code": "1"})
    with Execution.of(whole, job) as execution:
        execution.launch(made, whole)
        execution.publish(made, whole, ended=False, wait=False)
        assert "bound.safetensors has been altered" in capfd.readouterr().err
        records = execution.publish(made, whole, ended=True)
    assert [record.status for record in records] == ["finished"] * 4


@pytest.mark.thorough
def test_altered_weights_that_are_met_when_a_cell_is_sampled_are_made_anew_by_the_command_of_its_grid(
    again, tmp_path, monkeypatch, capsys
):
    """Their size is as it was, which is all that a finished grid's command looks at."""
    before = rows(again)
    altered(again.results / ".stages" / before[0]["training_id"] / "weights.safetensors")
    words = [f"cell={before[0]['cell_id']}", f"results={again.results}", f"out={tmp_path / 'drawn'}", "n=1"]
    line = one_line_error(sample.main, words, capsys, monkeypatch)
    assert "has been altered since it was written" in line
    assert "the command of its grid makes it anew" in line
    assert run.main(again.arguments) == 0
    assert without_costs(rows(again)) == without_costs(before)
    assert sample.main(words) == 0


def without_costs(found):
    own = ("cost/", "code")
    return [{name: text for name, text in row.items() if not name.startswith(own)} for row in found]


def test_an_incompatible_cell_is_a_row_with_its_reason(again):
    arguments = [word for word in again.arguments if not word.startswith(("variance=", "name="))]
    arguments += ["variance=beta,learned_diagonal", "name=mixed"]
    assert run.main(arguments) == 0
    with (again.results / "mixed" / "runs.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["status"] for row in found] == ["finished", "incompatible"] * 2
    assert "teaches no variance" in found[1]["reason"]


def cell_stages(*arguments):
    cell = make(parse_run(list(arguments))).points[0].cell
    return stages_of(cell, cell.data.load().digest, "float32", "x")


def test_a_loss_that_is_not_finite_ends_as_diverged(tmp_path):
    training = cell_stages("horizon=25", "network.channels=8", "training.steps=30", "training.learning_rate=1e30")[0]
    assert perform(training, Journal(tmp_path), "cpu") == "diverged"
    result = Journal(tmp_path).result(training.id)
    assert "loss was not finite" in result.reason


def test_the_largest_beta_is_kept(tmp_path):
    """Linear to 0.02, rescaled by 1000/25."""
    training = cell_stages("horizon=25", "network.channels=8", "training.steps=1")[0]
    assert perform(training, Journal(tmp_path), "cpu") == "finished"
    assert Journal(tmp_path).result(training.id).metrics["noise/beta_max"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("nll", "uniform", "expected"),
    [
        (8.2, 4.09, "8.20 bits/dim, is above twice the uniform code's 4.09"),
        (8.1, 4.09, "^$"),
        (math.nan, 4.09, "^$"),
        (math.inf, 4.09, "^$"),
        (99.0, None, "^$"),
    ],
)
def test_a_bound_worse_than_two_uniform_codes_is_remarked(nll, uniform, expected):
    assert re.search(expected, bound.remarkable(nll, uniform))


@pytest.mark.parametrize(
    ("horizon", "remarked"), thinned([("null", True), ("25", True), ("5", False)], 2, ["null", "25", "5"])
)
def test_a_large_bound_is_a_value_with_a_remark_where_it_is_over_all_steps(tmp_path, few_digits, horizon, remarked):
    """β̃ is far too small for a stride: that says nothing against the training."""
    less = ("horizon=25", "variance=beta_tilde", "network.channels=8", "training.steps=2", "evaluation.quality=[]")
    training, *bounds = cell_stages(*less, f"evaluation.horizon={horizon}")
    for stage in (training, *bounds):
        assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    validation, test = (Journal(tmp_path).result(bound.id) for bound in bounds)
    assert validation.metrics["nll/val"] > 2 * 4.0875
    assert "notes" not in validation.metadata
    assert test.metrics["nll/test"] > 2 * 4.0875
    assert ("above twice the uniform code's 4.09" in test.metadata.get("notes", "")) == remarked


SLOW_TRAINING = (
    "horizon=25",
    "network.channels=8",
    "network.multipliers=[1]",
    "training.steps=60",
    "training.batch=32",
)


def killed_half_way(stage, root):
    """Perform a stage in a process that is killed (SIGKILL) once its first checkpoint lies on the disk."""

    def command():
        training_loop.CHECKPOINT_SECONDS = 0
        perform(stage, Journal(root), "cpu")
        return 0

    checkpoint = root / stage.id / "checkpoint.safetensors"
    child = forked(command, root.with_suffix(".log"))
    while not checkpoint.exists():
        assert not child.ended
        time.sleep(0.002)
    assert child.signal(signal.SIGKILL) == -signal.SIGKILL
    return checkpoint


def test_a_training_killed_half_way_and_continued_is_bit_identical(tmp_path):
    stage = cell_stages(*SLOW_TRAINING, "training.report_every=10")[0]
    checkpoint = killed_half_way(stage, tmp_path / "killed")
    step = read_checkpoint(checkpoint.parent).step
    assert 0 < step < 60
    assert perform(stage, Journal(tmp_path / "killed"), "cpu") == "finished"
    assert perform(stage, Journal(tmp_path / "whole"), "cpu") == "finished"
    killed, whole = (
        read_tensors(tmp_path / name / stage.id / "weights.safetensors")[0] for name in ("killed", "whole")
    )
    assert killed.keys() == whole.keys()
    assert all(torch.equal(killed[name], whole[name]) for name in whole)
    curves = [Journal(tmp_path / name).result(stage.id).curves["train/network"] for name in ("killed", "whole")]
    assert curves[0] == curves[1]
    assert not checkpoint.exists()


def test_a_foreign_checkpoint_is_not_continued(tmp_path, capfd):
    stage, other = cell_stages(*SLOW_TRAINING)[0], cell_stages(*SLOW_TRAINING, "first_seed=1")[0]
    folder = Journal(tmp_path).folder(stage.id)
    write_tensors(folder / "checkpoint.safetensors", {"a": torch.zeros(1)}, stage=other.id, step="1", seconds="1")
    assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    told = f"goes on from step 0, since checkpoint.safetensors was left by another stage, {other.id}"
    assert told in capfd.readouterr().err


def test_a_worker_that_is_killed_costs_its_stage_one_try(tmp_path):
    stage = cell_stages("horizon=25", "network.channels=8", "training.steps=100", "training.report_every=5")[0]
    kinds = []
    dispatch = Dispatch(Local(), Journal(tmp_path), ["cpu"])
    dispatch.add([stage])
    for event in dispatch.run():
        if event.kind == "progress" and event.share > 0 and "died" not in kinds:
            (server,) = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
            for worker in server.children():
                worker.kill()
        kinds.append(event.kind)
        if event.kind == "ended":
            assert event.status == "finished"
    assert kinds.count("died") == 1
    assert kinds[-1] == "ended"


@pytest.mark.slow
def test_a_worker_that_stands_still_costs_its_stage_one_try(tmp_path, monkeypatch):
    """Frozen, it does not touch its lease: it is killed, and the stage goes on from its last checkpoint."""
    monkeypatch.setattr(dispatching, "LOST", 12.0)
    monkeypatch.setattr(dispatching, "WATCH_SECONDS", 0.5)
    stage = cell_stages("horizon=25", "network.channels=8", "training.steps=100", "training.report_every=5")[0]
    kinds, frozen = [], []
    dispatch = Dispatch(Local(), Journal(tmp_path), ["cpu"])
    dispatch.add([stage])
    for event in dispatch.run():
        if event.kind == "progress" and event.share > 0 and not frozen:
            (server,) = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
            frozen = server.children()
            for worker in frozen:
                worker.suspend()
        kinds.append(event.kind)
    assert kinds.count("died") == 1
    assert event.status == "finished"
    assert not any(worker.is_running() and worker.status() == psutil.STATUS_STOPPED for worker in frozen)


def test_runs_are_flat_tagged_and_complete_in_mlflow(tiny):
    tracker = Tracker(f"sqlite:///{tiny.results}/mlflow.db", "tiny", tiny.results)
    found = tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'cell'")
    assert len(found) == 4
    by_id = {(run.data.tags["cell_id"], run.data.tags["seed"]): run for run in found}
    for row in rows(tiny):
        data = by_id[row["cell_id"], row["seed"]].data
        assert data.tags["status"] == "finished"
        assert data.tags["grid"] == "tiny"
        assert data.metrics["nll/test"] == float(row["nll/test"])
        assert data.params["axis.variance"] == data.params["variance"] == row["variance"]
        assert data.params["schedule.beta_1"] == "0.0001"
        assert "mlflow.parentRunId" not in data.tags
        history = tracker.client.get_metric_history(by_id[row["cell_id"], row["seed"]].info.run_id, "train/network")
        assert [point.step for point in history] == [20, 40, 60]
    (summary,) = tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'summary'")
    artifacts = {item.path for item in tracker.client.list_artifacts(summary.info.run_id)}
    assert {"grid.json", "table.md", "figures"} <= artifacts


def test_publishing_again_adds_nothing_and_stale_runs_are_replaced(again):
    tracker = Tracker(f"sqlite:///{again.results}/mlflow.db", "tiny", again.results)
    assert tracker.publish(again.folder) == 0
    path = again.folder / "runs.csv"
    first = rows(again)[0]["nll/test"]
    path.write_text(path.read_text().replace(first, "1.25"))
    assert tracker.publish(again.folder) == 1
    found = tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'cell'")
    assert len(found) == 4
    assert 1.25 in {run.data.metrics["nll/test"] for run in found}


@pytest.mark.thorough
def test_more_seeds_continue_and_a_store_that_goes_away_costs_no_result_and_is_delivered_later(
    again, capsys, monkeypatch
):
    before = rows(again)

    def gone(self, folder):
        raise TrackingError("the tracking store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "publish", gone)
        assert run.main([*again.arguments, "seeds=2"]) == 0
    assert "python -m ablations.publish" in capsys.readouterr().out
    found = rows(again)
    assert found[:4] == before
    assert [row["seed"] for row in found] == ["0"] * 4 + ["1"] * 4
    with (again.folder / "runs.csv").open() as file:
        assert len(file.readlines()) == 9
    assert head(again)["continued"] is True
    assert found[0]["nll/test"] != found[4]["nll/test"]
    assert publish.main([f"results={again.results}"]) == 0
    assert "tiny: 4 runs published" in capsys.readouterr().out


def test_sample_draws_pictures_of_a_finished_cell(tiny, tmp_path, capsys, monkeypatch):
    target = tmp_path / "x.png"
    cell_id = rows(tiny)[0]["cell_id"]
    assert sample.main([f"cell={cell_id[:8]}", "n=9", f"results={tiny.results}", f"out={target}"]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    with Image.open(target) as picture:
        assert picture.size == (8 * (8 * 9 + 1), 8 * (2 * 9 + 1))
    arguments = [f"cell={cell_id}", "seed=7", f"results={tiny.results}"]
    assert "has no seed 7: it has 0" in one_line_error(sample.main, arguments, capsys, monkeypatch)


@pytest.mark.cuda
def test_a_cell_is_sampled_on_the_device_that_is_asked_for_and_no_other_is_opened(tiny, tmp_path):
    cell_id = rows(tiny)[0]["cell_id"]
    last = torch.cuda.device_count() - 1
    words = [f"cell={cell_id}", "n=4", f"results={tiny.results}", f"out={tmp_path / 'drawn'}", f"device=cuda:{last}"]
    assert sample.main(words) == 0
    assert torch.cuda.current_device() == last
    assert torch.backends.cudnn.deterministic


def test_points_go_the_same_way(again):
    arguments = ["data=mixture2d", "horizon=25", "training.steps=10", "name=points", "evaluation.sets=1"]
    assert run.main([*arguments, f"results={again.results}", "launcher=serial"]) == 0
    folder = again.results / "points"
    with (folder / "runs.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["energy_distance/test"]) > 0
    sheets = {path.name for path in (folder / "samples").iterdir()}
    assert sheets == {f"{row['cell_id']}-{row['seed']}.csv", "held-out.csv"}


def test_a_second_run_leaves_diverged_cells_alone(tmp_path, capsys, monkeypatch, store, without_pictures):
    shutil.copy(store, tmp_path / "mlflow.db")
    arguments = ["horizon=25", "network.channels=8", "training.steps=5", "training.learning_rate=1e30"]
    arguments += [f"results={tmp_path}", "name=wild", "launcher=serial"]
    assert run.main(arguments) == 0
    assert "diverged in 1 of 1 seeds" in capsys.readouterr().out
    monkeypatch.setattr(Dispatch, "run", no_launch)
    assert run.main(arguments) == 0
    assert run.main([*arguments, "dry_run=true"]) == 0
    assert "0 of them new" in capsys.readouterr().out


def test_a_publication_that_breaks_off_leaves_no_duplicate(again, monkeypatch):
    path = again.folder / "runs.csv"
    path.write_text(path.read_text().replace(rows(again)[0]["nll/test"], "1.25"))
    tracker = Tracker(f"sqlite:///{again.results}/mlflow.db", "tiny", again.results)

    def broken(self, *given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", broken)
        with pytest.raises(KeyboardInterrupt):
            tracker.publish(again.folder)
    tracker.publish(again.folder)
    Tracker(tracker.uri, "tiny", again.results).publish(again.folder)
    assert len(tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'cell'")) == 4


def test_folder_and_store_give_equal_frames(tiny):
    folder, stored = read_folder(tiny.folder), read_store(f"sqlite:///{tiny.results}/mlflow.db", "tiny")
    pd.testing.assert_frame_equal(folder.runs, stored.runs)
    pd.testing.assert_frame_equal(folder.curves, stored.curves)
    pd.testing.assert_frame_equal(folder.images, stored.images)
    assert folder.meta == stored.meta
    assert folder.tracking == stored.tracking
    assert folder.codes == stored.codes


def test_the_mean_over_images_is_the_metric(tiny):
    grid = read_folder(tiny.folder)
    assert grid.images.shape == (4, 450)
    for (cell_id, seed, metric), values in grid.images.iterrows():
        (row,) = [row for row in rows(tiny) if (row["cell_id"], row["seed"]) == (cell_id, str(seed))]
        # Six digits of each value, seven of the metric.
        assert values.mean() == pytest.approx(float(row[metric]), rel=1e-6)
        assert values.std() / math.sqrt(450) == pytest.approx(float(row[f"{metric}_se"]), rel=1e-4)


def test_a_row_knows_what_made_it_and_what_it_cost(tiny):
    digest = make(parse_run(["horizon=25"])).points[0].cell.data.load().digest
    for row in rows(tiny):
        assert (row["code"], row["numerics"], row["data_digest"]) == (code_version(), str(NUMERICS), digest)
        assert row["precision"] == HERE
        assert f"cpu ({platform.machine()}), {HERE}; code" in (tiny.folder / "table.md").read_text(encoding="utf-8")
        assert float(row["cost/train_flops"]) == pytest.approx(3 * float(row["cost/flops_per_image"]) * 60 * 64)
    assert read_folder(tiny.folder).codes == [(code_version(), 4)]


def test_a_training_by_one_code_and_a_score_by_another_are_both_named(again):
    stages = again.results / ".stages"
    training = json.loads((stages / rows(again)[0]["training_id"] / "result.json").read_text())
    training["metadata"]["code"] = "0+earlier"
    del training["sha256"]
    digest = hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest()
    (stages / rows(again)[0]["training_id"] / "result.json").write_text(json.dumps(training | {"sha256": digest}))
    assert run.main(again.arguments) == 0
    assert [row["code"] for row in rows(again)[:2]] == [f"0+earlier, {code_version()}"] * 2
    assert read_folder(again.folder).codes == [("0+earlier", 2), (code_version(), 4)]


def test_where_the_runs_are_is_written_down_once_they_are_delivered(tiny):
    uri = f"sqlite:///{tiny.results}/mlflow.db"
    tracker = Tracker(uri, "tiny", tiny.results)
    found = tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'cell'")
    tracking = read_folder(tiny.folder).tracking
    assert tracking.runs == {(r.data.tags["cell_id"], int(r.data.tags["seed"])): r.info.run_id for r in found}
    assert (tracking.uri, tracking.experiment) == (uri, tracker.experiment_id)
    assert tracking.link in tiny.printed


def test_a_failed_delivery_leaves_no_word_of_where_the_runs_are(again, monkeypatch):
    (again.folder / "tracking.json").unlink()
    path = again.folder / "runs.csv"
    path.write_text(path.read_text().replace(rows(again)[0]["nll/test"], "1.25"))
    tracker = Tracker(f"sqlite:///{again.results}/mlflow.db", "tiny", again.results)

    def broken(self, *given):
        raise OSError("the line is cut")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", broken)
        assert written.deliver(tracker, again.folder) is None
    assert read_folder(again.folder).tracking is None
    assert written.deliver(tracker, again.folder) is tracker
    assert len(read_folder(again.folder).tracking.runs) == 4


def test_the_summary_carries_every_file_of_the_folder(tiny):
    tracker = Tracker(f"sqlite:///{tiny.results}/mlflow.db", "tiny", tiny.results)
    (summary,) = tracker.client.search_runs([tracker.experiment_id], "tags.kind = 'summary'")
    artifacts = {item.path for item in tracker.client.list_artifacts(summary.info.run_id)}
    files = {path.name for path in tiny.folder.iterdir() if path.is_file()}
    assert {"images.csv", "tracking.json"} <= files
    assert artifacts == files | {"figures"}


def test_a_users_own_files_are_left_alone(again):
    mine = again.folder / "samples" / "mine.txt"
    mine.write_text("precious")
    assert run.main([*again.arguments, "seeds=1"]) == 0
    assert mine.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tiny/grid.json", "[]", "is not the description of a grid"),
        ("tiny/grid.json", "{", "is not valid JSON"),
    ],
)
def test_damaged_files_are_named_in_one_line(name, content, message, again):
    for path in again.results.glob(name):
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        run.main(again.arguments)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("runs.csv", "a,b\n1,2\n", "lacks the column"),
        ("runs.csv", "cell_id,training_id,seed,status,reason,x/y\na,b,0,finished,,much\n", "no number"),
        ("curves.csv", "", "is not a CSV file"),
    ],
)
def test_damaged_results_are_not_published(name, content, message, again, capsys, monkeypatch):
    (again.folder / name).write_text(content)
    assert message in one_line_error(publish.main, [f"results={again.results}"], capsys, monkeypatch)


LOSS_AFTER_TEN_STEPS = {3: 0.993585}


def test_numbers_do_not_change_without_raising_numerics(tmp_path):
    """A detector of change, not of error: where it fails with reason, raise NUMERICS and write down the new loss."""
    words = ["horizon=25", "network.channels=8", "training.steps=10", "training.report_every=10"]
    stage = cell_stages(*words, "training.precision=float32")[0]
    assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    loss = Journal(tmp_path).result(stage.id).metrics["train/network"]
    assert loss == pytest.approx(LOSS_AFTER_TEN_STEPS[NUMERICS], rel=1e-4)


@pytest.mark.slow
def test_a_trained_cell_beats_both_histograms_on_digits(tmp_path):
    stages = cell_stages("horizon=100", "schedule=cosine", "training.steps=500")
    for stage in stages[:2]:
        assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    scored = Journal(tmp_path).result(stages[1].id).metrics
    codes = stages[0].cell.data.load().codes
    assert scored["nll/val"] + 3 * scored["nll/val_se"] < min(codes["one histogram"], codes["histogram per pixel"])


@pytest.mark.thorough
def test_a_full_disk_that_the_driver_meets_is_one_line(tmp_path, monkeypatch, capsys):
    """Also where it meets it once more as it lets go of what is under way."""

    def full(*_):
        raise OSError(28, "No space left on device")

    calls = itertools.count()

    def later(_):
        # Once a worker is at it.
        if next(calls) > 5:
            full()

    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr(Spent, "keep", later)
    monkeypatch.setattr(Journal, "write_failure", full)
    words = ["data=mixture2d", "network=mlp", "horizon=25", "training.steps=100000", "launcher.workers=1"]
    assert outcome(run.main, [*words, f"results={tmp_path}"]) == 1
    gc.collect()
    assert unraisable == []
    assert capsys.readouterr().err.count("No space left on device") == 1
