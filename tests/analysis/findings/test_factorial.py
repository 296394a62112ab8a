"""A grid's effects in words, on grids whose effects were planted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.findings.answers import Answers
from analysis.findings.factorial import factorial
from analysis.findings.family import Family
from analysis.findings.values import cells_of
from analysis.grid_json import parse_meta
from analysis.read.runs import GridResults, read_folder
from analysis.report.answers import factorial_sentences
from tests.analysis.conftest import NLL, axis_of, meta, run_of

AXES = [
    axis_of("schedule", "Schedule", ("linear", "cosine")),
    axis_of("steps", "Steps", {n: f"{n} steps" for n in ("10", "50", "100")}),
]
EFFECT = {"10": 1.0, "50": 0.4, "100": 0.0}


def grid_of(seeds=4, lost=(), together=0.0):
    """Steps matter, schedules do not, and with `together` the schedules part at 10 steps."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        block = rng.normal()
        for schedule in ("linear", "cosine"):
            for steps, effect in EFFECT.items():
                value = 2 + block + effect + together * (schedule == "cosine" and steps == "10") + 0.02 * rng.normal()
                finished = (schedule, steps, seed) not in lost
                levels = {"axis.schedule": schedule, "axis.steps": steps, NLL: value if finished else np.nan}
                rows.append(run_of(f"{schedule}-{steps}", seed, finished=finished) | levels)
    described = parse_meta(json.dumps(meta(axes=AXES, baseline={}, layout="general", seeds=list(range(seeds)))), "here")
    return GridResults(described, pd.DataFrame(rows), None, pd.DataFrame)


def found(grid, metric=None):
    return factorial(grid, metric or grid.meta.metrics[0], cells_of(grid), Family())


def sentences(grid):
    return factorial_sentences(found(grid))


def test_what_was_planted_is_said_first():
    said = sentences(grid_of())
    assert said[0].startswith("NLL: Steps matters (F(2, 3) = ")
    assert "p < 0.001, adjusted for the number of effects; " in said[0]
    assert said[0].endswith(" % of the variance among the cells of a seed).")
    assert any(line.startswith("NLL: Schedule is not shown to matter") for line in said)
    assert any(line.startswith("NLL: Schedule and Steps are not shown to depend on each other") for line in said)


def test_an_axis_that_the_metric_does_not_read_has_no_test():
    grid = grid_of()
    linear = grid.runs[grid.runs["axis.schedule"] == "linear"].set_index(["axis.steps", "seed"])[NLL]
    places = pd.MultiIndex.from_frame(grid.runs[["axis.steps", "seed"]])
    said = sentences(replace(grid, runs=grid.runs.assign(**{NLL: linear.loc[places].to_numpy()})))
    assert "NLL: Schedule changes nothing: values are the same at all of its levels." in said
    assert (
        "NLL: Schedule and Steps do not depend on each other: what one changes is the same at all levels of the other."
        in said
    )


def test_an_axis_that_makes_less_than_matters_does_not_matter_whatever_its_p():
    """It is the contrast of two cells that the list calls equal, since steps change nothing."""
    grid = grid_of()
    noise = {seed: 1e-4 * seed for seed in grid.meta.seeds}
    values = [
        2 + 10 * noise[seed] + (schedule == "cosine") * (0.004 + noise[seed])
        for schedule, seed in zip(grid.runs["axis.schedule"], grid.runs["seed"], strict=True)
    ]
    answers = Answers.of(replace(grid, runs=grid.runs.assign(**{NLL: values})))
    assert {pair.verdict for pair in answers.findings[0].pairs if not pair.same} == {"equal"}
    (effects,) = answers.effects
    schedule = next(effect for effect in effects.tests.effects if effect.factors == ("Schedule",))
    assert schedule.adjusted < 0.01
    assert not effects.matters(schedule)
    assert any(
        line.startswith("NLL: Schedule makes less of a difference than matters")
        for line in factorial_sentences(effects)
    )


def test_an_interaction_is_said():
    said = sentences(grid_of(together=1.0))
    assert any(line.startswith("NLL: Schedule and Steps depend on each other") for line in said)


def test_averages_are_over_the_other_axis_within_each_seed():
    grid = grid_of()
    averages = {(one.axis.name, one.level): one.estimate for one in found(grid).averages}
    by_hand = grid.runs[grid.runs["axis.steps"] == "10"].groupby("seed")[NLL].mean()
    assert averages["steps", "10 steps"].mean == pytest.approx(by_hand.mean())
    assert averages["steps", "10 steps"].half_width == pytest.approx(3.182446 * by_hand.std() / 2, rel=1e-5)


def test_what_did_not_finish_is_said_by_its_label():
    said = sentences(grid_of(lost=[("cosine", "10", seed) for seed in range(4)]))
    assert any("cosine · 10 steps" in line for line in said)


def test_one_axis_or_one_seed_has_no_effects():
    assert found(grid_of(seeds=1)) is None
    whole = grid_of()
    one = GridResults(whole.meta, whole.runs[whole.runs["axis.schedule"] == "linear"], None, pd.DataFrame)
    assert found(one) is None


def test_axes_that_depend_on_each_other_have_no_averages_by_a_model_that_denies_it():
    """In results/committed/latent pixels have no cell without a diffusion, where latents score worst by far."""
    grid = read_folder(Path(__file__).parents[3] / "results" / "committed" / "latent")
    of_fid = found(grid, next(metric for metric in grid.meta.metrics if metric.kind == "fid"))
    assert any("Diffuses and Diffusion depend on each other" in line for line in factorial_sentences(of_fid))
    assert not {one.axis.name for one in of_fid.averages} & {"space", "prior"}
