"""Costs and fronts on hand-made numbers."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from analysis.findings.answers import Answers
from analysis.findings.costs import Cost, Costs, work_seconds
from analysis.findings.values import cells_of
from analysis.read.runs import read_folder
from tests.analysis.findings.test_verdicts import VALUES, grid_of
from tests.analysis.latent import latent


def seconds(*cells):
    return Cost("time", "s", False, tuple(dict(enumerate(values)) for values in cells))


def test_operations_differ_above_one_percent_and_seconds_that_surely_differ_above_five():
    base = [10.0, 20.0, 15.0]
    for factor, dearer in ((1.009, False), (1.011, True)):
        cost = Cost("operations", "FLOPs", True, ({0: 1e9}, {0: factor * 1e9}))
        assert (cost.dearer(1, 0), cost.dearer(0, 1), cost.differs) == (dearer, False, dearer)
    for factor, dearer in ((1.04, False), (1.06, True)):
        cost = seconds(base, [factor * value for value in base])
        assert (cost.dearer(1, 0), cost.dearer(0, 1)) == (dearer, False)


def test_what_takes_longer_does_so_at_each_seed_and_by_more_than_a_twentieth():
    a, b, c, d = np.ones(3), np.exp([0.18, 0.28, 0.38]), np.array([1.0, 3.0, 0.2]), np.array([1.01, 1.02, 1.03])
    every = seconds(a, b, c, d)
    assert {(i, j) for i in range(4) for j in range(4) if every.dearer(i, j)} == {(1, 0), (1, 3)}


def test_one_seed_is_taken_as_it_is_and_no_common_seed_says_nothing():
    assert seconds([10.0], [11.0]).dearer(1, 0)
    assert not Cost("time", "s", False, ({0: 1.0}, {1: 9.0})).differs
    assert math.isnan(Cost("time", "s", False, ({},)).mean(0))


def test_seconds_of_two_kinds_of_machine_are_not_compared():
    values = ({0: 1.0, 1: 1.0}, {0: 9.0, 1: 9.0})
    assert Cost("time", "s", False, values, kinds=({0: "A", 1: "B"},) * 2).differs
    assert not Cost("time", "s", False, values, kinds=({0: "A", 1: "A"}, {0: "B", 1: "B"})).differs


TRAINED = {"linear": 100.0, "cosine": 100.0, "learned": 210.0}
"""Seconds of training, by level."""


def costed(values=VALUES, sampled=None, trained=None, shared=False, **flops):
    """A grid whose cells have these FLOPs a pass, seconds of training and seconds of sampling."""
    grid = grid_of(values, quality_n=10, quality_sets=2)
    level = grid.runs["axis.schedule"]
    grid.runs["training.steps"], grid.runs["training.batch"] = "10", "2"
    for name, known in (("flops_per_image", flops), ("train_seconds", trained), ("sample_seconds", sampled)):
        if known:
            grid.runs[f"cost/{name}"] = level.map(known).astype("float64")
    if shared:
        grid.runs["training_id"] = "one"
    return grid


def on_front(grid, i=0):
    answers = Answers.of(grid)
    (bought,) = [one for one in answers.purchases if one.answer is answers.findings[i]]
    return [cell.levels[0] for cell, on in zip(answers.cells, bought.front, strict=True) if on]


def test_operations_of_a_training():
    grid = costed(linear=5, cosine=5, learned=7)
    assert [cost[0] for cost in Answers.of(grid).costs.train_flops.values] == [300.0, 300.0, 420.0]
    grid.runs["cost/train_flops"] = 1000.0
    assert [cost[0] for cost in Answers.of(grid).costs.train_flops.values] == [1000.0, 1000.0, 1000.0]


def test_at_equal_costs_the_front_is_what_may_be_best():
    grid = costed(linear=5, cosine=5, learned=5.01)
    found = Answers.of(grid).findings[0]
    assert on_front(grid) == [found.cells[i].levels[0] for i in sorted(found.leading)] == ["cosine", "learned"]


def test_the_cheapest_is_on_the_front_and_a_dearer_one_that_is_no_better_is_not():
    # NLL: linear is surely worse than the two others, which cannot be told apart.
    assert on_front(costed(linear=1, cosine=2, learned=3)) == ["linear", "cosine", "learned"]
    assert on_front(costed(linear=9, cosine=2, learned=3)) == ["cosine", "learned"]


def test_with_one_seed_values_alone_decide():
    values = {"linear": ([2.0], [9.0]), "cosine": ([2.1], [9.0]), "learned": ([1.9], [9.0])}
    assert on_front(costed(values, linear=1, cosine=2, learned=3)) == ["linear", "learned"]


def test_seconds_stand_in_where_operations_agree():
    cost = Answers.of(costed(trained=TRAINED, linear=5, cosine=5, learned=5)).costs.training
    assert (cost.label, cost.unit, cost.mean(2)) == ("training time", "s", 210.0)
    assert cost.dearer(2, 0)
    assert Answers.of(costed(trained=TRAINED, linear=5, cosine=6, learned=5)).costs.training.unit == "FLOPs"


def test_one_training_costs_its_samples_only():
    drawn = {"linear": 2.0, "cosine": 20.0, "learned": 200.0}
    answers = Answers.of(costed(sampled=drawn, shared=True, linear=5, cosine=5, learned=5))
    nll, fid = answers.findings
    assert answers.costs.of(nll.metric) == []
    (cost,) = answers.costs.of(fid.metric)
    assert (cost.label, [cost.mean(i) for i in range(3)]) == ("sampling time per image", [0.1, 1.0, 10.0])
    assert Answers.of(costed()).costs.sampling.values == ({}, {}, {})


def test_samples_that_take_equally_long_decide_nothing():
    answers = Answers.of(costed(sampled=dict.fromkeys(VALUES, 2.0), linear=1, cosine=2, learned=3))
    assert [cost.unit for cost in answers.costs.of(answers.findings[1].metric)] == ["FLOPs"]


def test_the_work_of_a_grid_counts_a_stage_that_cells_share_once():
    """Two cells of a seed on one autoencoder and one guide; two others that share their training."""
    columns = ("seed", "training_id", "autoencoder_id", "cost/train_seconds", "cost/autoencoder_seconds")
    rows = [(0, "a", "z", 10.0, 5.0), (0, "b", "z", 20.0, 5.0), (1, "c", "", 10.0, np.nan), (1, "c", "", 10.0, np.nan)]
    runs = pd.DataFrame(rows, columns=columns).assign(**{"cost/sample_seconds": [1.0, 1.0, 2.0, 3.0]})
    assert work_seconds(runs) == (10 + 20 + 10) + 5 + (1 + 1 + 2 + 3)
    guided = runs.assign(**{"cost/guide_seconds": [7.0, 7.0, 8.0, 8.0], "cost/images_per_second": 9.0})
    assert work_seconds(guided) == work_seconds(runs) + 7 + 8


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    return read_folder(latent(tmp_path_factory.mktemp("costs") / "latent"))


def by_name(grid, cost):
    return {"-".join(cell.levels): cost.mean(i) for i, cell in enumerate(cells_of(grid))}


def test_operations_count_the_autoencoder_and_a_vae_has_those_of_its_own(latents):
    cost = Answers.of(latents).costs.train_flops
    assert cost.head == "training, autoencoder included (FLOPs)"
    found = by_name(latents, cost)
    assert found["pixels-steps"] == 3.45e12
    assert found["f2-steps"] == 9e11 + 4e11
    assert found["f4-vae"] == 3e11
    assert found["vq-steps"] == 9e11 + 4.2e11


def test_without_a_total_the_parts_are_added(latents):
    runs = latents.runs.drop(columns="cost/total_flops")
    found = by_name(latents, Answers.of(dataclasses.replace(latents, runs=runs)).costs.train_flops)
    assert (found["pixels-steps"], found["f1-flops"], found["f2-vae"]) == (3.45e12, 2.85e12 + 6e11, 4e11)


def test_seconds_of_a_vae_are_those_of_its_autoencoder(latents):
    cost = Answers.of(latents).costs.train_seconds
    found = by_name(latents, cost)
    assert (found["pixels-steps"], found["f2-steps"]) == pytest.approx((90.0, 90.0 + 12.0))
    assert found["f2-vae"] == pytest.approx(12.0)
    assert cost.label == "training time, autoencoder included"
    assert cost.differs


def test_seconds_of_a_guided_cell_are_those_of_its_guides_training_too(latents):
    guided = latents.runs["cost/train_seconds"].notna()
    runs = latents.runs.assign(
        **{"cost/guide_seconds": guided.map({True: 7.0}), "guidance.by": guided.map({True: "cell"})}
    )
    cost = Answers.of(dataclasses.replace(latents, runs=runs.fillna({"guidance.by": ""}))).costs.train_seconds
    assert cost.label == "training time, autoencoder and guide included"
    found, before = (by_name(latents, each) for each in (cost, Answers.of(latents).costs.train_seconds))
    assert found == pytest.approx({name: value + (0 if "vae" in name else 7) for name, value in before.items()})


def test_a_cost_of_nothing_is_not_known(latents):
    """A VAE's training of no diffusion may be stated as 0: its logarithm and its ratios would not be finite."""
    vae = latents.runs["horizon"] == "0"
    names = [f"cost/{of}_{unit}" for of in ("train", "autoencoder") for unit in ("flops", "seconds")]
    names += ["cost/total_flops", "cost/sample_seconds"]
    runs = latents.runs.assign(**{name: latents.runs[name].mask(vae, 0.0) for name in names})
    grid = dataclasses.replace(latents, runs=runs)
    cells = cells_of(grid)
    costs = Costs(grid, cells)
    for cost in (costs.train_flops, costs.train_seconds, costs.sampling):
        known = {cell.levels[1] for cell, values in zip(cells, cost.values, strict=True) if values}
        assert known == {"steps", "flops"}
        assert cost.differs in (True, False)
    assert [one.metric.label for one in Answers.of(grid).findings if costs.of(one.metric)] == ["NLL", "FID"]


def test_the_front_of_a_grid_in_latents_counts_the_autoencoder(latents):
    answers = Answers.of(latents)
    bought = answers.purchases[0]
    assert bought.answer.metric.kind == "nll"
    kept = {"-".join(cell.levels) for cell, on in zip(answers.cells, bought.front, strict=True) if on}
    # By operations with the autoencoder: 3e11, 4e11, 5.5e11, 1.3e12, 3.45e12, each with a better NLL than all before.
    assert kept == {"f4-vae", "f2-vae", "f4-steps", "f2-steps", "f2-flops"}
