"""Guidance as a setting: what makes no sense is one line, and a guiding cell is the one that its settings make."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from ablations.settings.evaluation import Guidance
from ablations.settings.guiding import guide_passes, guiding_cell, rung_step
from ablations.settings.making import cell_of as read_back
from ablations.settings.making import refusal
from ablations.settings.registry import parameters, read_by_id
from analysis.errors import InputError
from tests.ablations.conftest import cell_of, over, plan_of

POINTS = ["data=mixture2d", "horizon=25", "training.steps=60", "training.warmup=10", "training.report_every=20"]
CLASS = [*POINTS, "conditioning=class", "guidance.scale=2"]
RUNG = [*POINTS, "guidance.scale=2", "guidance.by=rung", "evaluation.rungs=1"]
CELL = [*POINTS, "guidance.scale=2", "guidance.by=cell"]
SMALLER = 'guidance.guide=["network.width=16"]'


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("guidance.scale=-1", "guidance.scale must be greater than or equal to 0 or 'auto', got -1"),
        ("guidance.scale=best", "guidance.scale must be a valid number or 'auto', got 'best'"),
        ("guidance.low=2 guidance.high=2", "high=2 must be above guidance.low=2"),
        ("guidance.scales=[1]", "scales must be two numbers or more"),
        ("guidance.scales=[2,3]", "with 1 among them"),
        ("guidance.scales=[1,3,2]", "rising"),
        ("guidance.by=label", "guidance.by must be 'class', 'rung' or 'cell', got 'label'"),
        ("guidance.by=cell", "by=cell and guidance.guide, the settings in which the guiding cell differs, go"),
        (f"{SMALLER}", "by=cell and guidance.guide, the settings in which the guiding cell differs, go"),
        ("guidance.weight=2", "no field of guidance called 'weight'"),
        ("guidance=class", "no guidance called 'class': there are default; did you mean 'conditioning=class'"),
    ],
)
def test_what_means_nothing_is_one_line(words, reason):
    with pytest.raises(InputError, match=reason):
        cell_of(*over(POINTS, *words.split()))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*POINTS, "guidance.scale=2"], "without the label, .*: take conditioning=class with conditioning.dropout=0.1"),
        ([*CLASS, "conditioning.dropout=0"], "without the label, .*: take conditioning=class with"),
        ([*CLASS, "evaluation.quality=[]"], r"guides samples, and evaluation.quality=\[\] draws none"),
        (["guidance.scale=2", "space=latents", "horizon=0"], "horizon=0 has none: leave it out, or take horizon=1000"),
        ([*RUNG, "evaluation.rungs=0"], "rung=1 is the average at step 40 of 60, a rung that is not kept: take eval"),
        ([*RUNG, "guidance.rung=2"], "rung=2 is .* a rung that is not kept: take evaluation.rungs=2"),
        ([*RUNG, "training.report_every=60"], "not kept: take .* a smaller guidance.rung, or more training.steps"),
        (
            [*CLASS, "horizon=1000", "guidance.low=158"],
            "scale=2 guides no step: none .* above guidance.low=158: take a",
        ),
        ([*CLASS, "guidance.high=1e-4"], "guides no step: .* above guidance.low=0 and up to guidance.high=0.0001"),
        ([*RUNG, "average=raw"], "take average=tracked, or guidance.by=cell"),
        ([*RUNG, "training.rate=wsd"], "a rung is a training of its own: take guidance.by=cell"),
        ([*RUNG, "schedule=learned"], "schedule=learned learns noise levels of its own: take a schedule that is fixed"),
        *(
            ([*CELL, f"guidance.guide=['{key}={value}']"], f"guidance.guide sets {key}, in which a guide cannot differ")
            for key, value in {"data": "digits", "schedule.beta_1": 0.001, "training.precision": "bf16"}.items()
        ),
        ([*CELL, "guidance.guide=['network.breadth=2']"], "no field of network=mlp called 'breadth'"),
        ([*CELL, "guidance.guide=['networks=mlp']"], "no setting called 'networks'"),
        ([*CELL, "guidance.guide=['network.width=8,16']"], "a guide is one cell: give network.width one value"),
        ([*CELL, "guidance.guide=[smaller]"], "'smaller' is not key=value"),
        ([*CELL, "guidance.guide=['network=unet']"], "makes no sense: .*unet"),
        (
            [*CELL, "guidance.guide=['time_input=log_snr']", "horizon=1000", "spacing=karras", "sampler.steps=5"],
            "knows the times 1..T alone, and spacing=karras asks it between them: take spacing=uniform",
        ),
    ],
)
def test_a_guidance_that_makes_no_sense_is_refused(words, reason):
    with pytest.raises(InputError, match=reason):
        plan_of(*over([], *words))


def test_what_a_refusal_proposes_is_a_guide():
    """Of a cell as it is by default, whose network has other channels."""
    with pytest.raises(InputError) as error:
        plan_of("horizon=50", "guidance.scale=2", "guidance.by=cell")
    plan_of("horizon=50", "guidance.scale=2", "guidance.by=cell", str(error.value).split(": ")[-1].replace("'", ""))


@pytest.mark.parametrize("words", [CLASS, RUNG, [*CELL, SMALLER], [*CLASS, "schedule=learned"]])
def test_what_makes_sense_is_read_back_from_its_row(words):
    cell = cell_of(*words)
    assert refusal(cell) is None
    assert read_back(parameters(cell), cell.seed) == replace(cell, evaluation=replace(cell.evaluation, rungs=0))


def test_no_guidance_is_part_of_no_identity_and_of_no_row():
    plain = cell_of(*POINTS)
    named = cell_of(*over(POINTS, "guidance.scale=1", "guidance.by=rung", "guidance.low=0.5", "guidance.rung=3"))
    assert plain == named
    assert read_by_id(plain) == read_by_id(named)
    assert "guidance" not in read_by_id(plain)
    assert not any(name.startswith("guidance") for name in parameters(plain))
    assert plan_of(*POINTS).runs[0].cell_id == plan_of(*POINTS, "guidance.scale=1").runs[0].cell_id


def test_what_a_guidance_does_not_read_is_part_of_no_identity():
    every = {field.name for field in fields(Guidance)}
    read = {
        ("class",): {"scale", "low", "high", "by"},
        ("rung",): {"scale", "low", "high", "by", "rung"},
        ("cell", ("network.width=8",)): {"scale", "low", "high", "by", "guide"},
    }
    for (by, *guide), names in read.items():
        words = {"by": by, **({"guide": guide[0]} if guide else {})}
        assert set(Guidance(2.0, **words).unread) == every - names
        assert set(Guidance("auto", **words).unread) == every - names - {"scales"}
        assert set(Guidance(1.0, **words).unread) == every


def test_a_guiding_cell_is_the_one_that_its_settings_make():
    guided = cell_of(
        *over(CELL, 'guidance.guide=["network.width=16","training.steps=30","average=0.1","objective=p2"]')
    )
    alone = cell_of(*over(POINTS, "network.width=16", "training.steps=30", "average=0.1", "objective=p2"))
    assert guiding_cell(guided) == alone
    assert guiding_cell(replace(guided, seed=7)) == replace(alone, seed=7)
    told = cell_of(*over(CELL, "guidance.guide=['conditioning=class','conditioning.dropout=0.5','time_input=log_snr']"))
    assert guiding_cell(told) == cell_of(
        *over(POINTS, "conditioning=class", "conditioning.dropout=0.5", "time_input=log_snr")
    )


def test_a_rung_is_the_step_that_rungs_are_kept_at():
    assert rung_step(cell_of(*RUNG)) == 40
    words = ["guidance.scale=2", "guidance.by=rung", "evaluation.rungs=3", "data=mixture2d"]
    assert [rung_step(cell_of(*over(words, f"guidance.rung={k}"))) for k in (1, 2, 3)] == [500, 250, 100]


def test_a_sample_takes_a_pass_of_its_guide_at_every_step_in_the_interval():
    made = over(CLASS, "horizon=1000")
    assert guide_passes(cell_of(*POINTS)) == 0
    assert guide_passes(cell_of(*made)) == 1000
    assert guide_passes(cell_of(*over(made, "sampler.steps=10"))) == 10
    assert guide_passes(cell_of(*over(made, "sampler=heun", "sampler.steps=10"))) == 19
    assert guide_passes(cell_of(*over(made, "conditioning.self_conditioning=true", "sampler.steps=10"))) == 20
    # σ = √((1 − ᾱ)/ᾱ) = 0.01 at t = 1, where ᾱ = 1 − β_1 = 0.9999, and 157.4 at t = T.
    assert guide_passes(cell_of(*over(made, "guidance.high=0.01001"))) == 1
    assert guide_passes(cell_of(*over(made, "guidance.low=0.01001"))) == 999
    assert guide_passes(cell_of(*over(made, "guidance.low=157.3"))) == 1
    # Where σ is the network's own to learn, and not known yet.
    assert guide_passes(cell_of(*over(made, "schedule=learned", "guidance.low=158"))) == 1000


def test_guides_are_levels_of_an_axis():
    """Lists of texts, of which there are several."""
    found = plan_of(*CELL, 'guidance.guide=["network.width=16"],["network.width=8","training.steps=20"]').runs
    assert [item.cell.guidance.guide for item in found] == [
        ("network.width=16",),
        ("network.width=8", "training.steps=20"),
    ]
    assert [guiding_cell(item.cell).network.width for item in found] == [16, 8]
