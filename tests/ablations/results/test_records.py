"""What the files of a grid say beside the numbers: which metrics tables show, which decoder, what runs note."""

import csv
import io
import math
from itertools import pairwise

import pytest

from ablations.engine.journal import Failure, Journal, Result
from ablations.metrics.registry import shown_metrics
from ablations.results.csv_text import curve_frame, thinned
from ablations.results.folder import runs_csv
from ablations.results.records import Record, metadata_of, record
from ablations.tracking.runs import tracked_runs
from analysis.errors import InputError
from analysis.schema import CURVES_FILE, NUMERICS, SEVERAL
from tests.ablations.conftest import plan_of
from tests.analysis.folders import make_folder


def names(columns):
    return [column.name for column in columns]


def test_what_is_asked_for_or_claimed_is_shown_once_and_after_what_always_is():
    found = shown_metrics("digits-cnn", asked=["recall", "mmd", "fid", "mmd"], claimed=["precision", "recall"], n=900)
    always = ["nll/test", "fid/train/digits-cnn", "is/digits-cnn", "memorisation/train"]
    after = ["recall/train/digits-cnn", "mmd/train/digits-cnn", "precision/train/digits-cnn"]
    assert names(shown_metrics("digits-cnn", n=900)) == always
    assert names(found) == [*always, *after]
    assert [column.kind for column in found if column.asked] == ["fid", "recall", "mmd"]
    assert not any("asked" in column.shown(counts=1) for column in found if not column.asked)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["ode", "continuous"], ["nll_continuous/test", "nll_ode/test"]),
        (["iwae"], ["nll_iwae/test", "looseness/test"]),
        (["dropout"], ["nll_unlabelled/test"]),
    ],
)
def test_further_likelihoods_stand_beside_nll_where_asked_for(asked, expected):
    found = shown_metrics(None, likelihoods=asked, n=900)
    assert names(found) == ["nll/test", *expected, "energy_distance/test"]
    for metric in found[:-1]:
        assert (metric.unit, metric.direction) == ("bits/dim", "min")
        assert metric.digits == (3 if metric.kind == "looseness" else 2)


@pytest.mark.parametrize(
    ("word", "decoder", "codes"),
    [
        ("data=digits", "Gaussian over grey-level bins", ["uniform code", "one histogram", "histogram per pixel"]),
        ("data=mixture2d", "Gaussian density", ["exact density"]),
    ],
)
def test_head_names_the_decoder_and_what_to_read_nll_against(word, decoder, codes):
    words = [word, "horizon=25", "network=mlp"] if "mixture" in word else [word, "horizon=25"]
    planned = plan_of(*words)
    head = planned.head(None, {})
    assert head["decoder"] == decoder
    assert list(head["baselines"]) == ["nll/test"]
    assert [code["label"] for code in head["baselines"]["nll/test"]] == codes


def test_a_share_is_counted_over_all_sets_of_a_cell():
    planned = plan_of("data=digits", "horizon=25", "evaluation.n=100", "evaluation.sets=4")
    metrics = planned.head(None, {})["metrics"]
    resolutions = {metric["name"]: metric.get("resolution") for metric in metrics}
    assert resolutions["memorisation/train"] == 1 / 400
    assert resolutions["fid/train/digits-cnn"] is None


def test_notes_are_a_column_where_any_record_has_them():
    planned = plan_of("data=mixture2d", "network=mlp", "horizon=25", "seeds=2").runs
    metadata = [{"device": "cpu"}, {"device": "cpu", "notes": "still warming up"}]
    records = [Record(p, "finished", "", {"nll/test": 2.5}, {}, f) for p, f in zip(planned, metadata, strict=True)]
    first, both = (runs_csv(some) for some in (records[:1], records))
    assert "notes" not in first.splitlines()[0].split(",")
    assert [row["notes"] for row in csv.DictReader(io.StringIO(both))] == ["", "still warming up"]


def made_by(*metadata):
    """What a row says of stages with this metadata that made it."""
    (item,) = plan_of("data=mixture2d", "network=mlp", "horizon=25").runs
    done = [(item.stages[0], Result("finished", "", {}, {}, one)) for one in metadata]
    return metadata_of(done, "d")


@pytest.mark.parametrize(
    ("metadata", "name", "expected"),
    [
        (({"device": "a"}, {"device": "b"}), "device", "b"),
        (({"notes": "one\ntwo"}, {"notes": "two\nthree"}), "notes", "one\ntwo\nthree"),
        (({"machine": "a"}, {"machine": "b"}, {"machine": "a"}), "machine", "a, b"),
        (({}, {"code": "1+a"}), "code", "unknown, 1+a"),
        (({}, {}), "code", ""),
        (({"finished_at": "2026-05-02"}, {"finished_at": "2026-05-01"}), "first_result", "2026-05-01"),
        (({},), "numerics", str(NUMERICS)),
        (({},), "data_digest", "d"),
    ],
)
def test_a_row_names_all_that_made_it_and_keeps_all_notes(metadata, name, expected):
    assert made_by(*metadata)[name] == expected


def test_curves_that_are_read_are_kept_and_those_that_a_formula_gives_once_a_cell():
    t = [1.0, 2.0]

    def curves(loss, gamma):
        learned = {"log_snr": (t, [gamma, -1.0]), "train/network": ([20.0], [loss])}
        return learned | {"expected_weight": (t, [math.nan, 1.0]), "alpha_bar": (t, [0.9, 0.1])}

    found = curve_frame({("a", seed): curves(seed / 3, 8.0 + seed) for seed in (1, 2)})
    assert set(found["curve"]) == {"log_snr", "train/network", "expected_weight"}
    seeds = {name: list(rows["seed"].dropna().unique()) for name, rows in found.groupby("curve")}
    assert seeds == {"log_snr": [1, 2], "train/network": [1, 2], "expected_weight": []}
    assert list(found[found["curve"] == "train/network"]["y"].astype(float)) == [0.3333333, 0.6666667]
    assert len(curve_frame({("a", seed): curves(seed / 3, 8.0) for seed in (1, 2)})) == 2 + 2 + 2


def test_a_folder_without_curves_is_not_delivered(tmp_path):
    folder = make_folder(tmp_path / "parameterization", {"mu": [2.5]})
    (folder / CURVES_FILE).unlink()
    with pytest.raises(InputError, match=r"curves.parquet cannot be read .*: run the same command again"):
        tracked_runs(folder)


def test_a_long_curve_keeps_its_ends_and_its_steep_start():
    xs = [float(t) for t in range(1, 1001)]
    points = thinned(xs, [2 * x for x in xs])
    assert len(points) == 250
    assert points[:50] == [(x, 2 * x) for x in xs[:50]]
    assert points[-1] == (1000.0, 2000.0)
    steps = {b[0] - a[0] for a, b in pairwise(points[50:])}
    assert steps <= {4.0, 5.0}
    assert thinned(xs[:250], xs[:250]) == list(zip(xs[:250], xs[:250], strict=True))


@pytest.mark.parametrize(
    ("failure", "notes"),
    [
        (None, ""),
        (Failure("stopped", "the command was stopped"), ""),
        (Failure("died", "its worker died 2 times"), "mmd/train/digits-cnn was not measured: its worker died 2 times"),
    ],
)
def test_a_metric_that_is_not_there_leaves_the_cell_finished(failure, notes, tmp_path):
    (item,) = plan_of("horizon=25", "evaluation.metrics=[mmd,density]").runs
    journal = Journal(tmp_path)
    *own, metric, _ = item.stages
    for stage in own:
        assert record(item, journal).status == "interrupted"
        journal.write_result(stage.id, Result("finished", "", {f"{stage.kind}/x": 1.0}, {}, {"code": "1"}))
    if failure is not None:
        journal.write_failure(metric.id, failure)
    found = record(item, journal)
    assert (found.status, found.reason, found.metadata.get("notes", "")) == ("finished", "", notes)
    assert found.unmeasured == ((notes,) if notes else ())
    assert found.metrics.keys() == {f"{stage.kind}/x" for stage in own} | {"cost/total_flops"}
    journal.write_result(metric.id, Result("finished", "", {metric.fills: 2.0}, {}, {"code": "2"}))
    found = record(item, journal)
    assert found.metrics[metric.fills] == 2
    assert (found.unmeasured, found.metadata["code"]) == ((), SEVERAL.join(["1", "2"]))


def test_a_cell_costs_its_training_its_autoencoder_and_its_guide(tmp_path):
    words = ["space=latents", "guidance.by=cell", "guidance.guide=['network.channels=8']", "guidance.scale=2"]
    (item,) = plan_of("horizon=25", *words).runs
    flops = {"autoencoder": {"cost/autoencoder_flops": 1.0}, "training": {"cost/train_flops": 10.0}}
    flops["guide"] = {"cost/train_flops": 100.0}
    journal = Journal(tmp_path)
    for stage in item.stages:
        journal.write_result(stage.id, Result("finished", "", flops.pop(stage.kind, {}), {}, {}))
    assert flops == {}
    assert record(item, journal).metrics["cost/total_flops"] == 111


SHORT = ["training.steps=80", "training.warmup=4", "training.report_every=5", "training.cooldown=0.25"]
RUNGS = ["data=mixture2d", "network=mlp", "horizon=25", "evaluation.rungs=2", *SHORT]


def test_a_cell_whose_training_never_began_says_what_failed_before_it(tmp_path):
    (item,) = plan_of(*RUNGS).runs
    journal = Journal(tmp_path)
    first = item.stages[0]
    assert (first.kind, first.rung) == ("training", 20)
    assert (record(item, journal).status, record(item, journal).reason) == ("interrupted", "not run yet")
    journal.write_failure(first.id, Failure("error", "no such layer", "Traceback"))
    found = record(item, journal)
    assert (found.status, found.reason, found.metadata) == ("failed", "no such layer", {"traceback": "Traceback"})


@pytest.mark.parametrize("rate", ["constant", "wsd"])
def test_rungs_are_curves_and_cost_what_their_scores_took(rate, tmp_path):
    """Each stage of a training takes a second a step, each score at a rung half a second."""
    (item,) = plan_of(*RUNGS, f"training.rate={rate}").runs
    journal = Journal(tmp_path)
    for stage in item.stages:
        metrics = {"cost/train_seconds": float(stage.until)} if stage.trains else {"nll/val": 2.0}
        if stage.rung and not stage.trains:
            metrics = {"nll/val": 100.0 - stage.rung, "cost/rung_seconds": 0.5}
        journal.write_result(stage.id, Result("finished", "", metrics, {}, {"notes": f"{stage.kind} {stage.rung}"}))
    found = record(item, journal)
    assert found.curves == {"rung/nll/val": ([20.0, 40.0], [80.0, 60.0])}
    assert (found.metrics["nll/val"], found.metrics["cost/train_seconds"]) == (2.0, 80.0)
    assert found.metrics["cost/rung_seconds"] == 1.0
    assert "training 20" not in found.metadata["notes"].splitlines()
