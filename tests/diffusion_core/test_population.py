"""Trainings side by side: whoever trains beside a learner, it reports and becomes what it does alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

import diffusion_core as dc
from ablations.engine.stage import Member, side_by_side
from diffusion_core.fast.fused import works
from diffusion_core.fast.population import Stack
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Trainer
from tests.diffusion_core.learners import BASE, CLASSES, DIGITS, image_learner, learner_of_points, vq_learner

PLAN = dc.Training(steps=3, batch=8, warmup=2, report_every=2, precision="float32", snapshots=2)
CPU = torch.device("cpu")
Told = list[tuple[int, dict[str, float], dict[str, float], dict[str, Tensor]]]


@dataclass(frozen=True)
class Run:
    """A training of a learner by its choices, of points or of digits, or of another kind of learner."""

    choices: dc.Choices | Callable[[], tuple[Learner, Tensor]]
    plan: dc.Training = PLAN
    seed: int = 0

    def learner(self) -> tuple[Learner, Tensor]:
        if not isinstance(self.choices, dc.Choices):
            return self.choices()
        if isinstance(self.choices.network, dc.Mlp):
            return learner_of_points(self.choices)
        learner = dc.DiffusionLearner.of(self.choices, dc.GreyLevels(17), (1, 8, 8), CLASSES)
        learner.diffusion.initialise(self.seed)
        return learner, dc.Labelled(DIGITS, torch.arange(len(DIGITS)) % CLASSES) if learner.classes else DIGITS


def told(run: Run, beside=None, start=None) -> Told:
    """Step, losses, their deviations and the state of each report of a training."""
    learner, data = run.learner()
    reports = Trainer(learner, run.plan, CPU, beside=beside).run(data, run.seed, start)
    return [
        (r.step, r.losses, r.standard_deviations, {name: value.clone() for name, value in r.state().items()})
        for r in reports
    ]


alone = cache(told)


def together(runs: list[Run], starts=None) -> list[Told]:
    """The same of several trainings that meet at each piece of a batch."""

    def work(place: int, member: Member) -> Told:
        return told(runs[place], member.exchange, starts[place] if starts else None)

    return [end.result() for end in side_by_side(len(runs), work)]


def assert_same(mine: Told, expected: Told) -> None:
    assert [str(report[:3]) for report in mine] == [str(report[:3]) for report in expected]
    for (*_, state), (*_, other) in zip(mine, expected, strict=True):
        assert state.keys() == other.keys()
        bits = ((name, state[name].nan_to_num(7.5), other[name].nan_to_num(7.5)) for name in state)
        assert [name for name, a, b in bits if not torch.equal(a, b)] == []


def with_plan(runs, **changes) -> list[Run]:
    return [replace(run, plan=replace(run.plan, **changes)) for run in runs]


LEARNED = replace(BASE, schedule=dc.LearnedSchedule(width=4), objective=dc.VlbContinuous(), time_input="log_snr")
WIDE = replace(BASE, variance=dc.LearnedVariance(), schedule=dc.Cosine(), objective=dc.Hybrid(), horizon=6)
KINDS = (
    Run(BASE),
    Run(replace(BASE, parameterization=dc.V(), objective=dc.MinSnr()), replace(PLAN, learning_rate=1e-2), seed=1),
    Run(
        replace(BASE, parameterization=dc.X0(), variance=dc.BetaTilde(), objective=dc.Vlb()),
        replace(PLAN, warmup=0),
        seed=2,
    ),
    Run(
        replace(BASE, schedule=dc.Cosine(), timesteps=dc.Importance(history=2), horizon=3, objective=dc.Vlb()),
        replace(PLAN, ema=0.5),
    ),
    Run(replace(LEARNED, timesteps=dc.LowDiscrepancy()), replace(PLAN, weight_decay=0.1)),
    Run(replace(BASE, coupling=dc.Optimal()), replace(PLAN, beta_1=0.5, report_every=3), seed=4),
)
"""Of one shape, and of all else differing."""
LABELLED = replace(BASE, conditioning=dc.Class(dropout=0.3))
SHOWN = replace(BASE, conditioning=dc.Unconditional(self_conditioning=True))
TOLD = (
    Run(replace(LABELLED, parameterization=dc.V()), replace(PLAN, clip=0.1), seed=1),
    Run(
        replace(SHOWN, parameterization=dc.X0(), variance=dc.BetaTilde(), objective=dc.Vlb()),
        replace(PLAN, ema=0.5),
        seed=1,
    ),
    Run(replace(LABELLED, conditioning=dc.Class(self_conditioning=True))),
    Run(replace(LABELLED, conditioning=dc.Class(self_conditioning=True, dropout=0.9)), seed=1),
)
"""Told labels, by different shares, their own estimate, or both."""
TWICE = (Run(WIDE), Run(replace(BASE, variance=dc.LearnedDiagonal(), objective=dc.Vlb(), horizon=40), seed=2))
"""Whose networks give a variance, too."""
NETWORKS = {
    "unet": dc.UNet(channels=4, multipliers=(1,), groups=2, attention=()),
    "dit": dc.Dit(width=16, depth=1, heads=2),
}


def of_images(network: str, precision: str) -> list[Run]:
    """Trainings of such a network on digits, two of each shape, one of them in pieces."""
    runs = [replace(run, choices=replace(run.choices, network=NETWORKS[network])) for run in (*KINDS[3:5], *TOLD[2:])]
    return with_plan(runs, steps=1, precision=precision, micro_batch=5)


HALF = [
    replace(BASE, network=dc.UNet(channels=4, multipliers=(1,), groups=groups, heads=heads))
    for groups, heads in ((4, 2), (4, 4), (2, 2))
]
CLIPS = {1: 1e-3, 2: 0.1, 4: 1e-2}
CLIPPED = [KINDS[3], *(with_plan([KINDS[i]], clip=clip)[0] for i, clip in CLIPS.items())]
UNLIKE = (Run(replace(BASE, network=dc.Mlp(width=8, layers=1))), Run(BASE, replace(PLAN, precision="bf16")))
DRAWING = Run(image_learner)
COMPANIES = {
    "all kinds": (KINDS, [6] * 3),
    "told labels or their own estimate": ((*TOLD, KINDS[0]), None),
    "a variance, too": (TWICE, [2] * 3),
    **{f"{network} in {p}": (of_images(network, p), [2] * 4) for network, p in (("unet", "bf16"), ("dit", "float32"))},
    "some by muon": ((*with_plan(KINDS[2:4], optimizer="muon", rate="linear"), *KINDS[:2]), [2] * 6),
    "clipped each by its norm": (CLIPPED, [4] * 3),
    "in pieces, the last of them smaller, or at once": (
        (*with_plan((*KINDS[:2], DRAWING, DRAWING), micro_batch=3), KINDS[2]),
        None,
    ),
    "one has fewer steps": ((KINDS[0], *with_plan(KINDS[1:2], steps=2), KINDS[4]), [3, 3, 2]),
    "equal parameters that compute otherwise": ([Run(choices, replace(PLAN, steps=1)) for choices in HALF], []),
    "other networks, precisions and learners": (
        (KINDS[0], *UNLIKE, TWICE[0], DRAWING, Run(vq_learner), KINDS[1]),
        [2] * 3,
    ),
}


@pytest.mark.parametrize("company", COMPANIES)
def test_each_is_as_alone(company, monkeypatch):
    """Bit by bit; so many networks are taught by one pass, in order."""
    passes, receive = [], Stack.receive

    def counted(self, means, *, first):
        passes.append(len(self.members))
        receive(self, means, first=first)

    monkeypatch.setattr(Stack, "receive", counted)
    runs, expected = COMPANIES[company]
    for run, mine in zip(runs, together(list(runs)), strict=True):
        assert_same(mine, alone(run))
    if expected is not None and (works() or "unet" not in company):
        assert passes == expected


def test_who_diverges_leaves_and_changes_no_bit_of_others():
    diverging = Run(BASE, replace(PLAN, learning_rate=1e30, warmup=0, report_every=1))
    runs = [KINDS[1], diverging, KINDS[4]]
    ends = together(runs)
    assert not math.isfinite(ends[1][-1][1]["network"])
    for run, mine in zip(runs, ends, strict=True):
        assert_same(mine, alone(run))


def test_a_training_goes_on_in_another_company_as_if_it_were_alone():
    step, *_, state = together([KINDS[4], KINDS[1]])[0][0]
    before = {name: value.clone() for name, value in state.items()}
    first, resumed = together([KINDS[2], KINDS[4]], [None, (step, state)])
    assert_same(first, alone(KINDS[2]))
    assert_same(resumed, alone(KINDS[4])[1:])
    assert all(torch.equal(state[name], before[name]) for name in state)
