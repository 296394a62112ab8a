"""Metrics that are asked for by name, of a grid that is finished: to its files, pages, MLflow, claims; of a search."""

from __future__ import annotations

import math
import re
import shutil

import pytest
import torch

from ablations import run
from ablations.data.digits import Digits
from ablations.data.tensors import read_tensors
from ablations.engine.dispatch import Dispatch
from ablations.engine.journal import Journal
from ablations.metrics import extractors
from ablations.metrics.density_coverage import CoverageMetric, DensityMetric
from ablations.metrics.mmd import Mmd
from ablations.metrics.sets import Examined, Judged
from ablations.search import __main__ as search
from ablations.stages.artifacts import SAMPLES, write_artifact
from ablations.stages.floor import FloorStage
from ablations.stages.metric import MetricStage
from analysis.errors import InputError
from analysis.findings.answers import Answers
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from analysis.words.claims import why
from tests.ablations.conftest import head, plan_of, result_of, rows, runs_of, tracker_in
from tests.ablations.search.conftest import POINTS
from tests.ablations.settings.test_grammar import one_line_error

ASKED = "evaluation.metrics=[mmd,precision,density,mmd]"
MMD = "mmd/train/digits-cnn"


def planned(*words):
    return plan_of(*words, "horizon=25")


def test_what_is_asked_for_besides_changes_no_cell_and_no_stage():
    plain = planned("evaluation.quality=[validation,test]")
    asked = planned("evaluation.quality=[validation,test]", ASKED)
    assert [item.cell_id for item in asked.planned] == [item.cell_id for item in plain.planned]
    ids = {stage.id: stage for stage in asked.stages()}
    assert ids.keys() > {stage.id for stage in plain.stages()}
    more = [ids[stage_id] for stage_id in ids.keys() - {stage.id for stage in plain.stages()}]
    columns = sorted(stage.column for stage in more if isinstance(stage, MetricStage))
    assert columns == ["density/train/digits-cnn", "density/val/digits-cnn", MMD, "mmd/val/digits-cnn"]
    assert sorted(stage.metric for stage in more if isinstance(stage, FloorStage)) == ["density", "mmd"]
    for stage in more:
        if isinstance(stage, MetricStage):
            assert ids[stage.samples].split == stage.split
            assert set(stage.needs) == {*ids[stage.samples].needs, stage.samples}
    waited = {need for stage in asked.stages() for need in stage.needs}
    assert not waited & {stage.id for stage in more}


def test_a_default_metric_that_is_asked_for_starts_nothing():
    ids = [stage.id for stage in planned("evaluation.metrics=[fid,kid,precision]").stages()]
    assert ids == [stage.id for stage in planned().stages()]


def test_a_finished_grid_gains_a_column_and_redraws_nothing(again, monkeypatch):
    before, heads = rows(again.folder), head(again.folder)
    launched = []
    real = Dispatch.add

    def add(self, stages, rest_on=()):
        launched.extend(stages)
        real(self, stages, rest_on)

    monkeypatch.setattr(Dispatch, "add", add)
    assert run.main([*again.arguments, ASKED]) == 0
    # Four cells; the two that share a training differ in σ², and so in their samples.
    assert sorted((stage.kind, stage.metric) for stage in launched) == [
        ("floor", "density"),
        ("floor", "mmd"),
        *[("metric", "density")] * 4,
        *[("metric", "mmd")] * 4,
    ]
    after = rows(again.folder)
    for old, new in zip(before, after, strict=True):
        gained = {"density/train/digits-cnn", MMD}
        assert new.keys() - old.keys() == gained | {f"{name}_set_sd" for name in gained}
        assert {key: new[key] for key in old if key != "code"} == {key: old[key] for key in old if key != "code"}
    names = [metric["name"] for metric in head(again.folder)["metrics"]]
    old_names = [metric["name"] for metric in heads["metrics"]]
    assert names == [*old_names, MMD, "precision/train/digits-cnn", "density/train/digits-cnn"]
    assert head(again.folder)["metrics"][: len(old_names)] == heads["metrics"]
    (shown,) = [metric for metric in head(again.folder)["metrics"] if metric["name"] == MMD]
    said = {"name": MMD, "label": "MMD²", "direction": "min", "decimals": 4}
    assert shown == {**said, "decides": "samples", "asked": True}
    assert head(again.folder)["floors"].items() >= heads["floors"].items()
    assert abs(head(again.folder)["floors"][MMD]["value"]) < 0.01 < float(after[0][MMD])
    assert head(again.folder)["cells"] == heads["cells"]
    assert run.main(again.arguments) == 0
    assert rows(again.folder)[0].keys() == before[0].keys()


@pytest.mark.thorough
def test_the_value_is_the_mean_over_the_sets_that_were_drawn(again):
    assert run.main([*again.arguments, "evaluation.metrics=[mmd]"]) == 0
    row = rows(again.folder)[0]
    found = plan_of(*again.arguments, "evaluation.metrics=[mmd]")
    (stage,) = [stage for stage in found.planned[0].stages if isinstance(stage, MetricStage)]
    journal = Journal(again.results / ".stages")
    drawn = read_tensors(journal.folder(stage.samples) / "samples.safetensors")[0]["samples"]
    extractor = extractors.load("digits-cnn")
    real = Examined(Digits().load().images["train"], extractor)
    values = [Mmd().compute(Judged(Examined(part, extractor), real)) for part in drawn.split(450)]
    assert len(values) == 2
    assert float(row[MMD]) == pytest.approx(sum(values) / 2, rel=1e-6)
    assert float(row[f"{MMD}_set_sd"]) == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2), rel=1e-5)


@pytest.mark.thorough
def test_it_reaches_the_table_and_replaces_the_runs_in_mlflow(tiny, tmp_path, monkeypatch):
    # Drawing takes longer than all else.
    monkeypatch.setattr("analysis.pages.write_figures", lambda answers, folder: {})
    results = tmp_path / "results"
    shutil.copytree(tiny.results, results)
    words = [word for word in tiny.arguments if not word.startswith("results=")]
    assert run.main([*words, f"results={results}", "launcher=serial", "evaluation.metrics=[mmd,coverage]"]) == 0
    table = (results / "tiny" / "table.md").read_text(encoding="utf-8")
    assert "MMD² ↓" in table
    assert "Coverage ↑" in table
    tracker = tracker_in(results)
    found = runs_of(tracker)
    assert len(found) == 4
    assert all({MMD, "coverage/train/digits-cnn", "nll/test"} <= run.data.metrics.keys() for run in found)
    assert tracker.publish(results / "tiny") == 0


@pytest.mark.thorough
def test_a_metric_that_breaks_costs_no_other_number_and_is_tried_again(again, monkeypatch, capsys):
    def broken(self, judged):
        raise ZeroDivisionError("no samples\nthat differ")

    with monkeypatch.context() as patch:
        patch.setattr(Mmd, "compute", broken)
        assert run.main([*again.arguments, "evaluation.metrics=[mmd,density]"]) == 1
    line = f"{MMD} was not measured: ZeroDivisionError: no samples that differ"
    assert capsys.readouterr().out.splitlines().count(line) == 1
    for row in rows(again.folder):
        assert row["status"] == "finished"
        assert row["notes"] == line
        assert MMD not in row
        assert float(row["density/train/digits-cnn"]) > 0
        assert float(row["nll/test"]) > 0
    assert run.main([*again.arguments, "evaluation.metrics=[mmd,density]"]) == 0
    assert all(float(row[MMD]) > 0 and not row.get("notes") for row in rows(again.folder))


def test_a_value_that_is_no_number_is_noted(again, monkeypatch):
    monkeypatch.setattr(DensityMetric, "compute", lambda self, judged: math.nan)
    assert run.main([*again.arguments, "evaluation.metrics=[density,coverage]"]) == 0
    for row in rows(again.folder):
        assert row["status"] == "finished"
        assert row["notes"] == "without density/train/digits-cnn, which is not finite"
        assert 0 <= float(row["coverage/train/digits-cnn"]) <= 1
        assert "density/train/digits-cnn" not in row


@pytest.mark.thorough
def test_points_are_their_own_features(tmp_path):
    words = ["data=mixture2d", "network=mlp", "training.steps=10", "evaluation.metrics=[mmd,coverage]"]
    found = planned(*words)
    results = {stage: result_of(stage, tmp_path) for stage in found.stages()}
    stages = {stage.column: stage for stage in results if isinstance(stage, MetricStage)}
    assert stages.keys() == {"mmd/test", "coverage/test"}
    points = found.here.data.images["test"]
    drawn = read_tensors(Journal(tmp_path).folder(stages["mmd/test"].samples) / "samples.safetensors")[0]["samples"]
    of_sets = [Judged(Examined(part), Examined(points)) for part in torch.split(drawn, len(points))]
    for column, metric in (("mmd/test", Mmd()), ("coverage/test", CoverageMetric())):
        values = [metric.compute(judged) for judged in of_sets]
        expected = sum(values) / len(values)
        assert results[stages[column]].metrics[column] == pytest.approx(expected, rel=1e-12)


def test_what_reads_labels_is_there_where_samples_have_some():
    words = ["evaluation.metrics=[class_memorisation]", "evaluation.quality=[validation,test]"]
    found = planned(*words, "conditioning=class,unconditional")
    stages = [[stage.column for stage in item.stages if isinstance(stage, MetricStage)] for item in found.planned]
    assert stages == [["class_memorisation/train"], []]
    assert [stage.metric for stage in found.metric_floors] == ["class_memorisation"]
    with pytest.raises(InputError, match=LABELLESS):
        planned(*words)


def test_labels_of_samples_reach_what_reads_them(tmp_path):
    found = planned("conditioning=class", "evaluation.metrics=[class_memorisation]")
    (stage,) = [stage for stage in found.planned[0].stages if isinstance(stage, MetricStage)]
    data, journal = found.here.data, Journal(tmp_path)
    # The first set are copies, the second held-out images; a class is told by its label alone.
    samples = {"samples": torch.cat([data.images["train"][:450], data.images["test"]])}
    labels = {"labels": torch.cat([data.labels["train"][:450], data.labels["test"]])}
    write_artifact(journal.folder(stage.samples), SAMPLES, samples | labels)
    result = result_of(stage, tmp_path)
    assert result.metrics[stage.column] == pytest.approx((1 + 0.05) / 2)
    by_class = dict(zip(*result.curves["class_memorisation/train/by_class"], strict=True))
    assert by_class == pytest.approx(dict.fromkeys(map(float, range(10)), (1 + 0.05) / 2))
    (floor,) = found.metric_floors
    # Against both held-out splits together, each of which is a part of them.
    assert result_of(floor, tmp_path).metrics[stage.column] == pytest.approx(0.05, abs=0.001)


LABELLESS = "class_memorisation reads the labels of samples, and these have none: take conditioning=class"
WRONG = {
    "evaluation.metrics=[class_memorisation]": LABELLESS,
    "evaluation.metrics=[mdm]": "no metric of samples called 'mdm': there are class_memorisation, .*did you mean 'mmd'",
    "evaluation.metrics=[nll]": "no metric of samples can be called 'nll', which stages measure: there are class_m",
    "evaluation.metrics=mmd": r"metrics must be a list, written \[A,B\], got 'mmd'",
    "evaluation.metrics=[mmd] evaluation.quality=[]": r"evaluation.quality=\[\] draws none: leave one of them out",
    "evaluation.metrics=[mmd],[density]": "are the same cell: leave one of them out",
    "data=mixture2d network=mlp evaluation.metrics=[fid]": (
        "fid is a metric of images, and this data is of points: take coverage, density, energy_distance, mmd"
    ),
    "evaluation.metrics=[fid_infinity] evaluation.n=129": (
        "fid_infinity of 64 features needs sets of at least 130, got 129: take evaluation.n=130$"
    ),
    "evaluation.metrics=[energy_distance]": "energy_distance is a metric of points, and this data is of images: take ",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_call_is_one_line(words, tmp_path, capsys, monkeypatch):
    line = one_line_error(run.main, [*words.split(), "horizon=25", f"results={tmp_path}/results"], capsys, monkeypatch)
    assert re.search(WRONG[words], line), line
    assert not (tmp_path / "results").exists()


GRID = """
# Two variances, by metrics of one's own choice
question: Which variance is better?
set: {{evaluation.metrics: [mmd]}}
axes:
  - name: variance
    levels: [{{name: beta}}, {{name: beta_tilde}}]
expects:
  - claim: they differ in nothing
    source: nobody
    metric: {metric}
    better: {{variance: beta}}
    than: {{variance: beta_tilde}}
"""


@pytest.mark.slow
def test_a_claim_may_be_of_any_metric_that_has_a_direction(again, few_digits, configs, capsys, monkeypatch):
    words = [word for word in again.arguments if not word.startswith(("variance=", "parameterization=", "name="))]
    for metric in ("mmd", "recall"):
        (configs / "grid" / "mine.yaml").write_text(GRID.format(metric=metric))
        assert run.main([*words, "grid=mine", "parameterization=v", "seeds=2", f"name=mine-{metric}"]) == 0
        (found,) = Answers.of(read_folder(again.results / f"mine-{metric}")).claims
        assert found.claim.metric == metric
        assert {"mmd": "MMD² differs by", "recall": "Recall differs by"}[metric] in why(found)
    capsys.readouterr()
    for metric in ("memorisation", "cost", "mdm"):
        (configs / "grid" / "mine.yaml").write_text(GRID.format(metric=metric))
        line = one_line_error(run.main, [*words, "grid=mine"], capsys, monkeypatch)
        assert f"no metric that a claim of configs/grid/mine.yaml can be of called '{metric}': " in line


def test_a_column_that_is_none_is_refused_before_anything_is_trained(configs, capsys, monkeypatch):
    (configs / "grid" / "mine.yaml").write_text("# x\nquestion: '?'\naxes: []\ncolumns: [nll/test_L1]\n")
    line = one_line_error(run.main, ["grid=mine"], capsys, monkeypatch)
    assert "no column of configs/grid/mine.yaml called 'nll/test_L1': did you mean 'nll/test_LT'" in line


@pytest.mark.slow
def test_a_search_may_go_by_it(store, tmp_path, without_pictures):
    shutil.copy(store, tmp_path / "mlflow.db")
    words = [w for w in POINTS if not w.startswith(("study.pruner", "trials"))]
    assert search.main([*words, "study.objective=mmd", "trials=3", f"results={tmp_path}", "launcher=serial"]) == 0
    found = read_search(tmp_path / "found")
    (objective,) = found.head.objectives
    assert (objective.name, objective.label, objective.decimals) == ("mmd/val", "MMD²", 4)
    assert len(found.finished) == 3
    best = found.finished.sort_values("mmd/val").iloc[0]
    assert found.head.winners[0].trial == best["trial"]
    confirmed = head(tmp_path / "found")["metrics"]
    assert [metric["name"] for metric in confirmed] == ["nll/test", "energy_distance/test", "mmd/test"]


def test_the_help_of_searches_lists_what_they_may_go_by(capsys):
    assert search.main(["--help"]) == 0
    printed = capsys.readouterr().out
    lines = ("nll                   NLL, bits/dim", "mmd                   MMD²", "FID; on points the energy distance")
    assert all(line in printed for line in lines)
    assert "  memorisation" not in printed
