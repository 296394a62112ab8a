"""Generated sets that are drawn until they say enough: the same sets as those asked for by number, and one decision."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import replace

import pytest
import torch

from ablations import run
from ablations.data.tensors import read_tensors
from ablations.driver import more_seeds, pages
from ablations.engine.dispatch import Dispatch
from ablations.engine.journal import Journal, Result
from ablations.results.records import of_all, record
from ablations.search import __main__ as search
from ablations.stages.metric import MetricStage
from ablations.stages.samples import SamplesStage, more_sets
from analysis.errors import InputError
from analysis.findings.answers import Answers
from analysis.findings.spending import Spending, spending
from analysis.grid_json import ShownMetric
from analysis.interim import Enough, in_words
from analysis.read.runs import read_folder
from analysis.schema import SETS
from tests.ablations.conftest import over, plan_of, rows, said
from tests.ablations.search.conftest import POINTS
from tests.made_once import made_once

DISTANCE = "energy_distance/test"
SMALL = ["data=mixture2d", "network=mlp", "network.width=16", "network.layers=1", "horizon=25"]
SHORT = ["training.steps=60", "training.warmup=10", "training.report_every=20", "evaluation.exact=2"]
GRID = ["parameterization=v,epsilon", "name=auto", "seeds=2", *SMALL, *SHORT, "evaluation.strata=2"]


def samples_of(item):
    return [stage for stage in item.stages if isinstance(stage, SamplesStage)]


def noisy(enough):
    metric = ShownMetric(DISTANCE, "Energy distance", "min", decides="samples")
    return Enough(enough, in_words(Spending(metric, 2, 0.3, 1.0, enough, 1.0, 1.0)))


def test_the_sets_of_all_stages_are_counted(tmp_path):
    (item,) = plan_of(*SMALL, *SHORT, "evaluation.sets=auto").planned
    more = more_sets(item.stages, None, 8)
    item, journal = replace(item, stages=[*item.stages, *more]), Journal(tmp_path)
    for stage in item.stages:
        metrics = {DISTANCE: 2.0, f"{DISTANCE}_set_sd": 0.1} if stage.drawn else {"nll/test": 2.0}
        journal.write_result(stage.id, Result("finished", "", metrics, {}, {}))
    drawn = [stage.drawn for stage in samples_of(item)]
    assert len(drawn) > 1
    assert record(item, journal).metrics[SETS] == sum(drawn)


@pytest.fixture(scope="module")
def four(tmp_path_factory, store):
    """Four sets a cell and seed, as if it took more than three; and the same asked for by number."""

    def make(results):
        shutil.copy(store, results / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "write_pages", said)
            patch.setattr(more_seeds, "enough_for", lambda *given: noisy(3.5))
            more = ["evaluation.metrics=[mmd]", f"results={results}", "launcher=serial"]
            words = [*GRID, "evaluation.sets=auto", *more]
            assert run.main(words) == 0
            assert run.main(over(words, "evaluation.sets=4", "name=four")) == 0
        return words, results

    return made_once(tmp_path_factory, "sets", make)


@pytest.mark.thorough
def test_the_sets_are_those_of_any_number_and_so_are_their_values(four):
    _, results = four
    for mine, other in zip(rows(results / "auto"), rows(results / "four"), strict=True):
        assert (mine["evaluation.sets"], mine["cost/sample_sets"], other["evaluation.sets"]) == ("auto", "4", "4")
        for name in (DISTANCE, f"{DISTANCE}_set_sd", "mmd/test"):
            assert float(mine[name]) == pytest.approx(float(other[name]), rel=2e-3), name
        assert mine["nll/test"] == other["nll/test"]
        assert mine["training_id"] == other["training_id"]


@pytest.mark.thorough
def test_pages_say_how_many_were_drawn(four):
    _, results = four
    answers = Answers.of(read_folder(results / "auto"))
    assert answers.meta.quality_sets == 4
    assert [cell.sets for cell in answers.cells] == [4, 4]


@pytest.mark.thorough
def test_each_sample_is_where_it_would_be(four):
    _, results = four
    journal = Journal(results / ".stages")
    (item, *_) = plan_of(*GRID, "evaluation.sets=auto").with_sets(4).planned
    (whole, *_) = plan_of(*GRID, "evaluation.sets=4").planned
    assert [(stage.first, stage.sets) for stage in samples_of(item)] == [(0, 2), (2, 2)]
    parts = [read_tensors(journal.folder(stage.id) / "samples.safetensors")[0]["samples"] for stage in samples_of(item)]
    (other,) = samples_of(whole)
    expected = read_tensors(journal.folder(other.id) / "samples.safetensors")[0]["samples"].float()
    # In bf16 a network's last digit may depend on the batch, and a grey level with it.
    differing = (torch.cat(parts).float() != expected).float().mean()
    assert differing < 0.02


def test_two_are_those_that_two_asks_for():
    (auto, *_), (two, *_) = (plan_of(*GRID, f"evaluation.sets={n}").planned for n in ("auto", "2"))
    assert [stage.id for stage in samples_of(auto)] == [stage.id for stage in samples_of(two)]
    assert auto.cell_id != two.cell_id


def test_a_metric_that_is_asked_for_reads_every_stage():
    item = plan_of(*GRID, "evaluation.sets=auto", "evaluation.metrics=[mmd]").with_sets(16).planned[0]
    assert [stage.sets for stage in samples_of(item)] == [2, 2, 4, 8]
    assert item.sets == 16
    judged = [stage.samples for stage in item.stages if isinstance(stage, MetricStage)]
    assert judged == [stage.id for stage in samples_of(item)]
    assert more_sets(item.stages[:1], None, 16) == []


def test_what_metrics_say_of_classes_is_of_all_sets(tmp_path):
    item = plan_of(*GRID, "evaluation.sets=auto", "evaluation.metrics=[mmd]").with_sets(8).planned[0]
    journal, said = Journal(tmp_path), {2: [0.1, 0.2, 0.3], 4: [0.4, 0.5]}
    metrics = {DISTANCE: 2.0, f"{DISTANCE}_set_sd": 0.1}
    sets = {stage.id: stage.sets for stage in samples_of(item)}
    for stage in item.stages:
        values = said[sets[stage.samples]] if isinstance(stage, MetricStage) else []
        curves = {"mmd/test/by_class": ([float(label) for label in range(len(values))], values)} if values else {}
        journal.write_result(stage.id, Result("finished", "", metrics, curves, {}))
    # Two sets, two more and four more; of the third class not all say something.
    labels, values = record(item, journal).curves["mmd/test/by_class"]
    assert labels == [0, 1]
    assert values == pytest.approx([(2 * 0.1 + 2 * 0.1 + 4 * 0.4) / 8, (2 * 0.2 + 2 * 0.2 + 4 * 0.5) / 8])


@pytest.mark.thorough
def test_a_command_that_is_given_again_starts_nothing_and_says_the_same(four, monkeypatch, without_pictures, capsys):
    words, results = four
    monkeypatch.setattr(more_seeds, "enough_for", lambda *given: noisy(3.5))
    launched = []
    real = Dispatch.add
    monkeypatch.setattr(Dispatch, "add", lambda self, stages: launched.extend(stages) or real(self, stages))
    before = rows(results / "auto")
    assert run.main(words) == 0
    assert launched == []
    assert rows(results / "auto") == before
    told = "Energy distance: with 2 sets drawing is 30 % of a difference's variance, below a tenth from 4 on: 4 sets"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("enough", "expected"),
    [(None, 2), (1.2, 2), (2.0, 2), (2.1, 4), (5.0, 8), (16.0, 16), (90.0, 16), (float("inf"), 16)],
)
def test_they_are_doubled_while_they_are_too_few(enough, expected, monkeypatch, tmp_path):
    told = None if enough is None else noisy(enough)
    monkeypatch.setattr(more_seeds, "enough_for", lambda *given: told)
    found = list(more_seeds.doubled(plan_of(*GRID, "evaluation.sets=auto"), Journal(tmp_path)))
    counts = [2**k for k in range(2, expected.bit_length())]
    assert [n for _, n in found] == counts
    assert [{item.sets for item in more.planned} for more, _ in found] == [{n} for n in counts]


def test_where_the_number_is_given_nothing_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(more_seeds, "enough_for", lambda *given: 1 / 0)
    before = plan_of(*GRID, "evaluation.sets=3")
    assert list(more_seeds.doubled(before, Journal(tmp_path))) == []


@pytest.mark.thorough
def test_what_decides_is_what_the_page_would_say(four):
    """Of the two sets alone, and then of all: the same numbers as in the report of such a folder."""
    _, results = four
    journal = Journal(results / ".stages")
    grid = plan_of(*GRID, "evaluation.sets=auto")
    every = spending(
        next(one for one in Answers.of(read_folder(results / "auto")).findings if one.metric.name == DISTANCE)
    )
    assert more_seeds.enough_for(grid.with_sets(4), journal) == Enough(every.enough, in_words(every))
    assert "with 2 sets" in more_seeds.enough_for(grid, journal).reason


def test_values_of_parts_are_those_of_the_whole():
    def scored(part):
        spread = {f"{DISTANCE}_set_sd": statistics.stdev(part), "cost/sample_seconds": 2.0}
        return len(part), {DISTANCE: statistics.fmean(part), **spread}

    values = [3.0, 5.0, 4.0, 8.0, 1.0, 2.0, 2.5, 9.0]
    parts = [scored(part) for part in (values[:2], values[2:4], values[4:])]
    whole = of_all(parts)
    assert whole[DISTANCE] == pytest.approx(statistics.fmean(values), rel=1e-12)
    assert whole[f"{DISTANCE}_set_sd"] == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert whole["cost/sample_seconds"] == 6.0
    assert of_all([*parts, (8, {DISTANCE: 1.0})]).keys() == {DISTANCE}


def test_a_search_draws_a_number(tmp_path):
    words = [word for word in POINTS if not word.startswith("study.")]
    with pytest.raises(InputError, match="number of sets"):
        search.main([*words, "evaluation.sets=auto", f"results={tmp_path}", "dry_run=true"])


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5"])
def test_what_is_no_number_of_sets_is_refused(given):
    with pytest.raises(InputError, match="evaluation"):
        plan_of(f"evaluation.sets={given}")


def test_a_dry_run_says_what_drawing_may_take(tmp_path, capsys):
    for sets, told in (("auto", True), ("4", False)):
        assert run.main([*GRID, f"evaluation.sets={sets}", f"results={tmp_path}", "dry_run=true"]) == 0
        assert ("more, if drawing asks for 16 sets" in capsys.readouterr().out) is told
