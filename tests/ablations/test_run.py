"""The main command, really run on a tiny grid: what it leaves, continues, refuses and survives."""

from __future__ import annotations

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
from ablations.driver.rounds import at_once
from ablations.driver.spent import Spent
from ablations.engine import dispatch as dispatching
from ablations.engine.dispatch import Dispatch
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from ablations.engine.version import code_version
from ablations.grids.grid import make
from ablations.launchers.local import Local
from ablations.settings import identity
from ablations.settings.arguments import parse_run
from ablations.settings.exits import outcome
from ablations.stages import bound, training_loop
from ablations.stages.artifacts import read_checkpoint
from ablations.stages.bound import BoundStage
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_store import Tracker
from analysis.errors import InputError
from analysis.read.runs import read_folder
from analysis.read.store import read_store
from analysis.schema import NUMERICS
from diffusion_core.parameterizations import V
from tests.ablations.conftest import HERE, head, plan_of, result_of, rows, runs_of, stages_of_cell, tracker_in
from tests.ablations.settings.test_grammar import one_line_error
from tests.axes import thinned
from tests.forked import forked


def no_launch(self, stages):
    raise AssertionError(f"{len(stages)} stages were launched")
    yield


def test_a_grid_ends_with_its_files_its_table_and_the_link(tiny):
    assert tiny.code == 0
    names = {str(path.relative_to(tiny.folder)) for path in tiny.folder.rglob("*") if path.is_file()}
    assert {"grid.json", "runs.csv", "curves.csv", "table.md", "table.tex", "table.csv"} <= names
    assert {"figures/samples.png", "figures/metrics.png", "figures/training.png"} <= names
    # A sheet of each of four cells, another of the training images nearest to it, and one of held-out images.
    assert sum(name.startswith("samples/") for name in names) == 4 + 4 + 1
    assert "NLL" in tiny.printed
    assert "FID" in tiny.printed
    assert "#/experiments/1/runs?compareRunsMode=CHART&workflowType=machine_learning" in tiny.printed
    assert f"mlflow ui --backend-store-uri sqlite:///{tiny.results}/mlflow.db" in tiny.printed


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


def test_a_folder_with_other_results_is_never_overwritten(again):
    before = (again.folder / "grid.json").read_bytes()
    with pytest.raises(InputError, match=r"results of other choices .*name="):
        run.main([*again.arguments, "training.ema=0.5"])
    assert (again.folder / "grid.json").read_bytes() == before


def test_a_grid_file_that_was_edited_under_the_same_command_is_named_so(again):
    """As if it had had one cell more when its results were made."""
    known = head(again.folder)
    known["command"] = parse_run(again.arguments).command
    known["cells"]["0123456789ab"] = next(iter(known["cells"].values()))
    (again.folder / "grid.json").write_text(json.dumps(known))
    with pytest.raises(
        InputError, match=r"other choices \(the same command, before a file that it reads was edited: py"
    ):
        run.main(again.arguments)


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
    assert [row["status"] for row in rows(again.folder)] == ["failed", "failed", "finished", "finished"]
    assert rows(again.folder)[0]["reason"] == "ValueError: v has no bound today"
    assert "failed: v · β, seed 0" in capsys.readouterr().out


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def altered(path):
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)


def of_another(path):
    shutil.copy(min(found for found in path.parent.parent.glob(f"*/{path.name}") if found != path), path)


DAMAGES = pytest.mark.parametrize(
    "damage", thinned([altered, cut, Path.unlink, of_another], 4, ["altered", "cut", "unlink", "of_another"])
)


@DAMAGES
def test_a_damaged_training_is_made_anew_by_itself_and_nothing_else_is(damage, again, capfd):
    """A worker finds it when it reads the weights for a bound that is asked for again; or it is seen at once."""
    before, training = rows(again.folder), rows(again.folder)[0]["training_id"]
    damage(again.results / ".stages" / training / "weights.safetensors")
    bounds = [stage for stage in plan_of(*again.arguments).stages() if isinstance(stage, BoundStage)]
    of_it = next(stage.id for stage in bounds if training in stage.needs)
    (again.results / ".stages" / of_it / "result.json").unlink()
    others = {path: path.stat().st_mtime_ns for path in (again.results / ".stages").glob("*/samples.safetensors")}
    assert run.main(again.arguments) == 0
    told = capfd.readouterr().err
    assert told.count("damaged, and made anew") == 1
    assert "weights.safetensors" in told
    assert all(path.stat().st_mtime_ns == then for path, then in others.items())
    assert without_costs(rows(again.folder)) == without_costs(before)


@DAMAGES
@pytest.mark.parametrize("file", ["samples", "bound"])
def test_a_damaged_file_of_a_result_is_made_anew_when_that_is_written(damage, file, again, capfd):
    before, images = rows(again.folder), (again.folder / "images.csv").read_bytes()
    found = (again.results / ".stages").glob(f"*/{file}.safetensors")
    # What validation images cost, each, is in no file of results.
    damage(min(path for path in found if '"nll/val"' not in (path.parent / "result.json").read_text(encoding="utf-8")))
    (again.folder / "runs.csv").unlink()
    assert run.main(again.arguments) == 0
    assert "made anew" in capfd.readouterr().err
    assert without_costs(rows(again.folder)) == without_costs(before)
    assert (again.folder / "images.csv").read_bytes() == images


def test_damage_that_is_met_on_the_way_is_made_anew_at_the_end(again, capfd):
    request, made = parse_run(again.arguments), plan_of(*again.arguments)
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
    before = rows(again.folder)
    altered(again.results / ".stages" / before[0]["training_id"] / "weights.safetensors")
    words = [f"cell={before[0]['cell_id']}", f"results={again.results}", f"out={tmp_path / 'drawn'}", "n=1"]
    line = one_line_error(sample.main, words, capsys, monkeypatch)
    assert "has been altered since it was written" in line
    assert "the command of its grid makes it anew" in line
    assert run.main(again.arguments) == 0
    assert without_costs(rows(again.folder)) == without_costs(before)
    assert sample.main(words) == 0


def test_what_a_grid_declares_is_kept_from_before_its_first_result_and_left_by_the_same_command(again):
    (declared,) = before = head(again.folder)["declarations"]
    assert declared["time"] < min(row["first_result"] for row in rows(again.folder))
    assert (declared["seen"], declared["baseline"]) == (False, head(again.folder)["baseline"])
    assert run.main(again.arguments) == 0
    assert head(again.folder)["declarations"] == before


def without_costs(found):
    own = ("cost/", "code", "first_result")
    return [{name: text for name, text in row.items() if not name.startswith(own)} for row in found]


def test_an_incompatible_cell_is_a_row_with_its_reason(again):
    arguments = [word for word in again.arguments if not word.startswith(("variance=", "name="))]
    arguments += ["variance=beta,learned_diagonal", "name=mixed"]
    assert run.main(arguments) == 0
    found = rows(again.results / "mixed")
    assert [row["status"] for row in found] == ["finished", "incompatible"] * 2
    assert "teaches no variance" in found[1]["reason"]


def test_the_largest_beta_is_kept(tmp_path):
    """Linear to 0.02, rescaled by 1000/25."""
    training = stages_of_cell("horizon=25", "network.channels=8", "training.steps=1")[0]
    assert result_of(training, tmp_path).metrics["noise/beta_max"] == pytest.approx(0.8)


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
    _, validation, test = [
        result_of(stage, tmp_path) for stage in stages_of_cell(*less, f"evaluation.horizon={horizon}")
    ]
    assert validation.metrics["nll/val"] > 2 * 4.0875
    assert "notes" not in validation.metadata
    assert test.metrics["nll/test"] > 2 * 4.0875
    assert ("above twice the uniform code's 4.09" in test.metadata.get("notes", "")) == remarked


SMALL = ("horizon=25", "network.channels=8", "training.report_every=5")
SLOW_TRAINING = (*SMALL[:2], "network.multipliers=[1]", "training.steps=60", "training.batch=32")


def test_a_training_killed_half_way_and_continued_is_bit_identical(tmp_path):
    stage = stages_of_cell(*SLOW_TRAINING, "training.report_every=10")[0]
    checkpoint = tmp_path / "killed" / stage.id / "checkpoint.safetensors"

    def command():
        training_loop.CHECKPOINT_SECONDS = 0
        perform(stage, Journal(tmp_path / "killed"), "cpu")
        return 0

    child = forked(command, tmp_path / "log")
    while not checkpoint.exists():
        assert not child.ended
        time.sleep(0.002)
    assert child.signal(signal.SIGKILL) == -signal.SIGKILL
    assert 0 < read_checkpoint(checkpoint.parent).step < 60
    results = [result_of(stage, tmp_path / name) for name in ("killed", "whole")]
    killed, whole = (
        read_tensors(tmp_path / name / stage.id / "weights.safetensors")[0] for name in ("killed", "whole")
    )
    assert killed.keys() == whole.keys()
    assert all(torch.equal(killed[name], whole[name]) for name in whole)
    assert results[0].curves["train/network"] == results[1].curves["train/network"]
    assert not checkpoint.exists()


def test_a_foreign_checkpoint_is_not_continued(tmp_path, capfd):
    stage, other = stages_of_cell(*SLOW_TRAINING)[0], stages_of_cell(*SLOW_TRAINING, "first_seed=1")[0]
    folder = Journal(tmp_path).folder(stage.id)
    write_tensors(folder / "checkpoint.safetensors", {"a": torch.zeros(1)}, stage=other.id, step="1", seconds="1")
    assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    told = f"goes on from step 0, since checkpoint.safetensors was left by another stage, {other.id}"
    assert told in capfd.readouterr().err


@pytest.mark.parametrize("strike", ["kill", pytest.param("suspend", marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_or_stands_still_costs_its_stage_one_try(strike, tmp_path, monkeypatch):
    """Frozen, it does not touch its lease: it is killed, and the stage goes on from its last checkpoint."""
    if strike == "suspend":
        monkeypatch.setattr(dispatching, "LOST", 12.0)
        monkeypatch.setattr(dispatching, "WATCH_SECONDS", 0.5)
    kinds, struck = [], []
    dispatch = Dispatch(Local(), Journal(tmp_path), ["cpu"])
    dispatch.add(stages_of_cell(*SMALL, "training.steps=100")[:1])
    for event in dispatch.run():
        if event.kind == "progress" and event.share > 0 and not struck:
            (server,) = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
            struck = server.children()
            for worker in struck:
                getattr(worker, strike)()
        kinds.append(event.kind)
    assert kinds.count("died") == 1
    assert (kinds[-1], event.status) == ("ended", "finished")
    assert not any(worker.is_running() and worker.status() == psutil.STATUS_STOPPED for worker in struck)


def test_runs_are_flat_tagged_and_complete_in_mlflow(tiny):
    tracker = tracker_in(tiny.results)
    found = runs_of(tracker)
    assert len(found) == 4
    by_id = {(run.data.tags["cell_id"], run.data.tags["seed"]): run for run in found}
    for row in rows(tiny.folder):
        data = by_id[row["cell_id"], row["seed"]].data
        assert data.tags["status"] == "finished"
        assert data.tags["grid"] == "tiny"
        assert data.metrics["nll/test"] == float(row["nll/test"])
        assert data.params["axis.variance"] == data.params["variance"] == row["variance"]
        assert data.params["schedule.beta_1"] == "0.0001"
        assert "mlflow.parentRunId" not in data.tags
        history = tracker.client.get_metric_history(by_id[row["cell_id"], row["seed"]].info.run_id, "train/network")
        assert [point.step for point in history] == [20, 40, 60]


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
    assert "tiny: 4 runs published" in capsys.readouterr().out


def test_sample_draws_pictures_of_a_finished_cell(tiny, tmp_path, capsys, monkeypatch):
    target = tmp_path / "x.png"
    cell_id = rows(tiny.folder)[0]["cell_id"]
    assert sample.main([f"cell={cell_id[:8]}", "n=9", f"results={tiny.results}", f"out={target}"]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    with Image.open(target) as picture:
        assert picture.size == (8 * (8 * 9 + 1), 8 * (2 * 9 + 1))
    arguments = [f"cell={cell_id}", "seed=7", f"results={tiny.results}"]
    assert "has no seed 7: it has 0" in one_line_error(sample.main, arguments, capsys, monkeypatch)


def test_sampling_after_the_pictures_have_moved_says_what_to_do(tiny, tmp_path, capsys, monkeypatch):
    row = {key: value for key, value in rows(tiny.folder)[0].items() if not key.startswith("data.")}
    (tmp_path / "mine").mkdir()
    moved = pd.DataFrame([row | {"data": "folder", "data.root": tmp_path / "gone"}])
    moved.to_csv(tmp_path / "mine" / "runs.csv", index=False)
    line = one_line_error(sample.main, [f"cell={row['cell_id']}", f"results={tmp_path}"], capsys, monkeypatch)
    assert re.search(r"gone is no folder.*; if .*gone has moved, run mine again with data\.root=", line), line


@pytest.mark.cuda
def test_a_cell_is_sampled_on_the_device_that_is_asked_for_and_no_other_is_opened(tiny, tmp_path):
    cell_id = rows(tiny.folder)[0]["cell_id"]
    last = torch.cuda.device_count() - 1
    words = [f"cell={cell_id}", "n=4", f"results={tiny.results}", f"out={tmp_path / 'drawn'}", f"device=cuda:{last}"]
    assert sample.main(words) == 0
    assert torch.cuda.current_device() == last
    assert torch.backends.cudnn.deterministic


def test_a_second_run_leaves_diverged_cells_alone(tmp_path, capsys, monkeypatch, store, without_pictures):
    shutil.copy(store, tmp_path / "mlflow.db")
    arguments = ["horizon=25", "network.channels=8", "training.steps=5", "training.learning_rate=1e30"]
    arguments += [f"results={tmp_path}", "name=wild", "launcher=serial"]
    assert run.main(arguments) == 0
    assert "diverged in 1 of 1 seeds" in capsys.readouterr().out
    assert "loss was not finite" in rows(tmp_path / "wild")[0]["reason"]
    monkeypatch.setattr(Dispatch, "run", no_launch)
    assert run.main(arguments) == 0
    assert run.main([*arguments, "dry_run=true"]) == 0
    assert "0 of them new" in capsys.readouterr().out


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
        (row,) = [row for row in rows(tiny.folder) if (row["cell_id"], row["seed"]) == (cell_id, str(seed))]
        # Six digits of each value, seven of the metric.
        assert values.mean() == pytest.approx(float(row[metric]), rel=1e-6)
        assert values.std() / math.sqrt(450) == pytest.approx(float(row[f"{metric}_se"]), rel=1e-4)


def test_a_row_knows_what_made_it_and_what_it_cost(tiny):
    digest = make(parse_run(["horizon=25"])).points[0].cell.data.load().digest
    for row in rows(tiny.folder):
        assert (row["code"], row["numerics"], row["data_digest"]) == (code_version(), str(NUMERICS), digest)
        assert row["precision"] == HERE
        assert f"cpu ({platform.machine()}), {HERE}; code" in (tiny.folder / "table.md").read_text(encoding="utf-8")
        assert float(row["cost/train_flops"]) == pytest.approx(3 * float(row["cost/flops_per_image"]) * 60 * 64)
    assert read_folder(tiny.folder).codes == [(code_version(), 4)]


def test_a_training_by_one_code_and_a_score_by_another_are_both_named(again):
    path = again.results / ".stages" / rows(again.folder)[0]["training_id"] / "result.json"
    training = json.loads(path.read_text())
    training["metadata"]["code"] = "0+earlier"
    del training["sha256"]
    digest = hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(training | {"sha256": digest}))
    assert run.main(again.arguments) == 0
    assert [row["code"] for row in rows(again.folder)[:2]] == [f"0+earlier, {code_version()}"] * 2
    assert read_folder(again.folder).codes == [("0+earlier", 2), (code_version(), 4)]


def test_where_the_runs_are_is_written_down_once_they_are_delivered(tiny):
    tracker, tracking = tracker_in(tiny.results), read_folder(tiny.folder).tracking
    found = {(r.data.tags["cell_id"], int(r.data.tags["seed"])): r.info.run_id for r in runs_of(tracker)}
    told = {(cell, seed): run for cell, seeds in tracking.runs.items() for seed, run in seeds.items()}
    assert (tracking.uri, tracking.experiment, told) == (tracker.uri, tracker.experiment_id, found)
    assert tracking.link in tiny.printed


def test_a_failed_delivery_leaves_no_word_of_where_the_runs_are(again, monkeypatch):
    (again.folder / "tracking.json").unlink()
    path = again.folder / "runs.csv"
    path.write_text(path.read_text().replace(rows(again.folder)[0]["nll/test"], "1.25"))
    tracker = tracker_in(again.results)

    def broken(self, *given):
        raise OSError("the line is cut")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", broken)
        assert written.deliver(tracker, again.folder) is None
    assert read_folder(again.folder).tracking is None
    assert written.deliver(tracker, again.folder) is tracker
    assert sum(map(len, read_folder(again.folder).tracking.runs.values())) == 4


def test_the_summary_carries_every_file_of_the_folder(tiny):
    tracker = tracker_in(tiny.results)
    (summary,) = runs_of(tracker, "summary")
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
    ("content", "message"), [("[]", "is not the description of a grid"), ("{", "is not valid JSON")]
)
def test_damaged_files_are_named_in_one_line(content, message, again):
    (again.folder / "grid.json").write_text(content)
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


LOSS_AFTER_TEN_STEPS = {6: 0.985192}


def test_numbers_do_not_change_without_raising_numerics(tmp_path):
    """A detector of change, not of error: where it fails with reason, raise NUMERICS and write down the new loss."""
    words = ["horizon=25", "network.channels=8", "training.steps=10", "training.report_every=10"]
    stage = stages_of_cell(*words, "training.precision=float32")[0]
    loss = result_of(stage, tmp_path).metrics["train/network"]
    assert loss == pytest.approx(LOSS_AFTER_TEN_STEPS[NUMERICS], rel=1e-4)


@pytest.mark.slow
def test_a_trained_cell_beats_both_histograms_on_digits(tmp_path):
    training, bound_of_it, *_ = stages_of_cell("horizon=100", "schedule=cosine", "training.steps=500")
    result_of(training, tmp_path)
    scored, codes = result_of(bound_of_it, tmp_path).metrics, training.cell.data.load().codes
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
